package chaos

import (
	"errors"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"kigo/node/fault"
	"kigo/node/peer"
)

// soon is how long tests wait for one who never answers, where it doesn't matter if
// one who does is late.
const soon = time.Second

// client calls a fleet's peers with little patience.
func client(f *Fleet) *peer.Client {
	return peer.NewClient(peer.Options{Port: f.Port(), Dial: Dial, Timeouts: peer.Timeouts{
		Connect: soon, HelloAck: soon, First: soon, Packet: soon, List: soon, Proof: 2 * soon, Range: 2 * soon, Grace: soon,
	}})
}

// oneOfEach assigns every kind to one peer.
func oneOfEach() (as []Assignment) {
	for i, k := range Kinds() {
		as = append(as, Assignment{address(i), k.Name})
	}
	return as
}

func faultOf(t *testing.T, err error) fault.Kind {
	t.Helper()
	if err == nil {
		return ""
	}
	var f *fault.Fault
	if !errors.As(err, &f) {
		t.Fatalf("error %v names no fault", err)
	}
	return f.Kind
}

// What a peer's every kind does to a conversation, before anybody judges what it
// said.  Kinds that aren't named keep to the protocol.
func TestKindsOverSockets(t *testing.T) {
	type outcome struct{ list, proof []fault.Kind }
	both := func(k ...fault.Kind) outcome { return outcome{k, k} }
	list := func(k ...fault.Kind) outcome { return outcome{k, []fault.Kind{""}} }
	proof := func(k ...fault.Kind) outcome { return outcome{[]fault.Kind{""}, k} }
	outcomes := map[string]outcome{
		"max-weight-no-proof": proof(fault.Refused, fault.Reset),
		"shifted":             proof(fault.WrongNumbers),
		"random-bytes":        proof(fault.WrongNumbers),
		"garbage-proof":       proof(fault.WrongNumbers),
		"trailers-0":          proof(fault.ShortReply),
		"trailers-53":         proof(fault.ShortReply),
		"trailers-55":         proof(fault.TooLong),
		"trailers-1000":       proof(fault.TooLong),
		"trailers-65535":      proof(fault.TooLong),
		"half-trailer":        proof(fault.NotMultiple),
		"height-huge":         proof(fault.Refused),
		"height-zero":         proof(fault.Refused),
		"height-below-v3":     proof(fault.Refused),
		"huge-list":           list(fault.BadList),
		"list-65":             list(fault.BadList),
		"list-odd":            list(fault.BadList),
		"drip":                proof(fault.TooSlow, fault.Timeout),
		"drip-hello":          both(fault.TooSlow, fault.Timeout),
		"silent":              both(fault.Timeout),
		"silent-after-hello":  both(fault.Timeout),
		"hang-up":             both(fault.Refused, fault.Reset),
		"reset":               both(fault.Refused, fault.Reset),
		"bad-crc":             both(fault.BadCRC),
		"bad-ids":             both(fault.BadFrame),
		"bad-network":         both(fault.BadFrame),
		"bad-mark":            both(fault.BadFrame),
		"bad-opcode":          both(fault.Refused),
		"bad-length":          both(fault.Refused, fault.Reset),
		"flood":               proof(fault.TooLong),
		"flood-hello":         both(fault.Refused),
		"busy":                both(fault.Refused),
		"nack":                both(fault.Refused),
	}
	f := newFleet(t, oneOfEach())
	c := client(f)
	for _, a := range f.Peers() {
		t.Run(a.Kind, func(t *testing.T) {
			t.Parallel()
			want, named := outcomes[a.Kind]
			if !named {
				want = both("")
			}
			call, err := c.Call(t.Context(), a.Addr)
			if err == nil {
				_, _, err = call.IPL(t.Context())
			}
			if got := faultOf(t, err); !slices.Contains(want.list, got) {
				t.Errorf("list: %q (%v), want %q", got, err, want.list)
			}
			call, err = c.Call(t.Context(), a.Addr)
			if err == nil {
				first := call.Claim().Num + 1 - segment
				if first > 1<<32-1 {
					first = 1<<32 - 1 // as far as can be asked
				}
				_, err = call.Trailers(t.Context(), first, segment)
			}
			if got := faultOf(t, err); !slices.Contains(want.proof, got) {
				t.Errorf("proof: %q (%v), want %q", got, err, want.proof)
			}
		})
	}
}

// An honest peer's proof is the end of the world's chain.
func TestHonestProof(t *testing.T) {
	f := newFleet(t, []Assignment{{address(0), plain}})
	call, err := client(f).Call(t.Context(), address(0))
	if err != nil {
		t.Fatal(err)
	}
	tip := world().Tip()
	if s := call.Claim(); s.Num != tip.Num || s.Hash != tip.Hash || s.Weight != tip.Weight {
		t.Errorf("claims %+v, want %+v", s, tip)
	}
	ts, err := call.Trailers(t.Context(), tip.Num+1-segment, segment)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(ts, world().proof()) {
		t.Error("serves other trailers than the chain's last")
	}
	if err := f.Close(); err != nil { // so that all is counted
		t.Error(err)
	}
	in, out := call.Bytes()
	if s := f.Stats()[0]; s.Connections != 1 || s.Requests != 1 || s.BytesOut != in || s.BytesIn != out {
		t.Errorf("stats %+v, the caller received %d and sent %d bytes", s, in, out)
	}
}

