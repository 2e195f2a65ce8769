package scan

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/memory"
	"kigo/node/peer"
	"kigo/node/proof"
	"kigo/node/rules"
	"kigo/node/wire"
)

// alarms returns the report's alarms of a kind.
func alarms(r *Report, k AlarmKind) (details []string) {
	for _, a := range r.Alarms {
		if a.Kind == k {
			details = append(details, a.Detail)
		}
	}
	return details
}

// noPoints checks that nobody has objective points.
func noPoints(t *testing.T, r *Report) {
	t.Helper()
	for _, p := range r.Peers {
		if p.Points.Objective != 0 || p.Verdict == Convicted || len(p.Evidence) > 0 {
			t.Errorf("%v is %s with points %+v and evidence %v, want no conviction", p.Addr, p.Verdict, p.Points, p.Evidence)
		}
	}
}

// Where half of all and three groups fall by one trailer, it is the rules that are
// suspected.  Where fewer do, they are convicted.
func TestRuleDisagreement(t *testing.T) {
	for name, test := range map[string]struct {
		good, bad int
		own       bool // bad peers have bad trailers of their own
		group     bool // bad peers are of one group
		alarm     bool
	}{
		"all":              {0, 6, false, false, true},
		"half":             {4, 4, false, false, true},
		"fewer than half":  {5, 4, false, false, false},
		"in two groups":    {0, 2, false, false, false},
		"in one group":     {3, 6, false, true, false},
		"by many trailers": {3, 9, true, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork()
				actors, ts := honest(test.good)
				addrs := n.add(actors...)
				var bad []netip.Addr
				for i := range test.bad {
					fall := relink(ts, 20, func(t *mcm.Trailer) { t.Nonce()[0] = spoiled })
					if test.own {
						fall = relink(ts, 20+i, func(t *mcm.Trailer) { t.Nonce()[0] = spoiled })
					}
					// Each has a tip of its own.
					fall = grow(fall, byte(i), []block{{seconds: 10}})
					a := addr(300, i)
					if !test.group {
						a = addr(300+i, 0)
					}
					n.actors[a] = &actor{chain: fall}
					bad = append(bad, a)
				}
				o := n.options(&fakeVerifier{}, append(addrs, bad...)...)
				mem := &fakeMemory{}
				o.Memory = mem
				r := n.scan(t, o)
				if got := len(alarms(r, RulesAlarm)); got != map[bool]int{true: 1}[test.alarm] {
					t.Errorf("%d alarms, want one: %v", got, test.alarm)
				}
				want, points := Convicted, 100.0
				if test.alarm {
					want, points = Doubtful, 0
					noPoints(t, r)
					if len(mem.saved[0].Invalid) != 0 {
						t.Error("a trailer in doubt was remembered as invalid")
					}
				} else if len(mem.saved[0].Invalid) == 0 {
					t.Error("the invalid trailer wasn't remembered")
				}
				for _, a := range bad {
					wantVerdict(t, r, a, want, string(fault.InvalidTrailer))
					if p := row(t, r, a); p.Points.Objective != points || p.Rule != rules.PowPeach || *p.Block < firstBlock+19 {
						t.Errorf("%v has points %v for %s at %v", a, p.Points.Objective, p.Rule, p.Block)
					}
				}
				if test.good > 2 {
					wantChosen(t, r, Quorum, last(ts))
				} else if r.State != NoneValid {
					t.Errorf("state is %s, want %s: the trailer stays refused", r.State, NoneValid)
				}
			})
		})
	}
}

// A clock that is wrong raises an alarm that says by how much, and costs nobody
// anything; when it is right again the chain is found.
func TestClock(t *testing.T) {
	for name, test := range map[string]struct {
		off   time.Duration
		state State
		alarm string
	}{
		"10 s behind":  {-10 * time.Second, NoneValid, "ahead of our clock, half of them by 10s"},
		"1 day behind": {-24 * time.Hour, NoneValid, "ahead of our clock, half of them by 24h0m0s"},
		"1 day ahead":  {24 * time.Hour, Quorum, "24h0m0s old"},
		"1 s behind":   {-time.Second, Quorum, ""},
		"right":        {0, Quorum, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork()
				ts := chain(time.Now(), 20, 1, worked(60))
				addrs := n.add(&actor{chain: ts}, &actor{chain: ts}, &actor{chain: ts})
				o := n.options(&fakeVerifier{}, addrs...)
				o.Deadlines.Retry = time.Second
				o.Now = func() time.Time { return time.Now().Add(test.off) }
				r := n.scan(t, o)
				noPoints(t, r)
				if r.State != test.state {
					t.Errorf("state is %s, want %s", r.State, test.state)
				}
				got := strings.Join(alarms(r, ClockAlarm), "; ")
				if (got == "") != (test.alarm == "") || !strings.Contains(got, test.alarm) {
					t.Errorf("alarm is %q, want %q", got, test.alarm)
				}
				o.Now = nil
				wantChosen(t, n.scan(t, o), Quorum, last(ts))
			})
		})
	}
}

