package memory

import (
	"bytes"
	"encoding/hex"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"kigo/node/mcm"
)

// An entry is a record ready to be stored.
type entry struct{ key, value []byte }

// Save stores the changes in one transaction and drops what is too old or too
// much by then; when it returns nil they are on disk.  What has no place in its
// table, such as an address that is no IPv4 or a trailer that isn't the one its
// id says, is left out and counted.
func (db *DB) Save(now time.Time, c *Changes) error {
	start := time.Now()
	var unfit losses
	puts := encode(now, c, &unfit)

	db.mu.Lock()
	defer db.mu.Unlock()
	err := db.transact(now, func(s *session) error {
		s.lost.add(&unfit)
		if c.Doubted {
			if err := s.doubt(); err != nil {
				return err
			}
		}
		for t, entries := range puts {
			if err := s.put(table(t), entries); err != nil {
				return err
			}
		}
		if err := s.meet(c.Met); err != nil {
			return err
		}
		if err := s.serve(c.Served); err != nil {
			return err
		}
		return s.prune(false)
	})
	if err == nil {
		db.metrics.saved(time.Since(start))
	}
	return err
}

// encode makes entries of the changes, sorted by key, which is how bbolt writes
// them with the least effort.
func encode(now time.Time, c *Changes, unfit *losses) (puts [tables][]entry) {
	add := func(t table, key, value []byte, err error) {
		if err != nil {
			unfit[t][malformed]++
			return
		}
		puts[t] = append(puts[t], entry{key, value})
	}
	for i := range c.Peers {
		key, value, err := encodePeer(&c.Peers[i])
		add(peers, key, value, err)
	}
	for i := range c.Groups {
		key, value, err := encodeGroup(&c.Groups[i])
		add(groups, key, value, err)
	}
	for i := range c.Invalid {
		key, value, err := encodeInvalid(&c.Invalid[i])
		add(invalid, key, value, err)
	}
	for _, v := range lastMet(c.Invalid) {
		if _, _, err := encodeInvalid(v); err == nil && v.Trailer != (mcm.Trailer{}) {
			key, value := encodeTrailer(v.ID, &v.Trailer)
			add(trailers, key, value, nil)
		}
	}
	for i := range c.Verified {
		add(verified, timeKey(now, c.Verified[i][:]), []byte{}, nil)
	}
	for i := range c.Waiting {
		key, value, err := encodeWaiting(&c.Waiting[i])
		add(waiting, key, value, err)
	}
	for _, r := range c.Evidence {
		id, err := hex.DecodeString(r.ID)
		if err != nil || len(id) != 32 {
			err = errMisfit
		}
		var value []byte
		if err == nil {
			value, err = r.MarshalBinary()
		}
		add(evidences, timeKey(r.Time, id), value, err)
	}
	for t := range puts {
		slices.SortStableFunc(puts[t], func(a, b entry) int { return bytes.Compare(a.key, b.key) })
	}
	return puts
}

// lastMet returns those that may be kept with their trailers.  That more are never
// put into the table matters: to take entries out again in the transaction that
// brought them costs bbolt the square of their number.
func lastMet(all []Invalid) []*Invalid {
	last := make([]*Invalid, len(all))
	for i := range all {
		last[i] = &all[i]
	}
	slices.SortStableFunc(last, func(a, b *Invalid) int { return b.Met.Compare(a.Met) })
	return last[:min(len(last), MaxTrailers)]
}

// A session is one transaction that writes, with what it does to the counts.
type session struct {
	tx   *bbolt.Tx
	now  time.Time
	held counts
	lost losses
}

// transact runs fn in a transaction, and takes over the counts if it succeeds.
func (db *DB) transact(now time.Time, fn func(s *session) error) error {
	var s session
	err := db.update(func(tx *bbolt.Tx) error {
		s = session{tx: tx, now: now, held: db.held}
		return fn(&s)
	})
	if err != nil {
		return err
	}
	db.held = s.held
	db.metrics.count(&s.held, &s.lost)
	return nil
}

// doubt forgets all that was verified, at once: to delete entry by entry costs bbolt the
// square of their number.
func (s *session) doubt() error {
	name := verified.name()
	if err := s.tx.DeleteBucket(name); err != nil {
		return err
	}
	s.held[verified] = 0
	_, err := s.tx.CreateBucket(name)
	return err
}

// put stores entries.
func (s *session) put(t table, entries []entry) error {
	b := s.tx.Bucket(t.name())
	if t == verified {
		b.FillPercent = 0.9 // keys come in order
	}
	for _, e := range entries {
		if b.Get(e.key) == nil {
			s.held[t]++
		}
		if err := b.Put(e.key, e.value); err != nil {
			return err
		}
	}
	return nil
}

// meet notes that invalid trailers were met again.
func (s *session) meet(ids []mcm.Hash) error {
	b := s.tx.Bucket(invalid.name())
	var again []entry
	for _, id := range ids {
		rec, err := decodeInvalid(id[:], b.Get(id[:]))
		if err != nil {
			continue // it left in the meantime, or Load will drop it
		}
		rec.Met = s.now
		key, value, err := encodeInvalid(&rec)
		if err != nil {
			return err
		}
		again = append(again, entry{key, value})
	}
	return s.put(invalid, again)
}

// serve deletes the records of branches that wait no longer.
func (s *session) serve(roots []mcm.Hash) error {
	b := s.tx.Bucket(waiting.name())
	for i := range roots {
		if b.Get(roots[i][:]) == nil {
			continue
		}
		s.held[waiting]--
		if err := b.Delete(roots[i][:]); err != nil {
			return err
		}
	}
	return nil
}

// drop deletes a record for a reason.
func (s *session) drop(t table, key []byte, why reason) error {
	s.held[t]--
	s.lost[t][why]++
	return s.tx.Bucket(t.name()).Delete(key)
}

// add sums up losses.
func (l *losses) add(m *losses) {
	for t := range m {
		for why, n := range m[t] {
			l[t][why] += n
		}
	}
}
