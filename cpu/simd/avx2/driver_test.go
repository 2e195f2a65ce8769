package avx2

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"kigo/node/mcm"
	"kigo/node/verify/verifytest"
)

// TestWriteVectors writes the known answers as testdata/driver.c reads them, to
// the file that KIGO_AVX2_VECTORS names (see the Makefile) or to a temporary
// one: records of 192 bytes, a trailer and its final hash.
func TestWriteVectors(t *testing.T) {
	path := os.Getenv("KIGO_AVX2_VECTORS")
	if path == "" {
		path = filepath.Join(t.TempDir(), "vectors.bin")
	}
	var out bytes.Buffer
	for _, v := range verifytest.Vectors(t) {
		if v.Peach() && !v.NoHash {
			out.Write(v.Trailer[:])
			out.Write(v.Want.Hash[:])
		}
	}
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	const record = mcm.TrailerLen + mcm.HashLen
	if info, err := os.Stat(path); err != nil || info.Size()%record != 0 || info.Size() < 500*record {
		t.Errorf("%s: got %v, %v, want at least 500 records of %d bytes", path, info, err, record)
	}
}
