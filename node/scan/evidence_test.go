package scan

import (
	"context"
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"kigo/node/evidence"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/memory"
	"kigo/node/peer"
	"kigo/node/wire"
)

// confirmed checks that the evidence saved is for n faults and that each follows
// from its bytes, read back.
func confirmed(t *testing.T, c *memory.Changes, n int) {
	t.Helper()
	if len(c.Evidence) != n {
		t.Errorf("%d records of evidence, want %d", len(c.Evidence), n)
	}
	for _, kept := range c.Evidence {
		b, err := kept.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		r := new(evidence.Record) // as it comes from disk
		if err := r.UnmarshalBinary(b); err != nil || r.ID != kept.ID {
			t.Fatalf("%s reads as %s, %v", kept.ID, r.ID, err)
		}
		o, err := r.Verify(t.Context(), &fakeVerifier{})
		if err != nil {
			t.Fatal(err)
		}
		if !o.Confirmed {
			t.Errorf("%s of %v is not confirmed:\n%q", r.Kind, r.Peer, o.Steps)
		}
	}
}

// Each objective fault leaves a record that convicts without the scan.
func TestEvidence(t *testing.T) {
	answer := func(op wire.Op, data func(ts []mcm.Trailer) []byte) func(ts []mcm.Trailer) *actor {
		return func(ts []mcm.Trailer) *actor {
			return &actor{chain: ts, reply: func(s *peer.Session, r *wire.Packet) bool {
				reply := map[wire.Op]wire.Op{wire.OpTF: wire.OpSendFile, wire.OpGetIPL: wire.OpSendIPL}[op]
				return r.Op == op && s.Reply(reply, data(ts)) == nil
			}}
		}
	}
	for name, test := range map[string]struct {
		actor func(ts []mcm.Trailer) *actor
		want  fault.Kind
	}{
		"bad work": {func(ts []mcm.Trailer) *actor {
			return &actor{chain: relink(ts, 33, func(t *mcm.Trailer) { t.Nonce()[0] = spoiled })}
		}, fault.InvalidTrailer},
		"bad rule": {func(ts []mcm.Trailer) *actor {
			return &actor{chain: relink(ts, 33, func(t *mcm.Trailer) { t.SetMinFee(1) })}
		}, fault.InvalidTrailer},
		"bad hash at the tip": {func(ts []mcm.Trailer) *actor {
			ts = slices.Clone(ts)
			ts[len(ts)-1].SetSolveTime(ts[len(ts)-1].SolveTime() - 1)
			return &actor{chain: ts}
		}, fault.InvalidTrailer},
		"numbers":      {answer(wire.OpTF, func(ts []mcm.Trailer) []byte { return mcm.Bytes(ts[1:55]) }), fault.WrongNumbers},
		"55 trailers":  {answer(wire.OpTF, func(ts []mcm.Trailer) []byte { return mcm.Bytes(ts[5:]) }), fault.TooLong},
		"endless":      {func(ts []mcm.Trailer) *actor { return &actor{chain: ts, reply: endless} }, fault.TooLong},
		"list of 7":    {answer(wire.OpGetIPL, func([]mcm.Trailer) []byte { return make([]byte, 7) }), fault.BadList},
		"list of 260":  {answer(wire.OpGetIPL, func([]mcm.Trailer) []byte { return make([]byte, 260) }), fault.BadList},
		"ids of reply": {ids, fault.BadFrame},
		"ids of HELLO_ACK": {func([]mcm.Trailer) *actor {
			return &actor{raw: badHello}
		}, fault.BadFrame},
		"older range": {func(ts []mcm.Trailer) *actor {
			thin := chain(time.Now().Add(-30*time.Second), 120, 1, worked(30), pseudo(49), worked(3), pseudo(2))
			return &actor{chain: relink(thin, 10, func(t *mcm.Trailer) { t.Nonce()[0] = spoiled })}
		}, fault.InvalidTrailer},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork()
				_, ts := honest(0)
				addrs := n.add(test.actor(ts))
				o := n.options(&fakeVerifier{}, addrs...)
				o.Proof.Base = firstBlock
				mem := &fakeMemory{}
				o.Memory = mem
				r := n.scan(t, o)
				p := row(t, r, addrs[0])
				if !slices.Contains(p.Faults, test.want) {
					t.Fatalf("faults are %v (%s), want %s", p.Faults, p.Detail, test.want)
				}
				confirmed(t, mem.saved[0], 1)
				if e := mem.saved[0].Evidence; len(e) > 0 && (len(p.Evidence) != 1 || p.Evidence[0] != e[0].ID || e[0].Kind != test.want) {
					t.Errorf("the row names evidence %v, saved is a %s with id %s", p.Evidence, e[0].Kind, e[0].ID)
				}
			})
		})
	}
}

// badHello answers HELLO under another id.
func badHello(_ context.Context, c net.Conn) {
	hello := make([]byte, wire.Overhead)
	io.ReadFull(c, hello)
	p, _ := wire.Decode(hello)
	b, _ := (&wire.Packet{Op: wire.OpHelloAck, ID1: p.ID1 ^ 1}).AppendTo(nil)
	c.Write(b)
}

// ids answers TF under another id.
func ids(ts []mcm.Trailer) *actor {
	a := &actor{chain: ts}
	a.reply = func(s *peer.Session, r *wire.Packet) bool {
		if r.Op != wire.OpTF {
			return false
		}
		id1, id2 := s.IDs()
		first, count := wire.SplitTFArg(r.Arg)
		p := wire.Packet{Op: wire.OpSendFile, ID1: id1, ID2: id2 ^ 1, State: a.state(), Data: mcm.Bytes(a.trailers(first, count))}
		return s.Send(&p) == nil
	}
	return a
}
