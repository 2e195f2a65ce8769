package wire

import (
	"bytes"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"kigo/node/mcm"
	"kigo/testdata"
)

func TestPrivateVectors(t *testing.T) {
	var v struct {
		Private []struct {
			IP    netip.Addr
			Wire  testdata.Hex `json:"wire_hex"`
			Class int
		}
	}
	load(t, "peer-lists.json", &v)
	if len(v.Private) != 34 {
		t.Errorf("%d addresses, want 34", len(v.Private))
	}
	for _, c := range v.Private {
		if got := Private(c.IP); got != c.Class {
			t.Errorf("%s: class %d, want %d", c.IP, got, c.Class)
		}
		if got := AppendAddrs(nil, []netip.Addr{c.IP}); !bytes.Equal(got, c.Wire) {
			t.Errorf("%s: written as %x, want %x", c.IP, got, c.Wire)
		}
		if as, err := ParseAddrs(c.Wire); err != nil || !slices.Equal(as, []netip.Addr{c.IP}) {
			t.Errorf("%x: read as %v, %v, want %s", c.Wire, as, err, c.IP)
		}
		first := c.IP.As4()[0]
		if got, want := Callable(c.IP), first != 0 && first < 224; got != want {
			t.Errorf("%s: callable %v, want %v", c.IP, got, want)
		}
	}
}

// An IPv4 address that is written as an IPv6 one is the same address, and any
// other IPv6 address is none that the protocol knows.
func TestPrivateOfIPv6(t *testing.T) {
	for a, want := range map[string]int{"::ffff:10.1.2.3": 1, "::ffff:8.8.8.8": 0, "::1": 0, "fe80::1": 0} {
		if got := Private(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s: class %d, want %d", a, got, want)
		}
	}
}

func TestCallable(t *testing.T) {
	for a, want := range map[string]bool{
		"0.0.0.0": false, "0.255.255.255": false, "1.0.0.0": true, "10.1.2.3": true, "127.0.0.1": true,
		"100.64.0.1": true, "223.255.255.255": true, "224.0.0.0": false, "239.255.255.255": false,
		"240.0.0.1": false, "255.255.255.255": false, "::1": false, "2001:db8::1": false, "::ffff:8.8.8.8": true,
	} {
		if got := Callable(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s: %v, want %v", a, got, want)
		}
	}
	if Callable(netip.Addr{}) {
		t.Error("the zero Addr is callable")
	}
}

func TestParseAddrsLengths(t *testing.T) {
	for n := range 4*MaxAddrs + 10 {
		as, err := ParseAddrs(make([]byte, n))
		switch ok := n%4 == 0 && n <= 256; {
		case ok && (err != nil || len(as) != n/4):
			t.Errorf("%d bytes: %d addresses, %v, want %d", n, len(as), err, n/4)
		case !ok && (kind(t, err) != BadLength || as != nil):
			t.Errorf("%d bytes: %v, %v, want %v", n, as, err, BadLength)
		}
	}
	if _, err := ParseAddrs(make([]byte, MaxData)); kind(t, err) != BadLength {
		t.Errorf("%d bytes: %v", MaxData, err)
	}
}

func TestAppendAddrsSkipsOthers(t *testing.T) {
	got := AppendAddrs([]byte("list "), []netip.Addr{
		netip.MustParseAddr("1.2.3.4"), {}, netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("::ffff:5.6.7.8"),
	})
	if want := "list \x01\x02\x03\x04\x05\x06\x07\x08"; string(got) != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestAddressMap(t *testing.T) {
	var want [8]netip.Addr
	if got := AddressMap(mcm.Weight{}); got != want {
		t.Errorf("empty map: %v", got)
	}
	for i := range want {
		want[i] = netip.AddrFrom4([4]byte{1, 2, 3, byte(i)})
		w := MapWeight(want)
		if b := w.LE(); !bytes.Equal(b[4*i:4*i+4], []byte{1, 2, 3, byte(i)}) {
			t.Errorf("slot %d: %x", i, b)
		}
		if got := AddressMap(w); got != want {
			t.Errorf("%d slots: %v, want %v", i+1, got, want)
		}
	}
	want[3] = netip.Addr{}
	in := want
	in[3] = netip.MustParseAddr("::1") // can't be said
	in[4] = netip.MustParseAddr("::ffff:1.2.3.4")
	if got := AddressMap(MapWeight(in)); got != want {
		t.Errorf("slot 3 free: %v, want %v", got, want)
	}
	for _, g := range goldens(t) {
		if g.Name != "tx" {
			continue
		}
		p, err := Decode(g.Packet)
		if err != nil {
			t.Fatal(err)
		}
		if m := AddressMap(p.State.Weight); !reflect.DeepEqual(m, [8]netip.Addr{netip.MustParseAddr("127.0.0.9")}) {
			t.Errorf("recorded map %v, want only 127.0.0.9", m)
		}
	}
}

func FuzzAddrs(f *testing.F) {
	for _, g := range goldens(f) {
		if g.Opcode == OpSendIPL {
			p, err := Decode(g.Packet)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(p.Data)
		}
	}
	f.Add([]byte{})
	f.Add(make([]byte, 7))
	f.Add(bytes.Repeat([]byte{224, 0, 0, 1}, 64))
	f.Add(bytes.Repeat([]byte{127, 0, 0, 1}, 65))
	f.Fuzz(func(t *testing.T, data []byte) {
		as, err := ParseAddrs(data)
		if (err == nil) != (len(data)%4 == 0 && len(data) <= 256) {
			t.Fatalf("%d bytes: %v", len(data), err)
		}
		if err != nil {
			return
		}
		if again := AppendAddrs(nil, as); !bytes.Equal(again, data) {
			t.Fatalf("%x read and written is %x", data, again)
		}
		for i, a := range as {
			if first := data[4*i]; Callable(a) != (first > 0 && first < 224) {
				t.Errorf("%s: callable %v", a, Callable(a))
			}
			if c := Private(a); c < 0 || c > 6 {
				t.Errorf("%s: class %d", a, c)
			}
		}
	})
}