func TestTurncoat(t *testing.T) {
	f := newFleet(t, []Assignment{{address(0), turncoat}})
	f.mu.Lock()
	f.order[0].turned = lookUp("shifted")
	f.mu.Unlock()
	c := client(f)
	for i := range honestScans + 3 {
		call, err := c.Call(t.Context(), address(0))
		if err != nil {
			t.Fatal(err)
		}
		_, err = call.Trailers(t.Context(), call.Claim().Num+1-segment, segment)
		want := fault.Kind("")
		if i >= honestScans {
			want = fault.WrongNumbers
		}
		if got := faultOf(t, err); got != want {
			t.Errorf("range %d: %q, want %q", i+1, got, want)
		}
	}
}

// Reassigned peers keep their sockets, and calls of the round before end.
func TestAssign(t *testing.T) {
	f := newFleet(t, []Assignment{{address(0), "silent-after-hello"}, {address(1), plain}})
	patient := peer.NewClient(peer.Options{Port: f.Port(), Dial: Dial})
	call, err := patient.Call(t.Context(), address(0))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Assign(2, []Assignment{{address(0), plain}, {address(2), plain}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := call.IPL(t.Context()); err == nil {
		t.Error("a call of the round before goes on")
	}
	for i, want := range []bool{true, false, true} {
		call, err := patient.Call(t.Context(), address(i))
		if err == nil {
			call.Close()
		}
		if (err == nil) != want {
			t.Errorf("peer %d: error %v, want it up: %v", i, err, want)
		}
	}
	for _, as := range [][]Assignment{
		{{address(0), "no-such-kind"}},
		{{address(0), plain}, {address(0), plain}},
		{{netip.MustParseAddr("10.0.0.1"), plain}},
	} {
		if f.Assign(3, as) == nil {
			t.Errorf("assignment %v passes", as)
		}
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	world()
	before := runtime.NumGoroutine()
	f, err := NewFleet(world(), FleetConfig{Peers: oneOfEach()})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Start(); err != nil {
		t.Fatal(err)
	}
	c := client(f)
	var calls []*peer.Call
	for _, a := range f.Peers() {
		if call, err := c.Call(t.Context(), a.Addr); err == nil {
			calls = append(calls, call)
		}
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	for _, call := range calls {
		call.Close()
	}
	// One that has been waited for may still have its last instruction to do.
	after := runtime.NumGoroutine()
	for until := time.Now().Add(10 * time.Second); after > before && time.Now().Before(until); after = runtime.NumGoroutine() {
		time.Sleep(time.Millisecond)
	}
	if after > before {
		buf := make([]byte, 1<<20)
		t.Errorf("%d goroutines before, %d after:\n%s", before, after, buf[:runtime.Stack(buf, true)])
	}
	if err := f.Assign(1, nil); err == nil {
		t.Error("a closed fleet takes new peers")
	}
}

func TestPlan(t *testing.T) {
	as, err := Plan(1, 1000, 5, nil)
	if err != nil {
		t.Fatal(err)
	}
	var honestGroups fault.Groups
	seen, count, grouped := map[netip.Addr]bool{}, map[string]int{}, map[netip.Prefix]bool{}
	for _, a := range as {
		if seen[a.Addr] || !loopback.Contains(a.Addr) {
			t.Errorf("address %v is taken or no loopback one", a.Addr)
		}
		seen[a.Addr] = true
		count[a.Kind]++
		if a.Kind == plain {
			grouped[honestGroups.Of(a.Addr)] = true
		}
	}
	if count[plain] != 5 || len(grouped) != 5 {
		t.Errorf("%d honest peers in %d groups, want 5 in 5", count[plain], len(grouped))
	}
	for _, name := range hostileNames() {
		if n, share := count[name], 995/len(hostileNames()); n < share || n > share+1 {
			t.Errorf("%d peers of kind %s, want %d or one more", n, name, share)
		}
	}
	again, _ := Plan(1, 1000, 5, nil)
	other, _ := Plan(2, 1000, 5, nil)
	if !slices.Equal(as, again) || slices.Equal(as, other) {
		t.Error("a plan is no function of its seed")
	}
	for _, err := range []error{
		second(Plan(1, 0, 0, nil)), second(Plan(1, 5, 6, nil)), second(Plan(1, 5, -1, nil)), second(Plan(1, 5, 1, []string{"nobody"})),
	} {
		if err == nil {
			t.Error("an impossible plan passes")
		}
	}
}

func second(_ []Assignment, err error) error { return err }

func TestKindsAreDescribed(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Kinds() {
		if k.Name == "" || k.Summary == "" || k.Family == "" || len(k.Expect.Verdicts) == 0 || seen[k.Name] {
			t.Errorf("kind %q lacks a name of its own, a family, a summary or an expectation", k.Name)
		}
		seen[k.Name] = true
	}
	if len(seen) < 60 {
		t.Errorf("%d kinds", len(seen))
	}
}

func TestWorldIsServedByNumber(t *testing.T) {
	l := world().main
	base := uint32(l.trailers[0].Num())
	f := func(first, count uint32, want int) {
		t.Helper()
		if got := len(l.cut(10, first, count)); got != want {
			t.Errorf("%d trailers from %#x on, want %d", got, first, want)
		}
	}
	f(base, 54, 11)
	f(base+5, 3, 3)
	f(base+10, 3, 1)
	f(base+11, 3, 0)
	f(base-1, 3, 0)
	f(0, 1000, 0)
	f(^uint32(0), 1000, 0)
}
