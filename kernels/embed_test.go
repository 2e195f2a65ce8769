//go:build cuda

package kernels_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
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

// TestManifest makes sure that the image was made from the sources as they are.
func TestManifest(t *testing.T) {
	image, err := kernels.Image()
	verifytest.Require(t, "kernels", err == nil, "built without device code")
	manifest, err := os.ReadFile("image/manifest")
	if err != nil {
		t.Fatal(err)
	}
	flags, err := os.ReadFile("src/nvcc.flags")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(manifest)) {
		what, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		seen[what] = true
		switch what {
		case "compiler":
		case "flags":
			if !strings.HasPrefix(rest, strings.TrimSpace(string(flags))+" ") {
				t.Errorf("the image was compiled with %q, and src/nvcc.flags has %q; run make", rest, flags)
			}
			for _, target := range []string{"code=[sm_75,compute_75]", "code=sm_80", "code=sm_86", "code=sm_89", "code=[sm_90,compute_90]"} {
				if !strings.Contains(rest, target) {
					t.Errorf("the image has no %s", target)
				}
			}
		case "source":
			file, sum, _ := strings.Cut(rest, " ")
			seen[file] = true
			source, err := os.ReadFile(strings.TrimPrefix(file, "kernels/"))
			if err != nil {
				t.Error(err)
			} else if got := fmt.Sprintf("%x", sha256.Sum256(source)); got != sum {
				t.Errorf("%s has changed since the image was made; run make", file)
			}
		case "image":
			if got := fmt.Sprintf("%x", sha256.Sum256([]byte(image))); got != rest {
				t.Error("the image embedded is not that of image/manifest; run make")
			}
		default:
			t.Errorf("what is the line %q?", line)
		}
	}
	for _, what := range []string{"compiler", "flags", "image", "kernels/src/peach.cu", "kernels/src/peach.cuh", "kernels/src/md2.cuh"} {
		if !seen[what] {
			t.Errorf("the manifest does not name %s:\n%s", what, manifest)
		}
	}
}
