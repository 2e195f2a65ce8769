package scan

import (
	"cmp"
	"slices"
	"time"

	"kigo/node/fault"
	"kigo/node/memory"
	"kigo/node/proof"
	"kigo/node/wire"
)

// A contact is one peer in one scan.
type contact struct {
	entry   *entry
	skipped string // why it wasn't called

	tries   int  // visits so far
	pending bool // being visited, judged, or waiting for either
	calls   int
	reached bool
	in, out int64
	named   int
	took    time.Duration
	cut     bool // its last call ended with the scan

	claim  *wire.State  // the last one
	proof  *proof.Proof // of the last visit, while it may still hold
	served int          // trailers of the last visit
	wasted int          // trailers below a segment that didn't hold
	stated float64      // the work that they state, for the judge
	asked  *exchange    // the call that brought it, until it is proven
	refuse *observed    // why the last claim isn't proven
	faults []observed   // all, of all visits

	ahead     time.Duration     // by which its tip was ahead of our clock, if that refused it
	branch    int               // 1 + index of the best branch that its tip is on, 0 for none
	enough    bool              // that branch has enough work
	doubt     bool              // it fell by a trailer that convicts nobody
	lie       *observed         // a false weight
	statement *memory.Statement // the same to be remembered, unless it is
	evidence  []string
	points    Points
	detail    string // what else there is to say
	dirty     bool   // its row has changed since progress was shown
}

// add takes in what a visit brought.
func (c *contact) add(v *visit) {
	c.calls += v.calls
	c.in, c.out = c.in+v.in, c.out+v.out
	c.took += v.took
	c.reached = c.reached || v.reached
	c.named = max(c.named, v.named)
	if v.claim != nil {
		c.claim = v.claim
	}
	if c.cut = v.cut; v.cut && c.refuse != nil {
		return // the first visit's outcome stands
	}
	c.proof, c.asked, c.refuse = v.proof, v.asked, v.refuse
	c.served = 0
	if v.proof != nil {
		c.served = len(v.proof.Trailers)
	}
	c.faults = append(c.faults, v.faults...)
}

// drop lets go of a segment that doesn't hold.
func (c *contact) drop() {
	c.proof, c.asked = nil, nil
}

// proven reports whether the contact's segment holds, its work included.  While
// it is pending the segment may be the judge's, so nobody looks at it.
func (c *contact) proven() bool {
	return !c.pending && c.proof != nil && c.proof.Done && c.refuse == nil
}

// heard reports whether the peer is one to be remembered: it shook hands, or what
// it sent instead convicts it.
func (c *contact) heard() bool {
	return c.reached || slices.ContainsFunc(c.faults, func(f observed) bool { return f.call != nil })
}

// verdict sums the contact up.  Thin is what its own segment is; the branch it
// is on may have enough.
func (c *contact) verdict() (Verdict, fault.Kind) {
	switch {
	case c.skipped != "":
		return Skipped, ""
	case c.lie != nil:
		return Convicted, fault.FalseWeight
	case c.proven() && c.proof.Worked < proof.MinWorked && !c.enough:
		return Thin, ""
	case c.proven():
		return Proven, ""
	case c.refuse == nil:
		return Skipped, "" // the scan ended first
	}
	k := c.refuse.kind
	if c.doubt {
		return Doubtful, k
	}
	switch k {
	case fault.BrokenLink, fault.ClaimMismatch, fault.NotMultiple, fault.BadCRC:
		return Doubtful, k
	case fault.Early, fault.TooHigh, fault.TooOld:
		return SetAside, k
	}
	if k.Class() == fault.Objective {
		return Convicted, k
	}
	return Unavailable, k
}

// kinds returns what was observed, each kind once.
func (c *contact) kinds() []fault.Kind {
	var ks []fault.Kind
	for _, f := range c.faults {
		if f.kind != "" && !slices.Contains(ks, f.kind) {
			ks = append(ks, f.kind)
		}
	}
	return ks
}

// row returns the contact's row, as far as it is known without the others.
func (c *contact) row() Peer {
	p := Peer{
		Addr:      c.entry.Addr,
		Group:     c.entry.group,
		Source:    c.entry.Source,
		Detail:    c.detail,
		Faults:    c.kinds(),
		Claim:     c.claim,
		Branch:    c.branch - 1,
		BytesIn:   c.in,
		BytesOut:  c.out,
		Calls:     c.calls,
		Addresses: c.named,
		Points:    c.points,
		Evidence:  c.evidence,
		Seconds:   c.took.Seconds(),
	}
	p.Verdict, p.Reason = c.verdict()
	switch {
	case c.pending:
		p.Verdict, p.Reason = "", ""
	case c.skipped != "":
		p.Detail = c.skipped
	case c.refuse != nil:
		p.Rule, p.Block, p.Detail = c.refuse.rule, c.refuse.num, c.refuse.detail
	case c.lie != nil:
		p.Block, p.Detail = c.lie.num, c.lie.detail
	case !c.proven():
		p.Detail = cmp.Or(c.detail, "the scan ended first")
	}
	p.Trailers = c.served
	if c.proven() {
		p.Density, p.Worked, p.Trailers = c.proof.Density(), c.proof.Worked, len(c.proof.Trailers)
	}
	return p
}
