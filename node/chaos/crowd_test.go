package chaos

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"kigo/node/branch"
	"kigo/node/peer"
	"kigo/node/scan"
)

// few says how many peers a crowd has: fewer where each costs more.
func few(n int) int {
	if testing.Short() || raceDetector {
		return n / 10
	}
	return n
}

// crowd assigns kinds to addresses, each of another group as far as there are any.
func crowd(kinds ...string) (as []Assignment) {
	for i, k := range kinds {
		as = append(as, Assignment{address(i), k})
	}
	return as
}

func times(n int, kind string) []string { return slices.Repeat([]string{kind}, n) }

// scanned scans a crowd of which so many are honest.
func scanned(t *testing.T, as []Assignment, honestOnes int) (r *scan.Report) {
	t.Helper()
	f := newFleet(t, as)
	for range tries {
		o := options(f, as)
		o.Client = patient(f)
		o.Quorum = branch.Quorum{Peers: honestOnes, Groups: honestOnes}
		if r = run(t, o); !honestLate(r, as) {
			break
		}
	}
	return r
}

// A liar that claims the greatest weight, or the least, moves nothing: first, last
// or 999 of 1,000.
func TestLiars(t *testing.T) {
	for i, kind := range []string{"max-weight-no-proof", "max-weight-on-tip", "max-weight-stem", "weight-one-on-tip"} {
		for name, as := range map[string][]Assignment{
			"first": crowd(slices.Concat([]string{kind}, times(3, plain))...),
			"last":  crowd(slices.Concat(times(3, plain), []string{kind})...),
		} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				wantHonest(t, world(), scanned(t, as, 3), as)
			})
		}
		n := few(1000)
		at := []int{0, n / 3, n / 2, n - 1}[i]
		t.Run(fmt.Sprintf("%s/%d of %d, honest at %d", kind, n-1, n, at), func(t *testing.T) {
			as := crowd(slices.Insert(times(n-1, kind), at, plain)...)
			r := scanned(t, as, 1)
			wantHonest(t, world(), r, as)
			if p := find(r, as[at].Addr); p.Verdict != scan.Proven {
				t.Errorf("the honest peer is %s", describe(p))
			}
		})
	}
}

// Genuine old segments of higher density come last, however many.
func TestOldSegments(t *testing.T) {
	as := crowd(slices.Concat(times(20, "old-dense"), times(3, plain))...)
	r := scanned(t, as, 3)
	wantHonest(t, world(), r, as)
	denser := 0
	for i := range r.Branches {
		if b := &r.Branches[i]; !b.Chosen && b.Density > chosen(t, r).Density {
			denser++
			if b.Fresh {
				t.Errorf("the branch of %v passes for a fresh one", b.Height)
			}
		}
	}
	if denser == 0 {
		t.Error("no branch is denser than the honest one: nothing is shown")
	}
	if chosen(t, r).Index != 0 {
		t.Errorf("the honest branch is at %d, want it first", chosen(t, r).Index)
	}
}

// Work at difficulty 0 is a branch ranked behind, however many stand on it.
func TestCheapWork(t *testing.T) {
	as := crowd(slices.Concat(times(40, "difficulty-zero"), times(2, plain))...)
	r := scanned(t, as, 2)
	wantHonest(t, world(), r, as)
	if len(r.Branches) != 1+cheapLines {
		t.Errorf("%d branches, want the honest one and %d cheap ones", len(r.Branches), cheapLines)
	}
	for i := range r.Branches {
		if b := &r.Branches[i]; b.FirstClass != b.Chosen {
			t.Errorf("branch %d: first class %v, chosen %v", i, b.FirstClass, b.Chosen)
		}
	}
}

// Any number of tips on the honest stem that cost nothing are refused or weigh
// less than the honest tip.
func TestTipsOnTheStem(t *testing.T) {
	n := few(500)
	as := crowd(slices.Concat(times(n, "pseudo-tip"), times(n, "neogenesis-tip"), times(3, plain))...)
	r := scanned(t, as, 3)
	wantHonest(t, world(), r, as)
	for i := range r.Branches {
		if b := &r.Branches[i]; b.Height == world().Tip().Num && !b.Chosen || b.Height > world().Tip().Num {
			t.Errorf("a branch of %v is as high as the honest one", b.Tip)
		}
	}
	if len(r.Branches) != 1+n {
		t.Errorf("%d branches, want the honest one and one for each of %d neogenesis blocks", len(r.Branches), n)
	}
}

