//go:build unix

package chaos

import (
	"syscall"
	"testing"
	"time"
)

// cpuTime is what the process has used, both sides of all conversations.
func cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
