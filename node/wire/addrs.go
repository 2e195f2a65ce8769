package wire

import (
	"fmt"
	"net/netip"

	"kigo/node/mcm"
)

// AppendAddrs appends addresses as SEND_IPL carries them, four bytes each in
// network byte order.  What is no IPv4 address is left out: the protocol can't
// say it.
func AppendAddrs(b []byte, as []netip.Addr) []byte {
	for _, a := range as {
		if a = a.Unmap(); a.Is4() {
			ip := a.As4()
			b = append(b, ip[:]...)
		}
	}
	return b
}

// ParseAddrs reads the data of a SEND_IPL as they are, with zero, private and
// repeated addresses.  Data that are no multiple of four bytes, or hold more than
// MaxAddrs addresses, are an *Error, BadLength, and no address of theirs is used
// (docs/spec/network.md section 7.4).
func ParseAddrs(data []byte) ([]netip.Addr, error) {
	if len(data)%4 != 0 || len(data) > 4*MaxAddrs {
		return nil, &Error{BadLength, fmt.Sprintf("an address list of %d bytes, expected a multiple of 4, at most %d", len(data), 4*MaxAddrs)}
	}
	as := make([]netip.Addr, 0, len(data)/4)
	for ; len(data) > 0; data = data[4:] {
		as = append(as, netip.AddrFrom4([4]byte(data)))
	}
	return as, nil
}

// privateNets are what nodes hold to be private; the class is the index plus one
// (docs/spec/network.md section 8).
var privateNets = [...]netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("0.0.0.0/8"),
}

// Private returns the class of private addresses that a is in, 1 to 6, or 0 for
// any other address.
func Private(a netip.Addr) int {
	a = a.Unmap()
	for i, n := range privateNets {
		if n.Contains(a) {
			return i + 1
		}
	}
	return 0
}

// Callable reports whether a can be the address of a single host: IPv4, and not
// in 0/8, which means "this network", nor multicast, reserved or broadcast,
// 224.0.0.0 and above.  Private addresses are callable.
func Callable(a netip.Addr) bool {
	a = a.Unmap()
	if !a.Is4() {
		return false
	}
	first := a.As4()[0]
	return first != 0 && first < 224
}

// AddressMap reads the weight field of a TX packet, which names the nodes that
// have seen the transaction (docs/spec/network.md section 7.1).  A free slot is
// the zero Addr.
func AddressMap(w mcm.Weight) (m [8]netip.Addr) {
	b := w.LE()
	for i := range m {
		if ip := [4]byte(b[4*i:]); ip != [4]byte{} {
			m[i] = netip.AddrFrom4(ip)
		}
	}
	return m
}

// MapWeight returns the weight field that AddressMap reads as m.  What is no IPv4
// address leaves its slot free.
func MapWeight(m [8]netip.Addr) mcm.Weight {
	var b [32]byte
	for i, a := range m {
		if a = a.Unmap(); a.Is4() {
			ip := a.As4()
			copy(b[4*i:], ip[:])
		}
	}
	return mcm.WeightFromLE(&b)
}
