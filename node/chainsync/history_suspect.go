package chainsync

import (
	"net/netip"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/tfile"
)

// A suspect has served something that is wrong, unless we are.
type suspect struct {
	group  netip.Prefix
	thing  mcm.Hash // what it served: the id of a trailer, or a digest
	charge charge
}

// suspect notes what a source has to answer for as far as place goes: a piece of the
// pin, or an invalid trailer.  Nobody is asked by it any more, and it is charged when it
// is clear that it isn't our own failure.
func (d *download) suspect(place, thing mcm.Hash, by *source, c charge) {
	s := suspect{thing: thing, charge: c}
	if by != nil {
		s.group = by.Group
	}
	d.suspects[place] = append(d.suspects[place], s)
}

// cleared charges those who served something else than what has turned out to be right
// at a place.
func (d *download) cleared(place mcm.Hash) {
	for _, s := range d.suspects[place] {
		d.observe(s.charge)
	}
	delete(d.suspects, place)
}

// doubted reports whether peers of three groups have served the same wrong thing
// at a place: rather than that they conspire our own rules, or the pin, may be wrong.
func (d *download) doubted(place mcm.Hash) bool {
	groups := map[mcm.Hash]map[netip.Prefix]bool{}
	for _, s := range d.suspects[place] {
		if groups[s.thing] == nil {
			groups[s.thing] = map[netip.Prefix]bool{}
		}
		groups[s.thing][s.group] = true
		if len(groups[s.thing]) >= few {
			return true
		}
	}
	return false
}

// accuse charges those suspects that are left when a download ends, but for those
// where we may be wrong.
func (d *download) accuse() {
	// Trailers of old history that are invalid may be different ones for each peer that
	// falls by a rule of ours (docs/spec/sync.md section 8.8).
	invalid := newSupport()
	for _, all := range d.suspects {
		for _, s := range all {
			if s.charge.Fault.Kind == fault.InvalidTrailer {
				invalid.groups[s.group], invalid.addrs[s.charge.Peer] = true, true
			}
		}
	}
	rules := len(invalid.groups) >= few && 2*len(invalid.addrs) >= d.crowd
	for place, all := range d.suspects {
		pin := all[0].charge.Fault.Kind == fault.PinMismatch
		if pin && d.doubted(place) || !pin && rules {
			d.o.Log.Warn("sync: peers of several groups are in the wrong, and nobody is charged", "kind", all[0].charge.Fault.Kind,
				"detail", all[0].charge.Fault.Detail, "peers", len(all))
			delete(d.suspects, place)
			continue
		}
		d.cleared(place)
	}
}

// judged settles accounts with suspects when a download ends with err, and returns what
// it ends with: if that is for want of a piece of the pin, it may be the pin's fault.
func (d *download) judged(err error) error {
	if _, stuck := err.(*unavailableError); stuck {
		if p, ok := d.mismatched(); ok {
			err = d.contradicts(p, "is served otherwise by at least %d groups, all the same", few)
		}
	}
	d.accuse()
	return err
}

// mismatched returns the piece of the pin that peers of several groups serve the same
// otherwise, if there is one.
func (d *download) mismatched() (p piece, ok bool) {
	for place, all := range d.suspects {
		if all[0].charge.Fault.Kind != fault.PinMismatch || !d.doubted(place) {
			continue
		}
		for i, want := range d.o.Pin.Pieces {
			if want == place {
				p, _ = d.piece(mcm.BlockNum(i) * tfile.PieceTrailers)
				return p, true
			}
		}
	}
	return p, false
}
