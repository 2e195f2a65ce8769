//go:build !cuda

package gpu

import (
	"context"

	"kigo/node/verify"
)

// Open returns ErrNotBuilt.
func Open(context.Context, Options) ([]verify.Backend, error) { return nil, ErrNotBuilt }
