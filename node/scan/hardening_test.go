package scan

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/peer"
	"kigo/node/wire"
)

// The weaknesses of docs/spec/sync.md section 7 that a scan could have, by their
// numbers there.

var maxWeight = mcm.Weight{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}

// liar claims the greatest weight and shows nothing for it.
func liar() *actor {
	return &actor{
		claim: func(wire.State) wire.State {
			return wire.State{Num: firstBlock + 59, Hash: mcm.Hash{1, 2, 3}, Weight: maxWeight}
		},
		reply: func(_ *peer.Session, r *wire.Packet) bool { return r.Op == wire.OpTF },
	}
}

// honest returns n actors with the same chain of 60 blocks, 30 s old.
func honest(n int) (actors []*actor, ts []mcm.Trailer) {
	ts = chain(time.Now().Add(-30*time.Second), 20, 1, worked(60))
	for range n {
		actors = append(actors, &actor{chain: ts})
	}
	return actors, ts
}

func last(ts []mcm.Trailer) *mcm.Trailer { return &ts[len(ts)-1] }

// A claim without proof neither empties the quorum nor makes the node believe it is
// alone, wherever the liar stands in the order and however many there are.
func TestH1(t *testing.T) {
	for name, test := range map[string]struct{ before, after int }{
		"first":     {1, 0},
		"last":      {0, 1},
		"all but 3": {30, 30},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork()
				var liars, addrs []netip.Addr
				for range test.before {
					liars = append(liars, n.add(liar())...)
				}
				addrs = append(addrs, liars...)
				actors, ts := honest(3)
				good := n.add(actors...)
				addrs = append(addrs, good...)
				for range test.after {
					l := n.add(liar())
					liars, addrs = append(liars, l...), append(addrs, l...)
				}
				r := n.scan(t, n.options(&fakeVerifier{}, addrs...))
				wantChosen(t, r, Quorum, last(ts))
				for _, a := range good {
					wantVerdict(t, r, a, Proven, "")
				}
				for _, a := range liars {
					wantVerdict(t, r, a, Unavailable, string(fault.Refused))
					if calls := n.actors[a].called(); calls > 3 {
						t.Errorf("liar called %d times, want 3 at most", calls)
					}
				}
			})
		})
	}
}

// A scan after one in which nobody was valid starts from a clean sheet.
func TestH2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		actors, ts := honest(3)
		addrs := n.add(actors...)
		lie := n.add(liar())
		for _, a := range actors {
			a.dial = func(context.Context) error { return io.EOF } // away
		}
		o := n.options(&fakeVerifier{}, append(addrs, lie...)...)
		r := n.scan(t, o)
		if r.State != NoneValid {
			t.Fatalf("state of the first scan is %s, want %s", r.State, NoneValid)
		}
		for _, a := range actors {
			a.dial = nil
		}
		wantChosen(t, n.scan(t, o), Quorum, last(ts))
	})
}

// Proofs of any number of peers have room beside each other.
func TestH8(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		actors, ts := honest(68)
		addrs := n.add(actors...)
		r := n.scan(t, n.options(&fakeVerifier{}, addrs...))
		wantChosen(t, r, Quorum, last(ts))
		for _, a := range addrs {
			wantVerdict(t, r, a, Proven, "")
		}
		if got := len(r.Branches[r.Chosen].Peers); got != 68 {
			t.Errorf("%d peers support the branch, want 68", got)
		}
	})
}

// What is known isn't computed again, and a proof costs the bytes of a proof
// whatever the peer sends.
func TestH11(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		actors, ts := honest(3)
		big := &actor{chain: ts, reply: endless}
		addrs := n.add(append(actors, big)...)
		v := &fakeVerifier{}
		r := n.scan(t, n.options(v, addrs...))
		wantChosen(t, r, Quorum, last(ts))
		wantVerdict(t, r, addrs[3], Convicted, string(fault.TooLong))
		if in := row(t, r, addrs[3]).BytesIn; in > 20_000 {
			t.Errorf("an endless proof cost %d bytes, want less than twice an honest one", in)
		}
		if r.Trailers.Checked != 54 || v.most() != 1 {
			t.Errorf("checked %d trailers, one of them %d times, want 54 and 1", r.Trailers.Checked, v.most())
		}
	})
}

// endless answers TF with trailers that go on and on.
func endless(s *peer.Session, r *wire.Packet) bool {
	if r.Op != wire.OpTF {
		return false
	}
	first, _ := wire.SplitTFArg(r.Arg)
	var data bytes.Buffer
	for i := range 409 {
		var t mcm.Trailer
		t.SetNum(mcm.BlockNum(first) + mcm.BlockNum(i))
		data.Write(t[:])
	}
	data.Write(make([]byte, wire.FileChunk-data.Len()))
	for range 1000 {
		if s.Reply(wire.OpSendFile, data.Bytes()) != nil {
			break
		}
	}
	return true
}

