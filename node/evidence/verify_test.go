package evidence

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/rules"
	"kigo/node/verify"
	"kigo/node/wire"
)

// mustNew returns the record as it is kept.
func mustNew(tb testing.TB, r Record) *Record {
	tb.Helper()
	kept, err := New(r)
	if err != nil {
		tb.Fatal(err)
	}
	return kept
}

func mustVerify(tb testing.TB, r *Record) *Outcome {
	tb.Helper()
	o, err := r.Verify(context.Background(), standIn{})
	if err != nil {
		tb.Fatal(err)
	}
	return o
}

func TestEachKindIsConfirmed(t *testing.T) {
	seen := map[fault.Kind]bool{}
	for _, s := range samples(t) {
		t.Run(s.name, func(t *testing.T) {
			r := mustNew(t, s.record)
			o := mustVerify(t, r)
			if !o.Confirmed {
				t.Fatalf("not confirmed:\n%s", strings.Join(o.Steps, "\n"))
			}
			if o.Found.Kind != s.record.Kind || o.Found.Rule != s.record.Rule || o.Found.Num != s.record.Num {
				t.Errorf("found %+v", o.Found)
			}
			if r.Num != s.record.Num {
				t.Errorf("New says block %v, expected %v", r.Num, s.record.Num)
			}
			seen[r.Kind] = true
		})
	}
	for _, k := range []fault.Kind{fault.InvalidTrailer, fault.WrongNumbers, fault.TooLong, fault.BadList, fault.BadFrame, fault.FalseWeight, fault.ForeignRange} {
		if !seen[k] {
			t.Errorf("no sample of %s", k)
		}
	}
}

// TestNumIsFoundOut leaves Num open where package peer knows none.
func TestNumIsFoundOut(t *testing.T) {
	for _, s := range samples(t) {
		if s.record.Kind == fault.InvalidTrailer || s.record.Kind == fault.ForeignRange {
			continue
		}
		r := s.record
		r.Num = 77
		if got := mustNew(t, r).Num; got != s.record.Num {
			t.Errorf("%s: block %v, expected %v", s.name, got, s.record.Num)
		}
	}
}

// TestFlippedBytesAreNotConfirmed alters the packets and gives the record a new
// ID: whoever does that gets by the checksums of the record, not by the judgement.
func TestFlippedBytesAreNotConfirmed(t *testing.T) {
	for _, s := range samples(t) {
		for i, raw := range s.record.Packets {
			if s.loose && i == len(s.record.Packets)-1 {
				continue
			}
			step := max(1, len(raw)/61)
			end := len(raw)
			if s.record.Kind == fault.BadFrame {
				end -= 2 // the mark, which no checksum covers: wrong, it is as good
			}
			for at := 0; at < end; at += step {
				r := mustNew(t, s.record)
				r.Packets[i][at] ^= 0x10
				r.ID = r.id().String()
				if o := mustVerify(t, r); o.Confirmed {
					t.Errorf("%s: confirmed with byte %d of packet %d altered", s.name, at, i)
				} else if len(o.Steps) == 0 {
					t.Errorf("%s: says nothing", s.name)
				}
			}
		}
		for i := range s.record.Chain {
			for at := 0; at < mcm.TrailerLen; at += 7 {
				r := mustNew(t, s.record)
				r.Chain[i][at] ^= 0x10
				r.ID = r.id().String()
				if mustVerify(t, r).Confirmed {
					t.Errorf("%s: confirmed with byte %d of trailer %d above the anchor altered", s.name, at, i)
				}
			}
		}
	}
}

