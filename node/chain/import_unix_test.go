//go:build unix

package chain

import (
	"path/filepath"
	"syscall"
	"testing"

	"kigo/node/proof/prooftest"
	"kigo/node/tfile"
)

// TestImportPipe: a pipe is refused, not waited for.
func TestImportPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tfile.dat")
	must(t, syscall.Mkfifo(path, 0o600))
	s := mustOpen(t, t.TempDir(), Options{})
	if _, err := s.Import(t.Context(), path, tfile.Options{Verifier: &prooftest.StandIn{}}); err == nil {
		t.Error("a pipe was imported")
	}
}
