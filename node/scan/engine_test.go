package scan

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/peer"
	"kigo/node/proof"
	"kigo/node/wire"
)

// silent accepts a connection and says nothing.
func silent(ctx context.Context, c net.Conn) {
	b := make([]byte, 512)
	for {
		if _, err := c.Read(b); err != nil {
			return
		}
	}
}

// closing answers nothing but the handshake and op.
func closing(but wire.Op) func(*peer.Session, *wire.Packet) bool {
	return func(_ *peer.Session, r *wire.Packet) bool { return r.Op != but }
}

// Each way not to be proven has its verdict, its reason and its number of calls.
func TestVerdicts(t *testing.T) {
	now := func() time.Time { return time.Now().Add(-30 * time.Second) }
	for name, test := range map[string]struct {
		actor  func(ts []mcm.Trailer) *actor
		want   Verdict
		reason fault.Kind
		calls  int
		faults []fault.Kind
	}{
		"honest": {func(ts []mcm.Trailer) *actor { return &actor{chain: ts} }, Proven, "", 2, nil},
		"dead": {func([]mcm.Trailer) *actor {
			return &actor{dial: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		}, Unavailable, fault.Timeout, 1, []fault.Kind{fault.Timeout}},
		"silent": {func([]mcm.Trailer) *actor { return &actor{raw: silent} },
			Unavailable, fault.Timeout, 1, []fault.Kind{fault.Timeout}},
		"drips": {func([]mcm.Trailer) *actor { return &actor{raw: dripping} },
			Unavailable, fault.TooSlow, 1, []fault.Kind{fault.TooSlow}},
		"silent to GET_IPL": {func(ts []mcm.Trailer) *actor {
			return &actor{chain: ts, reply: func(*peer.Session, *wire.Packet) bool { time.Sleep(time.Minute); return true }}
		}, Unavailable, fault.Timeout, 1, []fault.Kind{fault.Timeout}},
		"no list": {func(ts []mcm.Trailer) *actor { return &actor{chain: ts, reply: closing(wire.OpTF)} },
			Proven, "", 2, []fault.Kind{fault.Refused}},
		"bad list": {func(ts []mcm.Trailer) *actor {
			return &actor{chain: ts, reply: func(s *peer.Session, r *wire.Packet) bool {
				return r.Op == wire.OpGetIPL && s.Reply(wire.OpSendIPL, make([]byte, 7)) == nil
			}}
		}, Proven, "", 2, []fault.Kind{fault.BadList}},
		"no proof": {func(ts []mcm.Trailer) *actor { return &actor{chain: ts, reply: closing(wire.OpGetIPL)} },
			Unavailable, fault.Refused, 3, []fault.Kind{fault.Refused}},
		"busy": {func(ts []mcm.Trailer) *actor {
			return &actor{chain: ts, reply: func(s *peer.Session, r *wire.Packet) bool {
				return r.Op == wire.OpTF && s.Reply(wire.OpBusy, nil) == nil
			}}
		}, Unavailable, fault.Refused, 3, []fault.Kind{fault.Refused}},
		"short": {func(ts []mcm.Trailer) *actor {
			return &actor{chain: ts, reply: func(s *peer.Session, r *wire.Packet) bool {
				return r.Op == wire.OpTF && s.Reply(wire.OpSendFile, mcm.Bytes(ts[6:59])) == nil
			}}
		}, Unavailable, fault.ShortReply, 2, []fault.Kind{fault.ShortReply}},
		"claims another tip": {func(ts []mcm.Trailer) *actor {
			return &actor{chain: ts, claim: func(s wire.State) wire.State { s.Hash[0]++; return s }}
		}, Doubtful, fault.ClaimMismatch, 3, []fault.Kind{fault.ClaimMismatch}},
		"seam": {func(ts []mcm.Trailer) *actor {
			other := chain(now(), 20, 9, worked(60))
			return &actor{chain: slices.Concat(other[:30], ts[30:])}
		}, Doubtful, fault.BrokenLink, 3, []fault.Kind{fault.BrokenLink}},
		"shifted by one": {func(ts []mcm.Trailer) *actor {
			return &actor{chain: ts, claim: func(s wire.State) wire.State { s.Num--; return s }}
		}, Doubtful, fault.ClaimMismatch, 3, []fault.Kind{fault.ClaimMismatch}},
		"wrong numbers": {func(ts []mcm.Trailer) *actor {
			return &actor{chain: ts, reply: func(s *peer.Session, r *wire.Packet) bool {
				return r.Op == wire.OpTF && s.Reply(wire.OpSendFile, mcm.Bytes(ts[:54])) == nil
			}}
		}, Convicted, fault.WrongNumbers, 2, []fault.Kind{fault.WrongNumbers}},
		"too long": {func(ts []mcm.Trailer) *actor {
			return &actor{chain: ts, reply: func(s *peer.Session, r *wire.Packet) bool {
				return r.Op == wire.OpTF && s.Reply(wire.OpSendFile, mcm.Bytes(ts[5:])) == nil
			}}
		}, Convicted, fault.TooLong, 2, []fault.Kind{fault.TooLong}},
		"bad hash": {func(ts []mcm.Trailer) *actor {
			ts = slices.Clone(ts)
			ts[40].MerkleRoot()[0]++
			return &actor{chain: ts}
		}, Convicted, fault.InvalidTrailer, 2, []fault.Kind{fault.InvalidTrailer}},
		"bad work": {func(ts []mcm.Trailer) *actor {
			return &actor{chain: relink(ts, 40, func(t *mcm.Trailer) { t.Nonce()[0] = spoiled })}
		}, Convicted, fault.InvalidTrailer, 2, []fault.Kind{fault.InvalidTrailer}},
		"bad difficulty": {func(ts []mcm.Trailer) *actor {
			return &actor{chain: relink(ts, 59, func(t *mcm.Trailer) { t.SetDifficulty(60) })}
		}, Convicted, fault.InvalidTrailer, 2, []fault.Kind{fault.InvalidTrailer}},
		"all pseudo": {func([]mcm.Trailer) *actor {
			return &actor{chain: chain(now(), 200, 3, pseudo(60))}
		}, Thin, "", 2, nil},
		"too high": {func(ts []mcm.Trailer) *actor {
			return &actor{chain: ts, claim: func(s wire.State) wire.State { s.Num = 1 << 63; return s }}
		}, SetAside, fault.TooHigh, 2, []fault.Kind{fault.TooHigh}},
		"too old": {func(ts []mcm.Trailer) *actor {
			return &actor{chain: ts, claim: func(s wire.State) wire.State { s.Num = mcm.V30Trigger - 1; return s }}
		}, SetAside, fault.TooOld, 2, []fault.Kind{fault.TooOld}},
		"ahead of the clock": {func(ts []mcm.Trailer) *actor {
			return &actor{chain: chain(time.Now().Add(time.Hour), 20, 1, worked(60))}
		}, SetAside, fault.Early, 2, []fault.Kind{fault.Early}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork()
				actors, ts := honest(3)
				addrs := n.add(append(actors, test.actor(ts))...)
				r := n.scan(t, n.options(&fakeVerifier{}, addrs...))
				wantChosen(t, r, Quorum, last(ts))
				wantVerdict(t, r, addrs[3], test.want, string(test.reason))
				p := row(t, r, addrs[3])
				if p.Calls != test.calls || n.actors[addrs[3]].called() != test.calls {
					t.Errorf("%d calls in the report, %d made, want %d", p.Calls, n.actors[addrs[3]].called(), test.calls)
				}
				if !slices.Equal(p.Faults, test.faults) {
					t.Errorf("faults are %v, want %v", p.Faults, test.faults)
				}
				objective, soft := 0.0, 0.0
				for _, k := range test.faults {
					switch k.Class() {
					case fault.Objective:
						objective += k.Points()
					case fault.Soft:
						soft += k.Points()
					}
				}
				if near := func(a, b float64) bool { return a-b < 1e-3 && b-a < 1e-3 }; !near(p.Points.Objective, objective) || !near(p.Points.Soft, soft) {
					t.Errorf("points are %+v, want %v objective and %v soft", p.Points, objective, soft)
				}
				if want := objective > 0; (len(p.Evidence) > 0) != want {
					t.Errorf("evidence is %v, want some: %v", p.Evidence, want)
				}
			})
		})
	}
}

