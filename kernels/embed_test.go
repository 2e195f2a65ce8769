//go:build cuda

package kernels_test

import (
	"errors"
	"strings"
	"testing"

	"kigo/kernels"
	"kigo/node/verify/verifytest"
)

func TestImage(t *testing.T) {
	image, err := kernels.Image()
	if err != nil && !errors.Is(err, kernels.ErrNoImage) {
		t.Errorf("got error %v, want ErrNoImage", err)
	}
	verifytest.Require(t, "kernels", err == nil, "built without device code")
	if !strings.HasPrefix(image, "\x50\xed\x55\xba") {
		t.Errorf("the image begins with %x, want a fatbin", image[:min(4, len(image))])
	}
	for _, name := range []string{"kigo_init", "kigo_row", "kigo_jump", "kigo_final"} {
		if !strings.Contains(image, name) {
			t.Errorf("the image has no kernel %s", name)
		}
	}
}
