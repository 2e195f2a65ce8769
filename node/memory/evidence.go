package memory

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/bbolt"

	"kigo/node/evidence"
)

// ErrNoEvidence says that no record has the id asked for.
var ErrNoEvidence = errors.New("no such evidence")

// An AmbiguousError says that more than one record's id begins as asked for.
type AmbiguousError struct {
	Prefix string
	IDs    []string // some of them
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("evidence %q is ambiguous: %s", e.Prefix, strings.Join(e.IDs, ", "))
}

// Evidence returns all evidence, the oldest first.  A record that doesn't decode
// is left out and counted.
func (db *DB) Evidence() ([]*evidence.Record, error) {
	var all []*evidence.Record
	err := db.look(evidences, func(key, value []byte) error {
		if r := db.record(key, value); r != nil {
			all = append(all, r)
		}
		return nil
	})
	return all, err
}

// EvidenceByID returns the one record whose id begins with a prefix, in hex
// digits of either case.  The error is ErrNoEvidence or an *AmbiguousError when
// there isn't one.
func (db *DB) EvidenceByID(prefix string) (*evidence.Record, error) {
	var found []*evidence.Record
	prefix = strings.ToLower(prefix)
	err := db.look(evidences, func(key, value []byte) error {
		if _, id, ok := splitTimeKey(key); !ok || !strings.HasPrefix(hex.EncodeToString(id[:]), prefix) || len(found) > 3 {
			return nil
		}
		if r := db.record(key, value); r != nil {
			found = append(found, r)
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, fmt.Errorf("%w: %q", ErrNoEvidence, prefix)
	case len(found) > 1:
		e := &AmbiguousError{Prefix: prefix}
		for _, r := range found {
			e.IDs = append(e.IDs, r.ID)
		}
		return nil, e
	}
	return found[0], nil
}

// record decodes a record, which has to be the one its key says.
func (db *DB) record(key, value []byte) *evidence.Record {
	r := new(evidence.Record)
	_, id, ok := splitTimeKey(key)
	if err := r.UnmarshalBinary(value); err != nil || !ok || r.ID != id.String() {
		db.metrics.dropped.WithLabelValues(evidences.String(), malformed.String()).Inc()
		db.log.Warn("evidence left out, it does not decode", "file", db.path, "evidence", id, "err", err)
		return nil
	}
	return r
}

// Peers returns all peers as they were saved, in no order.  A record that doesn't
// decode is left out.
func (db *DB) Peers() (all []Peer, err error) {
	err = db.look(peers, func(key, value []byte) error {
		if p, err := decodePeer(key, value); err == nil {
			all = append(all, p)
		}
		return nil
	})
	return all, err
}

// look walks through a table.
func (db *DB) look(t table, fn func(key, value []byte) error) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.bolt == nil {
		return db.err
	}
	err := guard(func() error {
		return db.bolt.View(func(tx *bbolt.Tx) error {
			if b := tx.Bucket(t.name()); b != nil {
				return b.ForEach(fn)
			}
			return nil // a file of another kind, open for reading
		})
	})
	if !isDamage(err) {
		return err
	}
	if db.readOnly {
		db.drop(err)
		return db.wrap(err)
	}
	// What was found before the damage is still good.
	return db.replace(err)
}