// A peer that is changing branches is asked once more, 5 s later, and proven then.
func TestRetry(t *testing.T) {
	for name, broken := range map[string]func(ts []mcm.Trailer, s *peer.Session) error{
		"seam": func(ts []mcm.Trailer, s *peer.Session) error {
			other := chain(time.Now().Add(-30*time.Second), 20, 9, worked(60))
			return s.Reply(wire.OpSendFile, mcm.Bytes(slices.Concat(other[6:30], ts[30:])))
		},
		"other tip": func(ts []mcm.Trailer, s *peer.Session) error {
			other := chain(time.Now().Add(-30*time.Second), 20, 9, worked(60))
			return s.Reply(wire.OpSendFile, mcm.Bytes(other[6:]))
		},
		"no answer": func([]mcm.Trailer, *peer.Session) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork()
				actors, ts := honest(1)
				var at []time.Duration
				began := time.Now()
				actors[0].reply = func(s *peer.Session, r *wire.Packet) bool {
					if r.Op != wire.OpTF {
						return false
					}
					at = append(at, time.Since(began))
					return len(at) == 1 && broken(ts, s) == nil
				}
				addrs := n.add(actors...)
				o := n.options(&fakeVerifier{}, addrs...)
				r := n.scan(t, o)
				wantVerdict(t, r, addrs[0], Proven, "")
				if len(at) != 2 || at[1]-at[0] != 5*time.Second {
					t.Errorf("asked at %v, want twice, 5 s apart", at)
				}
				if p := row(t, r, addrs[0]); p.Calls != 3 || p.Points.Objective != 0 || len(p.Faults) != 1 {
					t.Errorf("%d calls, points %+v, faults %v; want 3, no objective ones, one", p.Calls, p.Points, p.Faults)
				}
			})
		})
	}
}

