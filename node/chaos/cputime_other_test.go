//go:build !unix

package chaos

import (
	"testing"
	"time"
)

// cpuTime is not known here, so nothing costs anything.
func cpuTime(testing.TB) time.Duration { return 0 }
