//go:build !cuda

package gpu

import (
	"errors"
	"testing"
)

func TestOpenSaysWhatIsMissing(t *testing.T) {
	if devices, err := Open(t.Context(), Options{}); len(devices) > 0 || !errors.Is(err, ErrNotBuilt) {
		t.Errorf("got %d devices and error %v, want none and ErrNotBuilt", len(devices), err)
	}
}
