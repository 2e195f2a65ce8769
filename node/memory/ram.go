package memory

import (
	"slices"
	"sync"
	"time"

	"kigo/node/evidence"
	"kigo/node/mcm"
)

// A RAM is a memory that writes nothing and ends with the process.  It keeps what
// scans of one process can't hand on otherwise, trailers and evidence, within the
// capacities of a DB; peers and groups are in the scans' book all the while.  The
// zero value is empty and ready for use, by several goroutines too.
type RAM struct {
	mu       sync.Mutex
	invalid  []Invalid  // the least recently met first
	verified []mcm.Hash // the oldest first
	evidence []*evidence.Record
	size     int // of all evidence
}

// Load returns what is remembered of trailers.
func (m *RAM) Load(time.Time) (*Snapshot, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &Snapshot{Invalid: slices.Clone(m.invalid), Verified: slices.Clone(m.verified)}, nil
}

// Save adds the changes, of which it keeps the evidence itself; what is too much
// makes room, the oldest first.
func (m *RAM) Save(now time.Time, c *Changes) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.meet(now, c)
	if c.Doubted {
		m.verified = nil
	}
	m.verified = last(append(m.verified, c.Verified...), MaxVerified)

	m.evidence = append(m.evidence, c.Evidence...)
	for _, r := range c.Evidence {
		m.size += weigh(r)
	}
	for len(m.evidence) > MaxEvidence || m.size > MaxEvidenceBytes {
		m.size -= weigh(m.evidence[0])
		m.evidence = slices.Delete(m.evidence, 0, 1)
	}
	return nil
}

// meet enters what was met in a scan, as what was met last.
func (m *RAM) meet(now time.Time, c *Changes) {
	if len(c.Met)+len(c.Invalid) == 0 {
		return
	}
	met := make(map[mcm.Hash]bool, len(c.Met))
	for _, id := range c.Met {
		met[id] = true
	}
	for i := range m.invalid {
		if met[m.invalid[i].ID] {
			m.invalid[i].Met = now
		}
	}
	m.invalid = append(m.invalid, c.Invalid...)
	slices.SortStableFunc(m.invalid, func(a, b Invalid) int { return a.Met.Compare(b.Met) })
	m.invalid = last(m.invalid, MaxInvalid)
}

// Evidence returns all records, the oldest first.  They are shared and never
// change.
func (m *RAM) Evidence() ([]*evidence.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.evidence), nil
}

// weigh returns the bytes of a record, but for the few that each has.
func weigh(r *evidence.Record) int { return r.Size() + len(r.Chain)*mcm.TrailerLen }

// last returns the last n of s, or all if there are no more.
func last[T any](s []T, n int) []T { return slices.Delete(s, 0, max(0, len(s)-n)) }
