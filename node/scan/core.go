package scan

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// Limits of a core list.
const (
	maxCoreLine   = 255 // the longest host name there can be
	maxCoreLines  = 1024
	resolveTime   = 3 * time.Second // for one name
	resolveAtOnce = 8
)

// A Resolver turns a host name into addresses; the method LookupNetIP of a
// net.Resolver is one.  network is "ip4".
type Resolver func(ctx context.Context, network, host string) ([]netip.Addr, error)

// ReadCore adds the addresses of a core list as the reference node reads it:
// host names or dotted addresses, one a line, up to the first empty line.  They
// count as configured (docs/spec/network.md section 8).
//
// Names that don't resolve within 3 s are logged and passed over, as are lines
// that begin with # and anything that is no IPv4 address.  It returns how many
// addresses were new; the error is that of r, of ctx, or of a file that can't be
// a core list.
func (b *Book) ReadCore(ctx context.Context, r io.Reader, resolve Resolver) (added int, err error) {
	names, err := coreNames(r)
	if err != nil {
		return 0, fmt.Errorf("core list: %w", err)
	}
	found := make([][]netip.Addr, len(names))
	var g errgroup.Group
	g.SetLimit(resolveAtOnce)
	for i, name := range names {
		if a, err := netip.ParseAddr(name); err == nil {
			found[i] = []netip.Addr{a}
			continue
		}
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, resolveTime)
			defer cancel()
			addrs, err := resolve(ctx, "ip4", name)
			if err != nil {
				b.o.Log.Warn("core list: host name not resolved", "host", name, "err", err)
				return nil
			}
			found[i] = addrs
			return nil
		})
	}
	g.Wait()
	for _, addrs := range found {
		added += b.configure(sourceCore, addrs)
	}
	return added, ctx.Err()
}

// coreNames returns the lines that may name a host.
func coreNames(r io.Reader) (names []string, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 4*maxCoreLine)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "":
			return names, nil
		case n > maxCoreLines:
			return nil, fmt.Errorf("more than %d lines", maxCoreLines)
		case line[0] == '#':
		case len(line) > maxCoreLine:
			return nil, fmt.Errorf("line %d: longer than any host name", n)
		default:
			names = append(names, line)
		}
	}
	return names, lines.Err()
}
