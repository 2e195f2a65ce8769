//go:build cuda

package yardstick

import (
	"embed"
	"errors"
	"fmt"
)

// A checkout has no image; see package kernels.
//
//go:embed all:image
var files embed.FS

// ErrNoImage says that the test was built without this device code.
var ErrNoImage = errors.New("yardstick: built without device code (make yardstick)")

// Image returns the device code as the driver loads it, a fatbin of
// src/simple.cu, or ErrNoImage.
func Image() (string, error) {
	b, err := files.ReadFile("image/simple.fatbin")
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoImage, err)
	}
	return string(b), nil
}
