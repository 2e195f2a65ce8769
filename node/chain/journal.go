package chain

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"kigo/node/internal/pack"
	"kigo/node/mcm"
)

// A journal is a switch that is decided: the trailers from index from on are those
// of the source.  Its form on disk, integers little-endian:
//
//	magic | from | count | off | length and name of the source |
//	SHA-256 of the old state | SHA-256 of the new one | SHA-256 of all before
type journal struct {
	from   int64  // index; at 0 the source becomes tfile.dat by renaming
	count  int64  // trailers of the new chain
	off    int64  // of the trailer at from in the source
	name   string // of the source in the folder
	oldSum mcm.Hash
	newSum mcm.Hash
}

// moves reports whether the source is renamed instead of copied.
func (j *journal) moves() bool { return j.from == 0 }

const (
	journalMagic = "kigo chain switch 1\n"
	maxName      = 128
)

func (j *journal) encode() []byte {
	b := []byte(journalMagic)
	b = binary.LittleEndian.AppendUint64(b, uint64(j.from))
	b = binary.LittleEndian.AppendUint64(b, uint64(j.count))
	b = binary.LittleEndian.AppendUint64(b, uint64(j.off))
	b = pack.AppendString(b, j.name)
	b = append(b, j.oldSum[:]...)
	b = append(b, j.newSum[:]...)
	return seal(b)
}

// decodeJournal reads what encode wrote and nothing else.
func decodeJournal(b []byte) (*journal, error) {
	body, err := unseal(b, journalMagic)
	if err != nil {
		return nil, err
	}
	r := pack.NewReader(body)
	j := &journal{}
	from, count := r.Uint64(), r.Uint64()
	off := r.Uint64()
	j.name = r.String(maxName)
	r.Fill(j.oldSum[:])
	r.Fill(j.newSum[:])
	if err := r.Done(); err != nil {
		return nil, err
	}
	if from >= count || count > maxTrailers || off > maxTrailers*mcm.TrailerLen || from == 0 && off != 0 {
		return nil, fmt.Errorf("trailers %d to %d from byte %d of %s", from, count, off, j.name)
	}
	j.from, j.count, j.off = int64(from), int64(count), int64(off)
	if !isSource(j.name) {
		return nil, errors.New("its source is none of ours")
	}
	return j, nil
}

// isSource reports whether a name in a journal can be one that we wrote.
func isSource(name string) bool {
	if name == sourceName || name == importName {
		return true
	}
	n, ok := strings.CutPrefix(name, stagingPrefix)
	n, data := strings.CutSuffix(n, dataExt)
	return ok && data && validName(n)
}