// Addresses that peers name are called in the same scan, those of a reply beyond
// 64, private, own and impossible ones are not.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		actors, ts := honest(4)
		addrs := n.add(actors...)
		own := netip.MustParseAddr("9.9.9.9")
		actors[0].list = append([]netip.Addr{
			own, netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("0.0.0.0"),
			netip.MustParseAddr("224.0.0.1"), netip.MustParseAddr("255.255.255.255"), addrs[0], addrs[1],
		}, addrs[1])
		actors[1].list = addrs[2:3]
		actors[2].list = addrs[3:]
		o := n.options(&fakeVerifier{}, addrs[0])
		o.Book = NewBook(BookOptions{Own: []netip.Addr{own}})
		o.Book.AddConfigured(addrs[0])
		r := n.scan(t, o)
		wantChosen(t, r, Quorum, last(ts))
		if len(r.Peers) != 4 || r.Asked != 4 {
			t.Errorf("%d rows, %d asked, want the 4 addresses that may be called", len(r.Peers), r.Asked)
		}
		if p := row(t, r, addrs[3]); p.Source != addrs[2].String() {
			t.Errorf("source is %q, want %v", p.Source, addrs[2])
		}
	})
}

// Calls keep to 256 at a time and 4 of a group.
func TestParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		var addrs []netip.Addr
		for i := range 8 {
			for g := range 80 {
				addrs = append(addrs, addr(g, i)) // nobody is there
			}
		}
		r := n.scan(t, n.options(&fakeVerifier{}, addrs...))
		if n.mostly != 256 || n.crowd != 4 {
			t.Errorf("%d calls at once, %d of one group, want 256 and 4", n.mostly, n.crowd)
		}
		if want := 9.0; r.Seconds > want {
			t.Errorf("640 dead addresses took %v s, want %v, a time-out for each 256", r.Seconds, want)
		}
		if r.State != NobodyReached || r.Reached != 0 || r.Asked != 640 {
			t.Errorf("state %s, %d reached of %d, want %s, 0 of 640", r.State, r.Reached, r.Asked, NobodyReached)
		}
	})
}

