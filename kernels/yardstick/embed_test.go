//go:build cuda

package yardstick_test

import (
	"errors"
	"strings"
	"testing"

	"kigo/kernels/yardstick"
	"kigo/node/verify/verifytest"
)

func TestImage(t *testing.T) {
	image, err := yardstick.Image()
	if err != nil && !errors.Is(err, yardstick.ErrNoImage) {
		t.Errorf("got error %v, want ErrNoImage", err)
	}
	verifytest.Require(t, "yardstick", err == nil, "built without device code")
	if !strings.HasPrefix(image, "\x50\xed\x55\xba") || !strings.Contains(image, "kigo_simple") {
		t.Errorf("the image of %d bytes is no fatbin with kernel kigo_simple", len(image))
	}
}
