//go:build cuda

package kernels

import (
	"embed"
	"errors"
	"fmt"
)

// A checkout has no image, only a .gitignore, which all: takes in so that a
// program without device code can be compiled, linted and run on the fake driver.
//
//go:embed all:image
var files embed.FS

// ErrNoImage says that the program was built without device code.
var ErrNoImage = errors.New("kernels: this program was built without device code (kernels/image/peach.fatbin)")

// Image returns the device code as the driver loads it, a fatbin of src/peach.cu,
// or ErrNoImage.
func Image() (string, error) {
	b, err := files.ReadFile("image/peach.fatbin")
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoImage, err)
	}
	return string(b), nil
}
