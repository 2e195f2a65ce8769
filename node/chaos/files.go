package chaos

import (
	"bytes"
	"errors"
	"io"
	"slices"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/scan"
	"kigo/node/wire"
)

// files are kinds of peers whose proof holds, and whose chain below it, in ranges
// and as a whole file, is not what it should be.
var files = []Kind{
	{
		Name: "file-forged-tail", Family: Files, Expect: seen(fault.InvalidTrailer), Sync: Sync{Must: []fault.Kind{fault.InvalidTrailer}},
		Summary: "has an honest beginning, then blocks of overwhelming weight without work, then a worked proof",
		hooks:   hooks{stand: func(c *call) spot { return end(pick(c, c.fleet.world.tails)) }, deep: asIs},
	}, {
		// Whether it is charged depends on who is quicker: a range that another one has
		// served by then is not looked at.
		Name: "file-forged-head", Family: Files, Expect: seen(fault.ForeignRange), Sync: Sync{May: []fault.Kind{fault.ForeignRange}},
		Summary: "is on the honest tip, and serves forged trailers below an honest piece",
		hooks: hooks{deep: lie(func(c *call, ts []mcm.Trailer) []mcm.Trailer {
			honest := segment + 10 + c.own().IntN(20) // from the tip down
			i := int64(c.at.num()) + 1 - int64(honest) - int64(ts[0].Num())
			return beside(ts, int(max(0, min(i, int64(len(ts))))), c.own())
		})},
	}, {
		Name: "file-bad-work", Family: Files, Expect: seen(fault.InvalidTrailer), Sync: Sync{Must: []fault.Kind{fault.InvalidTrailer}},
		Summary: "has a chain in which one block, somewhere below the proof, lacks its work",
		hooks:   hooks{stand: func(c *call) spot { return end(pick(c, c.fleet.world.short)) }, deep: asIs},
	}, {
		Name: "file-not-proof", Family: Files, Expect: seen(fault.ForeignRange), Sync: Sync{May: []fault.Kind{fault.ForeignRange}},
		Summary: "is on the honest tip, and serves another chain below its proof",
		hooks:   hooks{deep: lie(elsewhere)},
	}, {
		Name: "file-swapped", Family: Files, Expect: seen(fault.ForeignRange), Sync: Sync{May: []fault.Kind{fault.ForeignRange}},
		Summary: "serves the honest chain below its proof once, and another one the next time",
		hooks: hooks{deep: func(c *call, first uint32, honest []byte) error {
			if c.deeps.Load()%2 == 1 {
				return c.file(honest)
			}
			return lie(elsewhere)(c, first, honest)
		}},
	}, {
		Name: "file-endless", Family: Files, Expect: seen(fault.TooLong), Sync: Sync{Must: []fault.Kind{fault.TooLong}},
		Summary: "serves ranges and files that don't end",
		hooks: hooks{deep: func(c *call, _ uint32, honest []byte) error {
			if len(honest) == 0 {
				return nil
			}
			// Packets are full, as the last one of a file is not.
			whole := len(honest)
			for len(honest) < 2*wire.FileChunk {
				honest = slices.Concat(honest, honest)
			}
			for at, n := 0, 0; n < floodPackets; n++ {
				if err := c.send(wire.Packet{Op: wire.OpSendFile, Data: honest[at : at+wire.FileChunk]}); err != nil {
					if n*wire.FileChunk > whole {
						c.lies.Add(1)
					}
					return err
				}
				if at += wire.FileChunk; at+wire.FileChunk > len(honest) {
					at = 0
				}
			}
			return nil
		}},
	}, {
		Name: "file-cut", Family: Files, Expect: unfit(),
		Summary: "serves 99 % of each range and file",
		hooks: hooks{deep: lie(func(_ *call, ts []mcm.Trailer) []mcm.Trailer {
			return ts[:len(ts)-(len(ts)+99)/100]
		})},
	}, {
		Name: "file-odd", Family: Files, Expect: unfit(),
		Summary: "serves ranges and files that end within a trailer",
		hooks: hooks{deep: func(c *call, _ uint32, honest []byte) error {
			return c.tell(honest[:max(0, len(honest)-mcm.TrailerLen/2)])
		}},
	}, {
		Name: "legacy-altered", Family: Files, Expect: proven(), Sync: Sync{Must: []fault.Kind{fault.InvalidTrailer}},
		Summary: "serves the honest chain, one block before version 3 without its work",
		hooks:   hooks{deep: lie(history(func(p *past) []mcm.Trailer { return p.altered }))},
	}, {
		Name: "legacy-other", Family: Files, Expect: proven(),
		Summary: "serves another past, of less work, below the honest version 3",
		hooks:   hooks{deep: lie(history(func(p *past) []mcm.Trailer { return p.other }))},
	}, {
		Name: "legacy-wrapped", Family: Files, Expect: proven(), Sync: Sync{May: []fault.Kind{fault.InvalidTrailer}},
		Summary: "serves a past with difficulties that no block could have",
		hooks:   hooks{deep: lie(history(func(p *past) []mcm.Trailer { return p.wrapped }))},
	},
}

// seen expects that a scan finds the proof good, or the fault where it looked below
// the proof to tell branches apart.
func seen(k fault.Kind) Expect {
	e := convicted("", k)
	e.Verdicts = append(e.Verdicts, scan.Proven)
	return e
}

// unfit expects that a scan finds the proof good, and nothing worse than soft faults
// where it looked below it.
func unfit() Expect {
	return Expect{Verdicts: []scan.Verdict{scan.Proven}, MaxClass: fault.Soft}
}

// tell sends a lie as a file, and counts it if the caller has heard all of it.
func (c *call) tell(data []byte) error {
	err := c.file(data)
	if err == nil && errors.Is(c.pause(requestWait), io.EOF) { // who has read all closes without a reset
		c.lies.Add(1)
	}
	return err
}

// asIs serves what the peer has, which is a lie already.
func asIs(c *call, _ uint32, honest []byte) error { return c.tell(honest) }

// lie serves other trailers than the honest ones, of which it gets a copy, if it
// makes them others.
func lie(change func(*call, []mcm.Trailer) []mcm.Trailer) func(*call, uint32, []byte) error {
	return func(c *call, _ uint32, honest []byte) error {
		if len(honest) == 0 {
			return nil
		}
		other := mcm.Bytes(change(c, mcm.Trailers(slices.Clone(honest))))
		if bytes.Equal(other, honest) {
			return c.file(honest)
		}
		return c.tell(other)
	}
}

// elsewhere is a chain that keeps all rules, of pseudoblocks only, from block
// 0xa0700 on.
func elsewhere(c *call, ts []mcm.Trailer) []mcm.Trailer {
	l := pick(c, c.fleet.world.pseudo)
	skip := int(max(0, int64(l.trailers[0].Num())-int64(ts[0].Num())))
	if skip >= len(ts) {
		return ts
	}
	other := l.cut(l.last(), uint32(ts[skip].Num()), uint32(len(ts)-skip))
	return append(ts[:skip], other...)
}

// history puts another past in the place of the honest one, in worlds that have any.
func history(which func(*past) []mcm.Trailer) func(*call, []mcm.Trailer) []mcm.Trailer {
	return func(c *call, ts []mcm.Trailer) []mcm.Trailer {
		w := c.fleet.world
		if len(w.pasts) == 0 {
			return ts
		}
		for i := range ts {
			if at := int64(ts[i].Num()) - int64(w.Base.Num); at >= 0 && at < int64(w.v3) {
				ts[i] = which(&w.pasts[0])[at]
			}
		}
		return ts
	}
}
