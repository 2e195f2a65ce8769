package memory

import (
	"fmt"
	"slices"
	"time"

	"kigo/node/mcm"
)

// Load returns all that is remembered and still good at a time, and drops the
// rest.  A damaged file is set aside, and the new one has nothing to tell.
func (db *DB) Load(now time.Time) (*Snapshot, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	var snap *Snapshot
	err := db.transact(now, func(s *session) error {
		if err := s.prune(true); err != nil {
			return err
		}
		snap = new(Snapshot)
		return s.read(snap)
	})
	if err != nil {
		return nil, err
	}
	return snap, nil
}

// read fills a snapshot from tables that were pruned, so that all decodes.
func (s *session) read(snap *Snapshot) error {
	snap.Peers = make([]Peer, 0, s.held[peers])
	err := s.tx.Bucket(peers.name()).ForEach(func(k, v []byte) error {
		p, err := decodePeer(k, v)
		if err != nil {
			return fmt.Errorf("peer %x: %w", k, err)
		}
		p.trim(s.now)
		snap.Peers = append(snap.Peers, p)
		return nil
	})
	if err != nil {
		return err
	}
	snap.Groups = make([]Group, 0, s.held[groups])
	err = s.tx.Bucket(groups.name()).ForEach(func(k, v []byte) error {
		g, err := decodeGroup(k, v)
		if err != nil {
			return fmt.Errorf("group %x: %w", k, err)
		}
		g.trim(s.now)
		snap.Groups = append(snap.Groups, g)
		return nil
	})
	if err != nil {
		return err
	}
	snap.Invalid = make([]Invalid, 0, s.held[invalid])
	known := s.tx.Bucket(trailers.name())
	err = s.tx.Bucket(invalid.name()).ForEach(func(k, v []byte) error {
		rec, err := decodeInvalid(k, v)
		if err != nil {
			return fmt.Errorf("invalid trailer %x: %w", k, err)
		}
		if b := known.Get(k); b != nil {
			if rec.Trailer, err = decodeTrailer(k, b); err != nil {
				return fmt.Errorf("trailer %x: %w", k, err)
			}
		}
		snap.Invalid = append(snap.Invalid, rec)
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortStableFunc(snap.Invalid, func(a, b Invalid) int { return a.Met.Compare(b.Met) })
	snap.Waiting = make([]Waiting, 0, s.held[waiting])
	err = s.tx.Bucket(waiting.name()).ForEach(func(k, v []byte) error {
		w, err := decodeWaiting(k, v)
		if err != nil {
			return fmt.Errorf("waiting branch %x: %w", k, err)
		}
		snap.Waiting = append(snap.Waiting, w)
		return nil
	})
	if err != nil {
		return err
	}
	snap.Verified = make([]mcm.Hash, 0, s.held[verified])
	err = s.tx.Bucket(verified.name()).ForEach(func(k, _ []byte) error {
		_, id, _ := splitTimeKey(k)
		snap.Verified = append(snap.Verified, id)
		return nil
	})
	return err
}