// Tips ahead of the clock in two groups are no reason for an alarm.
func TestClockTwoGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		actors, ts := honest(3)
		early := chain(time.Now().Add(time.Hour), 20, 2, worked(60))
		addrs := n.add(append(actors, &actor{chain: early}, &actor{chain: early})...)
		r := n.scan(t, n.options(&fakeVerifier{}, addrs...))
		wantChosen(t, r, Quorum, last(ts))
		if len(r.Alarms) != 0 {
			t.Errorf("alarms: %v", r.Alarms)
		}
	})
}

// A chain of nearly nothing but pseudoblocks is followed back until it has 8 worked
// ones, over one supporter, and then counts.
func TestExtend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		ts := chain(time.Now().Add(-30*time.Second), 120, 1, worked(30), pseudo(49), worked(3), pseudo(2))
		addrs := n.add(&actor{chain: ts}, &actor{chain: ts}, &actor{chain: ts})
		o := n.options(&fakeVerifier{}, addrs...)
		o.Proof.Base = ts[0].Num()
		r := n.scan(t, o)
		wantChosen(t, r, Quorum, last(ts))
		for _, a := range addrs {
			wantVerdict(t, r, a, Proven, "")
		}
		calls := 0
		for _, p := range r.Peers {
			calls += p.Calls
			noPoints(t, r)
		}
		if calls != 7 {
			t.Errorf("%d calls, want two each and one for the older trailers", calls)
		}
		if b := r.Branches[r.Chosen]; b.Thin || b.Worked < proof.MinWorked {
			t.Errorf("the branch has %d worked trailers of %d", b.Worked, b.Trailers)
		}
	})
}

// Segments that cost nothing are not worth a range each: beside a real branch none,
// alone a few.
func TestExtendWorthless(t *testing.T) {
	for name, test := range map[string]struct{ honest, calls int }{"beside honest": {3, 0}, "alone": {0, maxStems}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork()
				actors, ts := honest(test.honest)
				for i := range 200 {
					actors = append(actors, &actor{chain: chain(time.Now().Add(-30*time.Second), 255, byte(i), pseudo(60))})
				}
				addrs := n.add(actors...)
				r := n.scan(t, n.options(&fakeVerifier{}, addrs...))
				if test.honest > 0 {
					wantChosen(t, r, Quorum, last(ts))
				} else if r.State != NoneValid {
					t.Errorf("state is %s, want %s", r.State, NoneValid)
				}
				extra := 0
				for _, p := range r.Peers {
					extra += p.Calls - 2
					if p.Branch != r.Chosen && p.Verdict != Thin {
						t.Errorf("%v is %s, want %s", p.Addr, p.Verdict, Thin)
					}
				}
				if extra != test.calls {
					t.Errorf("%d ranges asked for, want %d", extra, test.calls)
				}
			})
		})
	}
}

// An older range that is wrong convicts who served it; one that isn't served, or
// doesn't fit, leaves the segment as it is, and the next supporter is asked.
func TestExtendFails(t *testing.T) {
	for name, test := range map[string]struct {
		older  func(ts []mcm.Trailer) []mcm.Trailer // nil: no answer
		want   Verdict
		reason fault.Kind
	}{
		"no answer": {nil, Proven, ""},
		"broken link": {func(ts []mcm.Trailer) []mcm.Trailer {
			return chain(time.Now().Add(-30*time.Second), 120, 7, worked(30), pseudo(49), worked(3), pseudo(2))[:len(ts)]
		}, Proven, ""},
		"wrong numbers": {func(ts []mcm.Trailer) []mcm.Trailer { return append(ts[1:len(ts):len(ts)], ts[0]) }, Convicted, fault.WrongNumbers},
		"invalid":       {func(ts []mcm.Trailer) []mcm.Trailer { ts = slices.Clone(ts); ts[3].MerkleRoot()[1]++; return ts }, Convicted, fault.InvalidTrailer},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork()
				ts := chain(time.Now().Add(-30*time.Second), 120, 1, worked(30), pseudo(49), worked(3), pseudo(2))
				a := &actor{chain: ts}
				a.reply = func(s *peer.Session, r *wire.Packet) bool {
					first, count := wire.SplitTFArg(r.Arg)
					if r.Op != wire.OpTF || count == proof.Segment {
						return false
					}
					if older := a.trailers(first, count); test.older != nil {
						s.Reply(wire.OpSendFile, mcm.Bytes(test.older(older)))
					}
					return true
				}
				addrs := n.add(a, &actor{chain: ts}, &actor{chain: ts}, &actor{chain: ts})
				o := n.options(&fakeVerifier{}, addrs...)
				o.Proof.Base = ts[0].Num()
				r := n.scan(t, o)
				wantChosen(t, r, Quorum, last(ts))
				wantVerdict(t, r, addrs[0], test.want, string(test.reason))
				wantVerdict(t, r, addrs[1], Proven, "")
				if test.want != Convicted {
					noPoints(t, r)
				}
			})
		})
	}
}

