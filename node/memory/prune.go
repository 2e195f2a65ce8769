package memory

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"kigo/node/mcm"
)

// longStanding is how many good peers that were known for the longest keep their
// place whatever comes: the node asks them first after a restart, so that nobody
// can replace all of its views at once (docs/spec/sync.md section 8.8).
const longStanding = 8

// prune drops what has expired, what is too much and, of the tables it looks
// through, what doesn't decode.  With all it looks through every table, else
// through those alone in which something may have to go.
func (s *session) prune(all bool) error {
	for _, step := range []func(all bool) error{
		s.prunePeers, s.pruneGroups, s.pruneInvalid, s.pruneTrailers, s.pruneVerified, s.pruneEvidence, s.pruneWaiting,
	} {
		if err := step(all); err != nil {
			return err
		}
	}
	return nil
}

// A leaving is a record that has to go.
type leaving struct {
	key []byte
	why reason
}

// dropAll deletes records after a walk, which deleting would disturb.
func (s *session) dropAll(t table, gone []leaving) error {
	for _, l := range gone {
		if err := s.drop(t, l.key, l.why); err != nil {
			return err
		}
	}
	return nil
}

// leaves judges a record by its age.
func (s *session) leaves(at time.Time, life time.Duration) (why reason, gone bool) {
	switch ageOf(at, life, s.now) {
	case expired:
		return tooOld, true
	case ahead:
		return tooNew, true
	}
	return 0, false
}

// A candidate is a peer that may have to make room.
type candidate struct {
	key                []byte
	banned             bool
	until              time.Time // of the ban
	points             float64   // whole ones: fractions are what decay leaves of them
	good               bool      // has served a proof that held
	first, lastContact time.Time
	stays              bool
}

// compareCandidates orders peers by who leaves first: those with the fewest
// points, among them those that never were of use, then those not heard of for
// the longest.  Banned ones come last, so that no flood of addresses ends a ban
// before its time.
func compareCandidates(a, b *candidate) int {
	rank := func(c *candidate) int {
		switch {
		case c.stays:
			return 1
		case c.banned:
			return 2
		}
		return 0
	}
	if c := cmp.Compare(rank(a), rank(b)); c != 0 {
		return c
	}
	if a.banned {
		return cmp.Or(a.until.Compare(b.until), bytes.Compare(a.key, b.key))
	}
	useless := func(c *candidate) int {
		if c.good {
			return 1
		}
		return 0
	}
	return cmp.Or(
		cmp.Compare(a.points, b.points),
		cmp.Compare(useless(a), useless(b)),
		a.lastContact.Compare(b.lastContact),
		bytes.Compare(a.key, b.key),
	)
}

func (s *session) prunePeers(bool) error {
	var gone []leaving
	var stay []candidate
	err := s.tx.Bucket(peers.name()).ForEach(func(k, v []byte) error {
		p, err := decodePeer(k, v)
		if err != nil {
			gone = append(gone, leaving{bytes.Clone(k), malformed})
			return nil
		}
		if why, is := s.leaves(p.LastContact, PeerTime); is {
			gone = append(gone, leaving{bytes.Clone(k), why})
			return nil
		}
		p.trim(s.now)
		objective, soft := p.Standing.Points(s.now)
		stay = append(stay, candidate{
			key:         bytes.Clone(k),
			banned:      p.Standing.Banned(s.now),
			until:       p.Standing.BannedUntil,
			points:      float64(int64(objective + soft)),
			good:        p.Successes > 0,
			first:       p.FirstSeen,
			lastContact: p.LastContact,
		})
		return nil
	})
	if err != nil {
		return err
	}
	if over := len(stay) - MaxPeers; over > 0 {
		slices.SortFunc(stay, func(a, b candidate) int {
			return cmp.Or(a.first.Compare(b.first), bytes.Compare(a.key, b.key))
		})
		kept := 0
		for i := range stay {
			if c := &stay[i]; c.good && !c.banned && kept < longStanding {
				c.stays = true
				kept++
			}
		}
		slices.SortFunc(stay, func(a, b candidate) int { return compareCandidates(&a, &b) })
		for _, c := range stay[:over] {
			gone = append(gone, leaving{c.key, capacity})
		}
	}
	return s.dropAll(peers, gone)
}

// A dated is a record and the time by which it makes room, the oldest first.
type dated struct {
	key []byte
	at  time.Time
}

// evict returns the records that are more than max, the oldest ones.  A time that
// lies ahead of the clock counts as the oldest.
func (s *session) evict(stay []dated, max int) (gone []leaving) {
	if len(stay) <= max {
		return nil
	}
	for i := range stay {
		if ageOf(stay[i].at, PeerTime, s.now) == ahead {
			stay[i].at = time.Time{}
		}
	}
	slices.SortFunc(stay, func(a, b dated) int {
		return cmp.Or(a.at.Compare(b.at), bytes.Compare(a.key, b.key))
	})
	for _, d := range stay[:len(stay)-max] {
		gone = append(gone, leaving{d.key, capacity})
	}
	return gone
}