// Nine tenths of silent, dripping and endless peers cost a scan no more than one
// time-out for each 256 of them.
func TestMostlyUseless(t *testing.T) {
	for name, useless := range map[string]struct {
		make    func(ts []mcm.Trailer) *actor
		timeout float64
	}{
		"silent":   {func([]mcm.Trailer) *actor { return &actor{raw: silent} }, 3},
		"dripping": {func([]mcm.Trailer) *actor { return &actor{raw: dripping} }, 3},
		"endless":  {func(ts []mcm.Trailer) *actor { return &actor{chain: ts, reply: endless} }, 0.1},
		"silent to GET_IPL": {func(ts []mcm.Trailer) *actor {
			return &actor{chain: ts, reply: func(*peer.Session, *wire.Packet) bool { time.Sleep(time.Minute); return true }}
		}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork()
				actors, ts := honest(60)
				for range 540 {
					actors = append(actors, useless.make(ts))
				}
				addrs := n.add(actors...)
				slices.Reverse(addrs) // the useless first
				r := n.scan(t, n.options(&fakeVerifier{}, addrs...))
				wantChosen(t, r, Quorum, last(ts))
				if most := 3*useless.timeout + 0.1; r.Seconds > most {
					t.Errorf("took %v s, want %v at most", r.Seconds, most)
				}
			})
		})
	}
}

// A scan is over when all known peers were asked, 32 peers in 8 groups have passed
// and no new tip has come for 5 s, whatever candidates are left.
func TestEndEarly(t *testing.T) {
	for name, test := range map[string]struct {
		peers, groups int
		seconds       float64
	}{
		"enough":     {32, 32, 5},
		"few peers":  {31, 31, 20},
		"few groups": {35, 7, 20},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork()
				actors, ts := honest(test.peers)
				var addrs []netip.Addr
				for i, act := range actors { // each names 64 dead addresses, in groups of their own
					a := addr(i%test.groups, i/test.groups)
					n.actors[a] = act
					addrs = append(addrs, a)
					for j := range 64 {
						act.list = append(act.list, addr(1000+i*64+j, 0))
					}
				}
				o := n.options(&fakeVerifier{}, addrs...)
				o.Parallel = 64
				r := n.scan(t, o)
				wantChosen(t, r, Quorum, last(ts))
				if r.Seconds != test.seconds {
					t.Errorf("took %v s, want %v", r.Seconds, test.seconds)
				}
				for _, p := range r.Peers {
					if p.Verdict == Skipped && (p.Points != Points{} || len(p.Faults) > 0) {
						t.Fatalf("%v, whose call the scan's end cut short, has points %+v, faults %v", p.Addr, p.Points, p.Faults)
					}
				}
			})
		})
	}
}

// A second visit that the scan's end cuts short leaves the first one's outcome.
func TestRetryCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		_, ts := honest(0)
		a := &actor{chain: ts, claim: func(s wire.State) wire.State { s.Hash[0]++; return s }}
		a.reply = func(_ *peer.Session, r *wire.Packet) bool {
			if r.Op == wire.OpTF && a.called() == 3 {
				time.Sleep(time.Minute)
			}
			return false
		}
		addrs := n.add(a)
		o := n.options(&fakeVerifier{}, addrs...)
		o.Deadlines.Hard = 6 * time.Second
		r := n.scan(t, o)
		wantVerdict(t, r, addrs[0], Doubtful, string(fault.ClaimMismatch))
		if p := row(t, r, addrs[0]); p.Calls != 3 || p.Points.Soft < 9.9 || p.Points.Soft > 10 || r.Seconds != 6 {
			t.Errorf("%d calls, points %+v, in %v s; want 3, 10 soft ones, 6", p.Calls, p.Points, r.Seconds)
		}
	})
}

// With a quorum a scan is over after 20 s, without one after 5 minutes.
func TestDeadlines(t *testing.T) {
	for name, test := range map[string]struct {
		honest  int
		seconds float64
	}{"quorum": {3, 20}, "no quorum": {2, 300}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork()
				actors, ts := honest(test.honest)
				addrs := n.add(actors...)
				for g := range 4000 {
					addrs = append(addrs, addr(1000+g, 0))
				}
				o := n.options(&fakeVerifier{}, addrs...)
				o.Parallel = 4 // 3000 s for all of them
				r := n.scan(t, o)
				state := Quorum
				if test.honest < 3 {
					state = TooFew
				}
				wantChosen(t, r, state, last(ts))
				if r.Seconds < test.seconds || r.Seconds > test.seconds+1 {
					t.Errorf("took %v s, want %v", r.Seconds, test.seconds)
				}
			})
		})
	}
}