// A false weight over the genuine tip is disproved where an anchor makes the weight
// exact: once, and the branch keeps the support.
func TestFalseWeight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		actors, ts := honest(3)
		one := &actor{chain: ts, claim: func(s wire.State) wire.State { s.Weight = mcm.Weight{1}; return s }}
		most := &actor{chain: ts, claim: func(s wire.State) wire.State { s.Weight = maxWeight; return s }}
		addrs := n.add(append(actors, one, most)...)
		o := n.options(&fakeVerifier{}, addrs...)
		var w mcm.Weight
		for i := range 20 {
			w = rules.AddWeight(w, &ts[i])
		}
		o.Anchors = []proof.Anchor{{Num: ts[19].Num(), Hash: *ts[19].Hash(), Weight: w, Time: ts[19].SolveTime()}}
		mem := &fakeMemory{}
		o.Memory = mem
		r := n.scan(t, o)
		wantChosen(t, r, Quorum, last(ts))
		for i, a := range addrs {
			if i < 3 {
				wantVerdict(t, r, a, Proven, "")
				continue
			}
			wantVerdict(t, r, a, Convicted, string(fault.FalseWeight))
			if p := row(t, r, a); p.Points.Objective != 50 || p.Branch != r.Chosen || len(p.Evidence) != 1 {
				t.Errorf("%v has points %+v, is on branch %d, evidence %v", a, p.Points, p.Branch, p.Evidence)
			}
		}
		if b := r.Branches[r.Chosen]; !b.Exact || b.Weight != stateOf(ts).Weight || len(b.Peers) != 5 {
			t.Errorf("weight %v (exact: %v) of %d peers, want %v of 5", b.Weight, b.Exact, len(b.Peers), stateOf(ts).Weight)
		}
		for range 2 { // the same statement isn't charged again, in this process or the next
			r = n.scan(t, o)
			if p := row(t, r, addrs[3]); p.Points.Objective > 50 || len(p.Evidence) != 0 {
				t.Errorf("the same statement brought it to %v points, evidence %v", p.Points.Objective, p.Evidence)
			}
			o.Book = NewBook(BookOptions{})
			o.Book.AddConfigured(addrs...)
		}
		confirmed(t, mem.saved[0], 2)
	})
}

// Where more groups agree on another weight than confirm ours, it is our anchor
// that may be wrong.
func TestWeightDisagreement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		actors, ts := honest(4)
		addrs := n.add(actors...)
		o := n.options(&fakeVerifier{}, addrs...)
		o.Anchors = []proof.Anchor{{Num: ts[19].Num(), Hash: *ts[19].Hash(), Weight: mcm.Weight{77}, Time: ts[19].SolveTime()}}
		r := n.scan(t, o)
		wantChosen(t, r, Quorum, last(ts))
		noPoints(t, r)
		if len(alarms(r, WeightAlarm)) != 1 {
			t.Errorf("alarms: %v, want one about weights", r.Alarms)
		}
	})
}

// Honest peers at a tip that ends in ff, with both weights, at the neogenesis block
// after it, and with a seam get no objective points.
func TestHonestOddities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		long := chain(time.Now().Add(-30*time.Second), 20, 1, worked(0xff-0x10+1))
		at := slices.IndexFunc(long, func(t mcm.Trailer) bool { return t.Num().Low() == 0xff })
		ff, neo := long[:at+1], long[:at+2]
		both := func(s wire.State) wire.State {
			s.Weight = s.Weight.AddDifficulty(ff[at].WorkDifficulty())
			return s
		}
		addrs := n.add(
			&actor{chain: ff}, &actor{chain: ff, claim: both}, &actor{chain: ff},
			&actor{chain: neo}, &actor{chain: neo}, &actor{chain: neo},
		)
		o := n.options(&fakeVerifier{}, addrs...)
		var w mcm.Weight
		for i := range at - 20 {
			w = rules.AddWeight(w, &ff[i])
		}
		anchor := &ff[at-21]
		o.Anchors = []proof.Anchor{{Num: anchor.Num(), Hash: *anchor.Hash(), Weight: w, Time: anchor.SolveTime()}}
		r := n.scan(t, o)
		noPoints(t, r)
		for _, a := range addrs {
			wantVerdict(t, r, a, Proven, "")
		}
		wantChosen(t, r, Quorum, last(neo))
	})
}

