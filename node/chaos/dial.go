package chaos

import (
	"context"
	"net"
	"net/netip"
	"syscall"
)

// Dial connects to loopback addresses only and finds everybody else dead at once.
// It is for a peer.Client that calls a fleet: the addresses that hostile peers
// name are not ours to knock at.
func Dial(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
	if !loopback.Contains(a.Addr()) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(a), Err: syscall.ECONNREFUSED}
	}
	d := net.Dialer{KeepAlive: -1}
	return d.DialContext(ctx, "tcp4", a.String())
}