// A proof goes through memory of the size of what was asked for: thirty-two peers
// that never stop sending end at once and by themselves.
func TestH12(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		actors, ts := honest(3)
		for range 32 {
			actors = append(actors, &actor{chain: ts, reply: endless})
		}
		addrs := n.add(actors...)
		r := n.scan(t, n.options(&fakeVerifier{}, addrs...))
		wantChosen(t, r, Quorum, last(ts))
		if r.Bytes.In > 35*20_000 {
			t.Errorf("received %d bytes, want less than twice those of 35 honest peers", r.Bytes.In)
		}
		if r.Seconds > 1 {
			t.Errorf("took %v s, want no wait at all", r.Seconds)
		}
	})
}

// Nobody waits for the slowest: the others' proofs are judged while one drips, and
// the scan ends when its time is up.
func TestH13(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		actors, ts := honest(3)
		slow := &actor{chain: ts, raw: dripping}
		addrs := n.add(append([]*actor{slow}, actors...)...)
		var proven time.Duration
		o := n.options(&fakeVerifier{}, addrs...)
		o.OnChange = func(p Progress) {
			if p.Proven == 3 && proven == 0 {
				proven = p.Elapsed
			}
		}
		r := n.scan(t, o)
		wantChosen(t, r, Quorum, last(ts))
		wantVerdict(t, r, addrs[0], Unavailable, string(fault.TooSlow))
		if proven == 0 || proven > time.Second {
			t.Errorf("the honest peers were proven after %v, want less than a second", proven)
		}
		if r.Seconds > 3.1 {
			t.Errorf("took %v s, want the 3 s of one time-out", r.Seconds)
		}
	})
}

// dripping sends one byte a second from the first on.
func dripping(ctx context.Context, c net.Conn) {
	go io.Copy(io.Discard, c)
	for {
		time.Sleep(time.Second)
		if _, err := c.Write([]byte{5}); err != nil {
			return
		}
	}
}

// The claim that a proof is held against is that of the same connection: a block
// found between two calls fails nobody.
func TestH14(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		actors, ts := honest(3)
		longer := grow(ts, 1, []block{{seconds: 20}})
		addrs := n.add(actors...)
		for _, a := range actors {
			a.reply = func(*peer.Session, *wire.Packet) bool {
				a.chain = longer // from the next call on
				return false
			}
		}
		r := n.scan(t, n.options(&fakeVerifier{}, addrs...))
		wantChosen(t, r, Quorum, last(longer))
		for _, a := range addrs {
			wantVerdict(t, r, a, Proven, "")
		}
	})
}

// A proof belongs to the call that brought it, not to an address: two nodes behind
// one address, met in turn, are no contradiction.
func TestH15(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		actors, ts := honest(3)
		other := chain(time.Now().Add(-20*time.Second), 20, 2, worked(58))
		both := &actor{chain: ts}
		both.reply = func(*peer.Session, *wire.Packet) bool {
			both.chain = other
			return false
		}
		addrs := n.add(append(actors, both)...)
		r := n.scan(t, n.options(&fakeVerifier{}, addrs...))
		wantChosen(t, r, Quorum, last(ts))
		wantVerdict(t, r, addrs[3], Proven, "")
		if p := row(t, r, addrs[3]); p.Claim.Hash != *last(other).Hash() || p.Branch == r.Chosen {
			t.Errorf("the shared address is on branch %d with claim %v, want its second node's", p.Branch, p.Claim.Hash)
		}
	})
}

// Whoever was convicted is known in the next scan, and in the next process.
func TestH17(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		actors, ts := honest(3)
		bad := relink(ts, len(ts)-1, func(t *mcm.Trailer) { t.Nonce()[0] = spoiled })
		addrs := n.add(append(actors, &actor{chain: bad})...)
		o := n.options(&fakeVerifier{}, addrs...)
		mem := &fakeMemory{}
		o.Memory = mem
		r := n.scan(t, o)
		wantVerdict(t, r, addrs[3], Convicted, string(fault.InvalidTrailer))
		before := n.actors[addrs[3]].called()

		r = n.scan(t, o)
		wantVerdict(t, r, addrs[3], Skipped, "")
		o.Book = NewBook(BookOptions{Seed: 1})
		o.Book.AddConfigured(addrs...)
		r = n.scan(t, o)
		wantVerdict(t, r, addrs[3], Skipped, "")
		wantChosen(t, r, Quorum, last(ts))
		if got := n.actors[addrs[3]].called(); got != before {
			t.Errorf("a banned peer was called %d times more", got-before)
		}
	})
}

// A quorum is of groups as well as of addresses.
func TestH20(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		actors, ts := honest(5)
		var addrs []netip.Addr
		for i, a := range actors {
			n.actors[addr(0, i)] = a
			addrs = append(addrs, addr(0, i))
		}
		r := n.scan(t, n.options(&fakeVerifier{}, addrs...))
		wantChosen(t, r, TooFew, last(ts))

		n.actors[addr(1, 0)], n.actors[addr(2, 0)] = actors[0], actors[1]
		r = n.scan(t, n.options(&fakeVerifier{}, append(addrs, addr(1, 0), addr(2, 0))...))
		wantChosen(t, r, Quorum, last(ts))
	})
}