// sift walks a table, asks when each record was last of use, and returns the keys of
// those that have to go, because they don't decode, are older than life (0 for
// ever), or are more than max.
func (s *session) sift(t table, life time.Duration, max int, dateOf func(k, v []byte) (time.Time, error)) (gone []leaving, err error) {
	var stay []dated
	err = s.tx.Bucket(t.name()).ForEach(func(k, v []byte) error {
		at, err := dateOf(k, v)
		if err != nil {
			gone = append(gone, leaving{bytes.Clone(k), malformed})
			return nil
		}
		if life > 0 {
			if why, is := s.leaves(at, life); is {
				gone = append(gone, leaving{bytes.Clone(k), why})
				return nil
			}
		}
		stay = append(stay, dated{bytes.Clone(k), at})
		return nil
	})
	return append(gone, s.evict(stay, max)...), err
}

func (s *session) pruneGroups(bool) error {
	gone, err := s.sift(groups, GroupTime, MaxGroups, func(k, v []byte) (time.Time, error) {
		g, err := decodeGroup(k, v)
		return g.LastUsed, err
	})
	if err != nil {
		return err
	}
	return s.dropAll(groups, gone)
}

// pruneInvalid keeps to the capacity; nothing in the table expires.
func (s *session) pruneInvalid(all bool) error {
	if !all && s.held[invalid] <= MaxInvalid {
		return nil
	}
	gone, err := s.sift(invalid, 0, MaxInvalid, func(k, v []byte) (time.Time, error) {
		rec, err := decodeInvalid(k, v)
		return rec.Met, err
	})
	if err != nil {
		return err
	}
	b := s.tx.Bucket(trailers.name())
	for _, l := range gone {
		if b.Get(l.key) == nil {
			continue
		}
		if err := s.drop(trailers, l.key, l.why); err != nil {
			return err
		}
	}
	return s.dropAll(invalid, gone)
}

// pruneTrailers keeps the bytes of the invalid trailers that were met last.
func (s *session) pruneTrailers(all bool) error {
	if !all && s.held[trailers] <= MaxTrailers {
		return nil
	}
	findings := s.tx.Bucket(invalid.name())
	gone, err := s.sift(trailers, 0, MaxTrailers, func(k, v []byte) (time.Time, error) {
		if _, err := decodeTrailer(k, v); err != nil {
			return time.Time{}, err
		}
		rec, err := decodeInvalid(k, findings.Get(k))
		return rec.Met, err
	})
	if err != nil {
		return err
	}
	return s.dropAll(trailers, gone)
}

// pruneVerified works on both ends of the table, whose keys begin with the time.
func (s *session) pruneVerified(all bool) error {
	var gone []leaving
	c := s.tx.Bucket(verified.name()).Cursor()
	left := s.held[verified]
	for k, v := c.Last(); k != nil; k, v = c.Prev() {
		at, _, ok := splitTimeKey(k)
		if ok && ageOf(at, VerifiedTime, s.now) != ahead {
			break
		}
		gone = append(gone, leaving{bytes.Clone(k), verifiedReason(ok && len(v) == 0, tooNew)})
	}
	left -= len(gone)
	unseen := left // without those at the end
	for k, v := c.First(); k != nil && unseen > 0; k, v = c.Next() {
		unseen--
		at, _, ok := splitTimeKey(k)
		switch {
		case !ok || len(v) != 0:
			gone = append(gone, leaving{bytes.Clone(k), malformed})
		case ageOf(at, VerifiedTime, s.now) == expired:
			gone = append(gone, leaving{bytes.Clone(k), tooOld})
		case left > MaxVerified:
			gone = append(gone, leaving{bytes.Clone(k), capacity})
		case all:
			continue // a record that doesn't decode may be anywhere
		default:
			return s.dropAll(verified, gone)
		}
		left--
	}
	return s.dropAll(verified, gone)
}

func verifiedReason(ok bool, otherwise reason) reason {
	if !ok {
		return malformed
	}
	return otherwise
}

// pruneEvidence keeps to a number of records and of bytes.
func (s *session) pruneEvidence(bool) error {
	var stay []dated
	var gone []leaving
	size := make(map[mcm.Hash]int)
	total := 0
	err := s.tx.Bucket(evidences.name()).ForEach(func(k, v []byte) error {
		at, id, ok := splitTimeKey(k)
		if !ok {
			gone = append(gone, leaving{bytes.Clone(k), malformed})
			return nil
		}
		stay = append(stay, dated{bytes.Clone(k), at})
		size[id] += len(v)
		total += len(v)
		return nil
	})
	if err != nil {
		return err
	}
	if total > MaxEvidenceBytes || len(stay) > MaxEvidence {
		oldest := s.evict(stay, 0)
		for left := len(oldest); total > MaxEvidenceBytes || left > MaxEvidence; left-- {
			key := oldest[0].key
			total -= size[mcm.Hash(key[8:])]
			gone = append(gone, oldest[0])
			oldest = oldest[1:]
		}
	}
	return s.dropAll(evidences, gone)
}

// pruneWaiting keeps to the capacity, those whose wait ends first making room, and
// drops branches whose wait is long over or longer than any may be.
func (s *session) pruneWaiting(bool) error {
	gone, err := s.sift(waiting, 2*WaitingTime, MaxWaiting, func(k, v []byte) (time.Time, error) {
		w, err := decodeWaiting(k, v)
		return w.Until.Add(-WaitingTime), err
	})
	if err != nil {
		return err
	}
	return s.dropAll(waiting, gone)
}