// A cancelled scan returns what it has, and keeps it.
func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		actors, ts := honest(3)
		addrs := n.add(append(actors, &actor{raw: silent})...)
		o := n.options(&fakeVerifier{}, addrs...)
		mem := &fakeMemory{}
		o.Memory = mem
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(errFake) })
		r, err := Run(ctx, o)
		n.wg.Wait()
		if !errors.Is(err, errFake) {
			t.Fatalf("Run: %v, want the cause of the cancellation", err)
		}
		if r.Seconds != 1 {
			t.Errorf("took %v s, want 1", r.Seconds)
		}
		wantChosen(t, r, Quorum, last(ts))
		if p := row(t, r, addrs[3]); p.Verdict != Skipped || len(p.Faults) != 0 {
			t.Errorf("the peer cut short is %s with faults %v, want %s and none", p.Verdict, p.Faults, Skipped)
		}
		if len(mem.saved) != 1 || len(mem.saved[0].Peers) != 3 || len(mem.saved[0].Verified) != 54 {
			t.Errorf("saved %d times, want once: 3 peers, 54 trailers", len(mem.saved))
		}
	})
}

// A verifier that fails blames nobody.
func TestVerifierFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		actors, _ := honest(5)
		addrs := n.add(actors...)
		r, err := Run(t.Context(), n.options(&fakeVerifier{fail: errFake}, addrs...))
		n.wg.Wait()
		if !errors.Is(err, errFake) {
			t.Fatalf("Run: %v, want the verifier's error", err)
		}
		for _, p := range r.Peers {
			if p.Verdict != Skipped || len(p.Faults) > 0 || p.Points != (Points{}) {
				t.Errorf("%v is %s with faults %v, want %s and none", p.Addr, p.Verdict, p.Faults, Skipped)
			}
		}
	})
}

// Errors of the memory are errors of the scan, with and without a report.
func TestMemoryFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		actors, ts := honest(3)
		o := n.options(&fakeVerifier{}, n.add(actors...)...)
		o.Memory = &fakeMemory{failLoad: errFake}
		if r, err := Run(t.Context(), o); r != nil || !errors.Is(err, errFake) {
			t.Errorf("load fails: Run returned %v, %v, want no report and the error", r, err)
		}
		o.Memory = &fakeMemory{failSave: errFake}
		r, err := Run(t.Context(), o)
		n.wg.Wait()
		if unsaved := (*SaveError)(nil); !errors.As(err, &unsaved) || !errors.Is(err, errFake) {
			t.Errorf("save fails: Run: %v, want a *SaveError with the error", err)
		}
		wantChosen(t, r, Quorum, last(ts))
	})
}

// Check calls those named, whatever they have to their account, and nobody else.
func TestCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		actors, ts := honest(3)
		bad := &actor{chain: relink(ts, len(ts)-1, func(t *mcm.Trailer) { t.Nonce()[0] = spoiled })}
		addrs := n.add(append(actors, bad)...)
		actors[0].list = addrs[1:2]
		o := n.options(&fakeVerifier{})
		o.Memory = &fakeMemory{}
		for range 2 {
			r, err := Check(t.Context(), o, []netip.Addr{addrs[3], addrs[0], addrs[0]})
			n.wg.Wait()
			if err != nil {
				t.Fatalf("Check: %v", err)
			}
			if len(r.Peers) != 2 || actors[1].called() != 0 {
				t.Errorf("%d rows, candidate called %d times, want 2 and 0", len(r.Peers), actors[1].called())
			}
			wantVerdict(t, r, addrs[0], Proven, "")
			wantVerdict(t, r, addrs[3], Convicted, string(fault.InvalidTrailer))
			if r.State != TooFew {
				t.Errorf("state is %s, want %s", r.State, TooFew)
			}
		}
		if _, err := Check(t.Context(), o, []netip.Addr{netip.MustParseAddr("::1")}); err == nil {
			t.Error("Check of an IPv6 address gave no error")
		}
	})
}