// Work that was found right, or wrong, is known in the next process.
func TestPersistence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		actors, ts := honest(3)
		bad := &actor{chain: relink(ts, 50, func(t *mcm.Trailer) { t.Nonce()[0] = spoiled })}
		addrs := n.add(append(actors, bad)...)
		path := t.TempDir() + "/memory.db"
		scan := func(v *fakeVerifier, configured ...netip.Addr) *Report {
			db, err := memory.Open(path, memory.Identity{Network: wire.Network, Rules: rules.Version}, memory.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			o := n.options(v, configured...)
			o.Memory = db
			return n.scan(t, o)
		}
		v := &fakeVerifier{}
		r := scan(v, addrs...)
		if r.Trailers.Checked < 55 || v.most() != 1 {
			t.Errorf("the first scan checked %d trailers, want 55 or more, each once", r.Trailers.Checked)
		}
		v = &fakeVerifier{}
		r = scan(v) // the addresses are remembered, too
		wantChosen(t, r, Quorum, last(ts))
		wantVerdict(t, r, addrs[3], Skipped, "")
		if len(r.Peers) != 4 || r.Trailers.Checked != 0 || v.calls != 0 {
			t.Errorf("%d rows, %d trailers checked again, want 4 and none", len(r.Peers), r.Trailers.Checked)
		}
		// The same bad trailer from somebody else.
		fresh := addr(900, 0)
		n.actors[fresh] = bad
		r = scan(v, fresh)
		wantVerdict(t, r, fresh, Convicted, string(fault.InvalidTrailer))
		if v.calls != 0 {
			t.Errorf("%d trailers checked again", r.Trailers.Checked)
		}
	})
}

// What a scan has verified isn't remembered, and nothing of what was, if meanwhile an
// engine was found to compute wrongly.
func TestDistrust(t *testing.T) {
	for _, wrong := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork()
			actors, _ := honest(3)
			addrs := n.add(actors...)
			m := &memory.RAM{}
			if err := m.Save(time.Now(), &memory.Changes{Verified: []mcm.Hash{{1}}}); err != nil {
				t.Fatal(err)
			}
			v := &fakeVerifier{}
			o := n.options(v, addrs...)
			o.Memory = m
			o.Wrong = func() int {
				if v.calls > 0 {
					return wrong
				}
				return 0
			}
			n.scan(t, o)
			s, err := m.Load(time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if len(s.Verified) == 0 != (wrong > 0) {
				t.Errorf("wrong %d: %d trailers are remembered as verified", wrong, len(s.Verified))
			}
		})
	}
}

// Hostile peers of many groups that name 4,096 dead addresses put nobody off: the
// quorum is found among those known, and candidates have their turn by who names
// them.
func TestDeadAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		actors, ts := honest(3)
		addrs := n.add(actors...)
		hidden := addr(5000, 0)
		n.actors[hidden] = &actor{chain: ts}
		actors[2].list = []netip.Addr{hidden}
		var hostile []netip.Addr
		for g := range 64 {
			a := &actor{chain: ts, reply: closing(wire.OpGetIPL)}
			for i := range 64 {
				a.list = append(a.list, addr(1000+g*64+i, 0))
			}
			hostile = append(hostile, n.add(a)...)
		}
		o := n.options(&fakeVerifier{}, append(hostile, addrs...)...)
		var at time.Duration
		o.OnChange = func(p Progress) {
			for _, r := range p.Peers {
				if r.Addr == hidden && r.Verdict == Proven && at == 0 {
					at = p.Elapsed
				}
			}
		}
		r := n.scan(t, o)
		wantChosen(t, r, Quorum, last(ts))
		if at == 0 || at > 3500*time.Millisecond { // one time-out
			t.Errorf("the one honest candidate was proven after %v, want after one time-out at most", at)
		}
		if r.Seconds > 21 {
			t.Errorf("took %v s, want 20", r.Seconds)
		}
		if c := o.Book.Counts(time.Now()); c.Candidates > MaxCandidates {
			t.Errorf("the book holds %d candidates", c.Candidates)
		}
	})
}
