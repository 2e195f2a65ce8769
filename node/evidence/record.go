package evidence

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"kigo/node/fault"
	"kigo/node/internal/pack"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/rules"
	"kigo/node/wire"
)

// Bounds of a record.
const (
	MaxPackets = 64
	// MaxPacketBytes is what a call keeps of an answer, 256 KiB: more than a
	// whole range of 1,000 trailers.
	MaxPacketBytes = 256 << 10
	// MaxChain is how many trailers may lie between an anchor and a tip: a proof
	// that was extended as far as it may be, and the segment of another.
	MaxChain  = 2048
	maxRule   = 32
	maxDetail = 1024
)

// ErrUnfit says that something can't be a record: no objective fault, not of an
// IPv4 address, or larger than a record may be.
var ErrUnfit = errors.New("no evidence")

// A Record is one objective fault of one peer with all that is needed to repeat
// the judgement.  New makes it; it isn't changed afterwards.
type Record struct {
	ID string // SHA-256 of the record's binary form, 64 hex digits

	// What was found.
	Time   time.Time    // the clock at the judgement
	Peer   netip.Addr   // whom it costs
	Kind   fault.Kind   // an objective one
	Rule   rules.Rule   // the rule that an invalid trailer breaks, else empty
	Num    mcm.BlockNum // the block at which it shows; 0 for frames and lists
	Detail string       // in words

	// What was asked, and what came back.
	Claim    wire.State   // what the peer stated of its chain
	Op       wire.Op      // the request; OpHello when there was none yet; OpFound for what the peer sent by itself
	First    mcm.BlockNum // of the trailers asked for
	Count    int          // how many
	ID1, ID2 uint16       // of the connection
	Packets  [][]byte     // as received, in order; only the last may be incomplete

	// By what it was judged.
	Next    *mcm.Trailer  // for a range in front of others: the trailer behind it
	Anchor  *proof.Anchor // for a weight: from where the exact one counts
	Chain   []mcm.Trailer // for a weight: the trailers above the anchor up to the tip
	Options proof.Options // of the proof
	RuleSet int           // rules.Version
}

// New returns a private copy of r with its ID.  Texts are cut to size; the error
// wraps ErrUnfit.  Num need be given for an invalid trailer only.
func New(r Record) (*Record, error) {
	c := r
	// A binary record has no other form of these.
	c.Time = r.Time.Round(0).UTC()
	c.Peer = r.Peer.Unmap()
	c.Detail = pack.Clip(r.Detail, maxDetail)
	c.Packets = nil
	for _, p := range r.Packets {
		c.Packets = append(c.Packets, append([]byte(nil), p...))
	}
	c.Chain = append([]mcm.Trailer(nil), r.Chain...)
	c.Next = clone(r.Next)
	c.Anchor = clone(r.Anchor)
	c.Options.Height = clone(r.Options.Height)
	if err := c.fits(); err != nil {
		return nil, err
	}
	switch c.Kind {
	case fault.FalseWeight:
		c.Num = c.Claim.Num
	case fault.WrongNumbers, fault.TooLong, fault.BadList, fault.BadFrame:
		if f := c.replay().finding; f != nil {
			c.Num = f.Num
		}
	}
	c.ID = c.id().String()
	return &c, nil
}

// fits reports why the record isn't one.
func (r *Record) fits() error {
	size := 0
	for _, p := range r.Packets {
		size += len(p)
	}
	unfit := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrUnfit, fmt.Sprintf(format, args...))
	}
	switch {
	case r.Kind.Class() != fault.Objective:
		return unfit("%q is no objective fault", r.Kind)
	case !r.Peer.Is4():
		return unfit("peer %v, expected an IPv4 address", r.Peer)
	case len(r.Rule) > maxRule:
		return unfit("a rule's name of %d bytes, expected at most %d", len(r.Rule), maxRule)
	case r.Count < 0 || r.Count > wire.MaxTF:
		return unfit("%d trailers asked for, expected at most %d", r.Count, wire.MaxTF)
	case len(r.Packets) > MaxPackets || size > MaxPacketBytes:
		return unfit("%d packets of %d bytes, expected at most %d of %d", len(r.Packets), size, MaxPackets, MaxPacketBytes)
	case len(r.Chain) > MaxChain:
		return unfit("%d trailers above the anchor, expected at most %d", len(r.Chain), MaxChain)
	case r.RuleSet < 0 || r.RuleSet > 1<<31-1:
		return unfit("rule set %d", r.RuleSet)
	}
	return nil
}

// Block returns the block at which the fault shows, nil for a fault of packets,
// whatever blocks they are about.
func (r *Record) Block() *mcm.BlockNum {
	switch r.Kind {
	case fault.TooLong, fault.BadList, fault.BadFrame:
		return nil
	}
	return &r.Num
}

// Size returns how many bytes were received.
func (r *Record) Size() (n int) {
	for _, p := range r.Packets {
		n += len(p)
	}
	return n
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}
