package chaos

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/wire"
)

// Chains that go on from the world's own keep all rules and are the same each time.
func TestGrowAndFork(t *testing.T) {
	w := world()
	soon := worldTime.Add(30 * time.Second)
	grown, err := w.Grow(t.Context(), w.Chain(), 3, soon)
	if err != nil {
		t.Fatal(err)
	}
	later := soon.Add(10 * time.Second)
	forked, err := w.Fork(t.Context(), grown, 70, 2, later)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*Chain{"grown": grown, "forked": forked} {
		if i, rule := judge(t, c.line, later.Unix()); i >= 0 {
			t.Errorf("%s breaks %s at index %d", name, rule, i)
		}
	}
	if grown.Tip().Num != w.Tip().Num+3 || grown.Tip().Weight.Cmp(w.Tip().Weight) <= 0 {
		t.Errorf("grew to %+v from %+v", grown.Tip(), w.Tip())
	}
	if forked.Tip().Num != grown.Tip().Num+2 || forked.Tip().Weight.Cmp(grown.Tip().Weight) <= 0 {
		t.Errorf("forked to %+v from %+v", forked.Tip(), grown.Tip())
	}
	a, b := grown.Trailers(), forked.Trailers()
	same := 0
	for same < len(a) && a[same] == b[same] {
		same++
	}
	if same != len(a)-70 {
		t.Errorf("the fork shares %d trailers, want %d", same, len(a)-70)
	}
	again, err := w.Fork(t.Context(), grown, 70, 2, later)
	if err != nil || again.Tip() != forked.Tip() {
		t.Errorf("another call makes another chain (%v)", err)
	}
	if _, err := w.Grow(t.Context(), grown, 1, soon); err == nil {
		t.Error("a block was found in no time")
	}
	if _, err := w.Fork(t.Context(), grown, len(a), 1, later); err == nil {
		t.Error("a chain parts below its beginning")
	}
}

// Peers follow the chain they are told to, all or some, and serve all of it.
func TestFollow(t *testing.T) {
	w := world()
	as := crowd(plain, plain, "tip-00")
	f := newFleet(t, as)
	grown, err := w.Grow(t.Context(), w.Chain(), 2, worldTime.Add(30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	f.Follow(grown, as[0].Addr, as[2].Addr)
	c := client(f)
	for i, want := range []mcm.BlockNum{grown.Tip().Num, w.Tip().Num, grown.Tip().Num - 2} {
		call, err := c.Call(t.Context(), as[i].Addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := call.Claim().Num; got != want {
			t.Errorf("peer %d is at %v, want %v", i, got, want)
		}
		ts, err := call.Trailers(t.Context(), w.Base.Num, int(want-w.Base.Num)+1)
		if err != nil || !slices.Equal(ts, grown.Trailers()[:want-w.Base.Num+1]) {
			t.Errorf("peer %d serves %d trailers, other ones than its chain's (%v)", i, len(ts), err)
		}
	}
	if f.Announce(t.Context(), netip.MustParseAddr("127.9.9.9"), netip.AddrPort{}) == nil {
		t.Error("somebody announces who is no peer")
	}
}

// A range that is held back comes once it is let go.
func TestHold(t *testing.T) {
	w := world()
	f := newFleet(t, crowd(plain))
	c := client(f)
	ask := func(first mcm.BlockNum) error {
		call, err := c.Call(t.Context(), address(0))
		if err == nil {
			_, err = call.Trailers(t.Context(), first, 100)
		}
		return err
	}
	f.Hold(w.Base.Num + 50)
	if err := ask(w.Base.Num + 50); err != nil {
		t.Error(err)
	}
	if err := ask(w.Base.Num + 49); faultOf(t, err) != fault.Timeout {
		t.Errorf("a range below: %v", err)
	}
	f.Hold(0)
	if err := ask(w.Base.Num + 49); err != nil {
		t.Error(err)
	}
}

// A peer announces its tip from its own address.
func TestAnnounce(t *testing.T) {
	w := world()
	f := newFleet(t, crowd(plain))
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	type call struct {
		from  string
		found wire.Packet
		err   error
	}
	calls := make(chan call, 1)
	go func() {
		var c call
		defer func() { calls <- c }()
		conn, err := l.Accept()
		if err != nil {
			c.err = err
			return
		}
		defer conn.Close()
		c.from = conn.RemoteAddr().String()
		hello, _, err := wire.Read(conn, nil, wire.RequestLimit)
		if err != nil {
			c.err = err
			return
		}
		ack := wire.Packet{Op: wire.OpHelloAck, ID1: hello.ID1, ID2: 7}
		b, err := ack.AppendTo(nil)
		if err == nil {
			_, err = conn.Write(b)
		}
		if err == nil {
			c.found, _, err = wire.Read(conn, nil, wire.RequestLimit)
		}
		c.err = err
	}()
	if err := f.Announce(t.Context(), address(0), l.Addr().(*net.TCPAddr).AddrPort()); err != nil {
		t.Fatal(err)
	}
	c := <-calls
	if c.err != nil {
		t.Fatal(c.err)
	}
	if host, _, _ := net.SplitHostPort(c.from); host != address(0).String() {
		t.Errorf("called from %s", c.from)
	}
	if p := c.found; p.Op != wire.OpFound || p.ID2 != 7 || p.State.Hash != w.Tip().Hash || !slices.Equal(mcm.Trailers(p.Data), w.proof()) {
		t.Errorf("announced %v of tip %v with %d bytes", p.Op, p.State.Hash, len(p.Data))
	}
}