// Work is checked in batches of what has gathered, each trailer once.
func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		var actors []*actor
		for i := range 40 { // of 40 branches, each answering a little later
			ts := chain(time.Now().Add(-30*time.Second), 20, byte(i+1), worked(60))
			a := &actor{chain: ts}
			a.reply = func(_ *peer.Session, r *wire.Packet) bool {
				time.Sleep(time.Duration(i) * time.Millisecond)
				return false
			}
			actors = append(actors, a)
		}
		v := &fakeVerifier{took: time.Millisecond}
		r := n.scan(t, n.options(v, n.add(actors...)...))
		if v.most() != 1 || r.Trailers.Checked != 40*54 || r.Trailers.Distinct != 40*54 {
			t.Errorf("checked %d of %d trailers, one %d times, want all once", r.Trailers.Checked, r.Trailers.Distinct, v.most())
		}
		// The first batch holds one segment, the second what came during it, and so on.
		if v.calls > 10 {
			t.Errorf("%d batches for 40 segments", v.calls)
		}
		if r.PowSeconds < 2.16 {
			t.Errorf("%v s of work, want 2.16 at least", r.PowSeconds)
		}
	})
}

// A tip that a clock a little behind refuses is looked at again, without another
// call.
func TestJustEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		ts := chain(time.Now().Add(6*time.Second), 20, 1, worked(60))
		addrs := n.add(&actor{chain: ts}, &actor{chain: ts}, &actor{chain: ts})
		r := n.scan(t, n.options(&fakeVerifier{}, addrs...))
		wantChosen(t, r, Quorum, last(ts))
		if p := row(t, r, addrs[0]); p.Calls != 2 || len(p.Faults) != 0 || p.Verdict != Proven {
			t.Errorf("%s after %d calls with faults %v, want %s, 2, none", p.Verdict, p.Calls, p.Faults, Proven)
		}
		if r.Seconds != 3 {
			t.Errorf("took %v s, want the 3 until the clock allows the tip", r.Seconds)
		}
	})
}

// Progress says what happens as it does, ten times a second at most.
func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		actors, _ := honest(3)
		addrs := n.add(append(actors, &actor{raw: silent})...)
		var got []Progress
		rows := map[netip.Addr]Verdict{}
		o := n.options(&fakeVerifier{}, addrs...)
		o.OnChange = func(p Progress) {
			got = append(got, p)
			for _, r := range p.Peers {
				rows[r.Addr] = r.Verdict
			}
		}
		n.scan(t, o)
		for i := range got {
			if i > 0 && i < len(got)-1 && got[i].Elapsed-got[i-1].Elapsed < progressPause {
				t.Errorf("calls %d and %d are %v apart, want %v", i-1, i, got[i].Elapsed-got[i-1].Elapsed, progressPause)
			}
		}
		final := got[len(got)-1]
		if final.Asked != 4 || final.Reached != 3 || final.Judged != 4 || final.Proven != 3 || final.Queue != 0 || final.InFlight != 0 {
			t.Errorf("at the end progress is %+v", final)
		}
		if rows[addrs[0]] != Proven || rows[addrs[3]] != Unavailable || len(rows) != 4 {
			t.Errorf("rows end as %v", rows)
		}
	})
}

func TestOptions(t *testing.T) {
	if _, err := Run(t.Context(), Options{}); err == nil {
		t.Error("Run without a client gave no error")
	}
	o, err := Options{Client: peer.NewClient(peer.Options{}), Verifier: &fakeVerifier{}}.complete()
	if err != nil {
		t.Fatal(err)
	}
	if o.Parallel != 256 || o.PerGroup != 4 || o.MaxPeers != 4096 || o.Quorum.Peers != 3 || o.Quorum.Groups != 3 ||
		o.Deadlines != (Deadlines{20 * time.Second, 5 * time.Minute, 5 * time.Second, 5 * time.Second}) {
		t.Errorf("defaults are %+v", o)
	}
	if n := o.Draw(54); n < 0 || n >= proof.Segment {
		t.Errorf("Draw(54) = %d", n)
	}
}