// TestAlteredStatements alters what the record states.
func TestAlteredStatements(t *testing.T) {
	changes := []struct {
		name  string
		only  []fault.Kind // nil: all
		apply func(r *Record)
		says  string
	}{
		{"id", nil, func(r *Record) { r.ID = strings.Repeat("0", 64) }, "it was altered"},
		{"kind", nil, func(r *Record) {
			if r.Kind = fault.PinMismatch; r.ID != "" {
				r.ID = r.id().String()
			}
		}, "stated is pin_mismatch"},
		{"rule", nil, func(r *Record) { r.Rule += "X" }, "stated is a breach"},
		{"block", []fault.Kind{fault.InvalidTrailer, fault.WrongNumbers, fault.FalseWeight}, func(r *Record) { r.Num++ }, ""},
		{"claimed weight", []fault.Kind{fault.InvalidTrailer, fault.FalseWeight}, func(r *Record) { r.Claim.Weight[1]++ }, "no packet makes the claim"},
		{"claimed hash", []fault.Kind{fault.InvalidTrailer, fault.FalseWeight}, func(r *Record) { r.Claim.Hash[1]++ }, "no packet makes the claim"},
		{"first", []fault.Kind{fault.InvalidTrailer}, func(r *Record) { r.First++ }, "asked for"},
		{"count", []fault.Kind{fault.InvalidTrailer}, func(r *Record) { r.Count++ }, "asked for"},
		{"ids", []fault.Kind{fault.InvalidTrailer, fault.WrongNumbers, fault.TooLong, fault.FalseWeight}, func(r *Record) { r.ID1++ }, ""},
		{"anchor's hash", []fault.Kind{fault.FalseWeight}, func(r *Record) { r.Anchor.Hash[0]++ }, ""},
		{"anchor's number", []fault.Kind{fault.FalseWeight}, func(r *Record) { r.Anchor.Num-- }, ""},
		{"no anchor", []fault.Kind{fault.FalseWeight}, func(r *Record) { r.Anchor = nil }, "no anchor"},
		{"packet missing", nil, func(r *Record) { r.Packets = r.Packets[:len(r.Packets)-1] }, ""},
		{"packet twice", nil, func(r *Record) { r.Packets = append(r.Packets, r.Packets[len(r.Packets)-1]) }, ""},
		{"byte behind", nil, func(r *Record) { r.Packets[0] = append(r.Packets[0], 0) }, "behind its end"},
		{"no packets", nil, func(r *Record) { r.Packets = nil }, ""},
	}
	for _, s := range samples(t) {
		for _, c := range changes {
			if c.only != nil && !slices.Contains(c.only, s.record.Kind) {
				continue
			}
			r := mustNew(t, s.record)
			c.apply(r)
			if c.name != "id" {
				r.ID = r.id().String()
			}
			o := mustVerify(t, r)
			if o.Confirmed {
				t.Errorf("%s: confirmed with another %s", s.name, c.name)
			}
			if got := strings.Join(o.Steps, "\n"); !strings.Contains(got, c.says) {
				t.Errorf("%s, another %s: says\n%s\nexpected %q", s.name, c.name, got, c.says)
			}
		}
	}
}

// TestHonestPeersAreNotConvicted states faults that the bytes do not show.
func TestHonestPeersAreNotConvicted(t *testing.T) {
	honest := newChain(t, 90)
	at0xff, at0x100 := newChain(t, 256), newChain(t, 257)
	f := func(name string, r Record, kind fault.Kind, rule rules.Rule) {
		t.Helper()
		r.Kind, r.Rule, r.Num = kind, rule, r.Claim.Num
		if o := mustVerify(t, mustNew(t, r)); o.Confirmed {
			t.Errorf("%s: convicted:\n%s", name, strings.Join(o.Steps, "\n"))
		}
	}
	record := func(c *chain, w mcm.Weight, anchor int) Record {
		st := c.state()
		st.Weight = w
		r := template(st, answer(t, st, wire.OpSendFile, mcm.Bytes(c.segment())))
		r.Anchor, r.Chain = c.anchor(anchor), c.trailers[anchor+1:]
		return r
	}
	whole := record(honest, honest.state().Weight, 60)
	for _, k := range []fault.Kind{fault.InvalidTrailer, fault.WrongNumbers, fault.TooLong, fault.BadList, fault.BadFrame, fault.FalseWeight} {
		f("honest proof stated as "+string(k), whole, k, "")
	}
	f("honest work", whole, fault.InvalidTrailer, rules.PowPeach)

	w := at0xff.state().Weight
	f("0xff without its own weight", record(at0xff, w, 200), fault.FalseWeight, "")
	f("0xff with its own weight", record(at0xff, w.AddDifficulty(at0xff.tip().WorkDifficulty()), 200), fault.FalseWeight, "")
	f("neogenesis", record(at0x100, at0x100.state().Weight, 200), fault.FalseWeight, "")

	// A chain without work proves nothing about the weight of its tip.
	fake := honest.fork(89)
	fake.grow(t, false, nil)
	if err := fake.miner.Miss(context.Background(), fake.tip()); err != nil {
		t.Fatal(err)
	}
	f("tip without work", record(fake, mcm.Weight{1}, 60), fault.FalseWeight, "")

	// A tip that the clock does not allow yet is nobody's fault.
	early := whole
	early.Time = early.Time.Add(-clock)
	f("our clock is wrong", early, fault.InvalidTrailer, rules.SolveTime)

	// A seam near the tip.
	other := honest.fork(80)
	other.grow(t, true, nil)
	other.grow(t, false, nil)
	seam := append(append([]mcm.Trailer(nil), honest.trailers[36:81]...), other.trailers[81])
	st := other.state()
	r := template(st, nil)
	r.First, r.Count = base+36, len(seam)
	r.Packets = answer(t, st, wire.OpSendFile, mcm.Bytes(seam))
	f("seam", r, fault.InvalidTrailer, rules.PrevHash)

	// A damaged line.
	damaged := whole
	damaged.Packets = slices.Clone(whole.Packets)
	damaged.Packets[1] = append([]byte(nil), whole.Packets[1]...)
	damaged.Packets[1][130] ^= 1
	f("bad CRC", damaged, fault.InvalidTrailer, rules.BlockHash)

	// A header that announces too much, of another conversation.
	long := whole
	long.Packets = answer(t, whole.Claim, wire.OpSendFile, make([]byte, 60*mcm.TrailerLen))
	long.Packets[1] = append([]byte(nil), long.Packets[1][:wire.HeaderLen]...)
	long.ID2++
	f("too long with other ids", long, fault.TooLong, "")

	// Data with a HELLO_ACK are an echo, as the reference has it.
	echo := whole
	echo.Packets = [][]byte{encode(t, wire.Packet{ID1: id1, ID2: id2, Op: wire.OpHelloAck, State: whole.Claim, Data: make([]byte, 65535)})[:wire.HeaderLen]}
	f("echoed data", echo, fault.TooLong, "")
}

