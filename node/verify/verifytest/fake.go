package verifytest

import (
	"context"
	"crypto/sha256"
	"slices"
	"sync"

	"kigo/node/mcm"
	"kigo/node/verify"
)

// A Fake is a Backend for tests of what stands around one.  The zero value works
// and calls any proper nonce's Peach hash the SHA-256 of the trailer's first 124
// bytes.  Set the fields before the first call.
type Fake struct {
	// About is what Info returns.
	About verify.Info
	// Hash makes the Peach hash, nil for the one above.
	Hash func(t *mcm.Trailer) mcm.Hash
	// Spoil, when not nil, may change the results of a batch.
	Spoil func(batch []mcm.Trailer, results []verify.Result)
	// Before, when not nil, is called at the start of each call, the first one
	// with call 0.  It may block on channels or sleep in a bubble; what it
	// returns, when not nil, is VerifyPoW's error, with nothing decided.
	Before func(ctx context.Context, call int, batch []mcm.Trailer) error
	// CloseErr is what Close returns.
	CloseErr error

	mu     sync.Mutex
	calls  []int
	closed int
}

var _ verify.Backend = (*Fake)(nil)

// Info returns f.About.
func (f *Fake) Info() verify.Info { return f.About }

// VerifyPoW implements verify.Verifier.  It looks at ctx when Before has
// returned.
func (f *Fake) VerifyPoW(ctx context.Context, dst []verify.Result, batch []mcm.Trailer) error {
	if err := verify.CheckLengths(dst, batch); err != nil {
		return err
	}
	clear(dst)
	f.mu.Lock()
	call := len(f.calls)
	f.calls = append(f.calls, len(batch))
	f.mu.Unlock()
	if f.Before != nil {
		if err := f.Before(ctx, call, batch); err != nil {
			return err
		}
	}
	if err := verify.Interrupted(ctx); err != nil {
		return err
	}
	for _, i := range verify.Prepare(dst, batch, nil) {
		hash := FakeHash(&batch[i])
		if f.Hash != nil {
			hash = f.Hash(&batch[i])
		}
		dst[i] = verify.JudgePeach(&batch[i], &hash)
	}
	if f.Spoil != nil {
		f.Spoil(batch, dst)
	}
	return nil
}

// Calls returns how many trailers each call so far had.
func (f *Fake) Calls() []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// Close returns f.CloseErr.
func (f *Fake) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed++
	return f.CloseErr
}

// Closed returns how often Close was called.
func (f *Fake) Closed() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed
}

// FakeHash is what a zero Fake calls t's Peach hash.
func FakeHash(t *mcm.Trailer) mcm.Hash { return sha256.Sum256(t[:124]) }

// Memory returns a Hash for a Fake that knows the golden vectors by heart, so
// that it passes the conformance suite without Peach.
func Memory(vectors []Vector) func(t *mcm.Trailer) mcm.Hash {
	known := map[[124]byte]mcm.Hash{} // the bytes that the hash covers
	for i := range vectors {
		if v := &vectors[i]; v.Peach() && !v.NoHash {
			known[[124]byte(v.Trailer[:])] = v.Want.Hash
		}
	}
	// Of the others only the verdict is told; a hash to go with it will do.
	for i := range vectors {
		v := &vectors[i]
		if _, ok := known[[124]byte(v.Trailer[:])]; v.Peach() && v.NoHash && !ok {
			hash := mcm.Hash{0xff}
			if v.Want.Verdict == verify.Valid {
				hash = mcm.Hash{}
			}
			known[[124]byte(v.Trailer[:])] = hash
		}
	}
	return func(t *mcm.Trailer) mcm.Hash {
		if hash, ok := known[[124]byte(t[:])]; ok {
			return hash
		}
		return FakeHash(t)
	}
}