// Thousands of dead addresses, named by hostile peers of many groups, come behind
// the peers that are known and cost no more than their share of time-outs.
func TestDeadAddresses(t *testing.T) {
	const (
		timeout  = 100 * time.Millisecond
		parallel = 256
	)
	hostile := few(250)
	kinds := slices.Concat(times(hostile, "dead-list"), times(3, plain))
	as := crowd(kinds...)
	f := newFleet(t, as)
	o := options(f, as)
	var dead int
	alive := map[netip.Addr]bool{}
	for _, a := range as {
		alive[a.Addr] = true
	}
	counted := make(chan struct{}, scan.MaxCandidates+len(as))
	patience := patience
	patience.Connect = timeout
	o.Client = peer.NewClient(peer.Options{Port: f.Port(), Timeouts: patience, Dial: func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
		if alive[a.Addr()] {
			return Dial(ctx, a)
		}
		counted <- struct{}{}
		<-ctx.Done() // a dead address doesn't even refuse
		return nil, ctx.Err()
	}})
	o.Quorum = branch.Quorum{Peers: 3, Groups: 3}
	began := time.Now()
	r := run(t, o)
	took := time.Since(began)
	wantHonest(t, world(), r, as)
	dead = len(counted)
	if dead < few(3000) || r.Asked > scan.MaxCandidates {
		t.Errorf("%d dead addresses of %d were called: want some thousands and no more in all than %d", dead, r.Asked, scan.MaxCandidates)
	}
	if most := time.Duration(dead/parallel+2)*timeout + slack; took > most {
		t.Errorf("took %v with %d dead addresses, want at most %v", took, dead, most)
	}
	for _, a := range as {
		if p := find(r, a.Addr); p == nil || p.Verdict != scan.Proven {
			t.Errorf("known peer %v is %s", a.Addr, describe(p))
		}
	}
}

// slack is how much longer than another time a scan may take on a crowded machine.
const slack = 6 * time.Second

// Where nine of ten peers drip, are silent or never end, a scan takes as long as
// where all are honest and one time-out more for each 256 of them.
func TestSlowCrowds(t *testing.T) {
	n := few(1000)
	began := time.Now()
	cleanScan := scanned(t, crowd(times(n, plain)...), 3)
	clean := time.Since(began)
	for _, kind := range []string{"drip", "drip-hello", "silent", "silent-after-hello", "flood", "list-flood"} {
		t.Run(kind, func(t *testing.T) {
			as := crowd(slices.Concat(times(n*9/10, kind), times(n/10, plain))...)
			f := newFleet(t, as)
			o := options(f, as)
			began := time.Now()
			r := run(t, o)
			took := time.Since(began)
			wantHonest(t, world(), r, as)
			if most := clean + time.Duration((n+255)/256)*soon + slack; took > most {
				t.Errorf("took %v, want at most %v", took, most)
			}
			if most := cleanScan.Bytes.In * 11 / 10; r.Bytes.In > most {
				t.Errorf("%d bytes received, want at most %d", r.Bytes.In, most)
			}
		})
	}
}

// Without leave to call private addresses nobody on a list is called, and a peer
// that names itself isn't called again for it.
func TestListsOfNoUse(t *testing.T) {
	as := crowd("private-list", "self-list", "accomplice-list", "huge-list", plain, plain, plain)
	for name, private := range map[string]bool{"private addresses refused": false, "accepted": true} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, as)
			o := options(f, as)
			o.Book = scan.NewBook(scan.BookOptions{Private: private})
			for _, a := range as {
				o.Book.AddConfigured(a.Addr)
			}
			r := run(t, o)
			wantHonest(t, world(), r, as)
			if !private && r.Asked != len(as) {
				t.Errorf("%d addresses called, want the %d configured ones", r.Asked, len(as))
			}
			for _, s := range f.Stats() {
				if s.Connections != 2 {
					t.Errorf("%s: %d connections, want one for the list and one for the proof", s.Kind, s.Connections)
				}
			}
		})
	}
}