// failing is a Verifier that can't.
type failing struct{ err error }

func (f failing) VerifyPoW(context.Context, []verify.Result, []mcm.Trailer) error { return f.err }

func TestVerifierFails(t *testing.T) {
	lost := errors.New("device lost")
	for _, s := range samples(t) {
		r := mustNew(t, s.record)
		o, err := r.Verify(context.Background(), failing{lost})
		needs := s.record.Rule == rules.PowPeach || s.record.Kind == fault.FalseWeight && len(s.record.Chain) > 0
		if needs && (!errors.Is(err, lost) || o != nil) || !needs && (err != nil || !o.Confirmed) {
			t.Errorf("%s: %+v, %v", s.name, o, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	good := samples(t)[0].record
	f := func(name string, change func(r *Record)) {
		t.Helper()
		r := good
		change(&r)
		if _, err := New(r); !errors.Is(err, ErrUnfit) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := r.MarshalBinary(); !errors.Is(err, ErrUnfit) {
			t.Errorf("%s: marshals: %v", name, err)
		}
	}
	f("soft fault", func(r *Record) { r.Kind = fault.Timeout })
	f("unknown kind", func(r *Record) { r.Kind = "x" })
	f("no address", func(r *Record) { r.Peer = netip.Addr{} })
	f("count", func(r *Record) { r.Count = 1001 })
	f("rule", func(r *Record) { r.Rule = rules.Rule(strings.Repeat("x", 33)) })
	f("packets", func(r *Record) { r.Packets = make([][]byte, MaxPackets+1) })
	f("bytes", func(r *Record) { r.Packets = [][]byte{make([]byte, MaxPacketBytes+1)} })
	f("chain", func(r *Record) { r.Chain = make([]mcm.Trailer, MaxChain+1) })
}

// TestNewCopies changes what New was given.
func TestNewCopies(t *testing.T) {
	for _, s := range samples(t) {
		in := s.record
		in.Options.Height = &proof.Anchor{Num: 1}
		r := mustNew(t, in)
		in.Packets[0][9] ^= 1
		in.Options.Height.Num = 2
		if in.Next != nil {
			in.Next[0] ^= 1
		}
		if in.Anchor != nil {
			in.Anchor.Num++
		}
		if len(in.Chain) > 0 {
			in.Chain[0][0] ^= 1
		}
		if r.id().String() != r.ID {
			t.Errorf("%s: shares memory with what it was made of", s.name)
		}
	}
}
