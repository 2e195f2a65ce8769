package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"kigo/node/api"
	"kigo/node/wire"
)

// A NetworkConfig says which peers there are and how they are called.
type NetworkConfig struct {
	// Port is where all peers listen.
	Port int
	// Peers lists IPv4 addresses or host names that are asked first.
	Peers []string
	// CoreFile is a list of more of them in the C node's form, none when empty.
	CoreFile string `mapstructure:"core-file"`
	// Private says whether addresses of private networks are called too.
	Private bool
	// GroupBits is how many bits of two addresses are alike when the two count as
	// one group.
	GroupBits int `mapstructure:"group-bits"`
}

// A ScanConfig says how a scan goes and what it takes to be content.
type ScanConfig struct {
	// QuorumPeers in QuorumGroups groups have to support the chosen branch.
	QuorumPeers  int `mapstructure:"quorum-peers"`
	QuorumGroups int `mapstructure:"quorum-groups"`
	// Parallel is how many calls are under way at most.
	Parallel int
	// Timeout ends a scan that finds no quorum.
	Timeout time.Duration
	// Retry is the pause before a peer that closed without an answer, or may be
	// changing branches, is asked once more.
	Retry time.Duration
}

// A ChainConfig names files of blocks that every accepted chain contains: Pin and
// Floor are of kigo pins derive.
type ChainConfig struct {
	// Base is the first block that the network's chain keeps, the genesis when empty.
	Base  string
	Pin   string
	Floor string
}

// A DataConfig says where Kigo keeps what it remembers.
type DataConfig struct {
	// Dir is a folder, that of the user's state when empty.
	Dir string
	// Import is the data folder of a C node, whose trailer file is copied and proven
	// where the own chain lacks it; none when empty.
	Import string
}

// A NodeConfig says how kigo run takes part in the network.
type NodeConfig struct {
	// Listen is the IPv4 host:port where peers call; nobody is served when it is
	// empty.
	Listen string
	// Announce says whether new tips are announced, and whether peers may list us.
	Announce bool
	// Poll is the time between two polls.
	Poll time.Duration
	// Stale is the age at which a tip or a quorum says nothing any more.
	Stale time.Duration
	// Rescan is the time between two scans while all is well.
	Rescan time.Duration
}

// An APIConfig says where metrics and status are served.
type APIConfig struct {
	// Listen is host:port on a loopback address; nothing listens when it is empty.
	Listen string
	// PprofListen is another one, for profiles of the process.
	PprofListen string `mapstructure:"pprof-listen"`
}

// validate calls bad for each value that can't be used.
func (c *NetworkConfig) validate(bad func(key string, value any, allowed string)) {
	if c.Port < 1 || c.Port > 65535 {
		bad("network.port", c.Port, "between 1 and 65535")
	}
	for _, p := range c.Peers {
		if err := checkPeer(p); err != nil {
			bad("network.peers", fmt.Sprintf("%q", p), err.Error())
		}
	}
	if c.GroupBits < 1 || c.GroupBits > 32 {
		bad("network.group-bits", c.GroupBits, "between 1 and 32")
	}
}

// validate calls bad for each value that can't be used.
func (c *ScanConfig) validate(bad func(key string, value any, allowed string)) {
	for _, v := range []struct {
		key        string
		value, max int
	}{
		{"scan.quorum-peers", c.QuorumPeers, 4096},
		{"scan.quorum-groups", c.QuorumGroups, 4096},
		{"scan.parallel", c.Parallel, 4096},
	} {
		if v.value < 1 || v.value > v.max {
			bad(v.key, v.value, fmt.Sprintf("between 1 and %d", v.max))
		}
	}
	if c.QuorumPeers > 0 && c.QuorumPeers < c.QuorumGroups {
		bad("scan.quorum-groups", c.QuorumGroups, fmt.Sprintf("at most scan.quorum-peers (%d): each peer is in one group", c.QuorumPeers))
	}
	if c.Timeout < time.Second || c.Timeout > time.Hour {
		bad("scan.timeout", c.Timeout, "between 1s and 1h")
	}
	if c.Retry < time.Millisecond || c.Retry > time.Minute {
		bad("scan.retry", c.Retry, "between 1ms and 1m")
	}
}

// validate calls bad for each value that can't be used.
func (c *NodeConfig) validate(bad func(key string, value any, allowed string)) {
	if c.Listen != "" {
		if a, err := netip.ParseAddrPort(c.Listen); err != nil || !a.Addr().Unmap().Is4() {
			bad("node.listen", fmt.Sprintf("%q", c.Listen), "an IPv4 address and a port, such as 0.0.0.0:2095: the protocol has no IPv6")
		}
	}
	for _, v := range []struct {
		key         string
		value       time.Duration
		least, most time.Duration
	}{
		{"node.poll", c.Poll, 100 * time.Millisecond, time.Hour},
		{"node.stale", c.Stale, time.Second, 24 * time.Hour},
		{"node.rescan", c.Rescan, time.Second, 24 * time.Hour},
	} {
		if v.value < v.least || v.value > v.most {
			bad(v.key, v.value, fmt.Sprintf("between %v and %v", v.least, v.most))
		}
	}
}

// check returns an error for each value that can't be used.
func (c *APIConfig) check() (errs []error) {
	check := func(key, address string) {
		if address == "" {
			return
		}
		if err := api.CheckListen(address, false); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		}
	}
	check("api.listen", c.Listen)
	check("api.pprof-listen", c.PprofListen)
	if c.PprofListen != "" && c.PprofListen == c.Listen && !strings.HasSuffix(c.Listen, ":0") { // which is any port
		errs = append(errs, fmt.Errorf("api.pprof-listen: %q is not an address of its own: it is that of api.listen", c.PprofListen))
	}
	return errs
}

// hostName is a name that a resolver may be asked for.
var hostName = regexp.MustCompile(`^([a-zA-Z0-9_]([a-zA-Z0-9_-]*[a-zA-Z0-9_])?\.)*[a-zA-Z]([a-zA-Z0-9_-]*[a-zA-Z0-9_])?\.?$`)

// checkPeer returns an error, which completes "... is not", unless s is an IPv4
// address or may be the name of a host.
func checkPeer(s string) error {
	const want = "an IPv4 address or a host name"
	if a, err := netip.ParseAddr(s); err == nil && a.Is4() && !wire.Callable(a) {
		return errors.New("an address that a host can have")
	} else if err == nil && a.Is4() {
		return nil
	} else if err == nil {
		return errors.New(want + ": the protocol has no IPv6")
	}
	if len(s) <= 253 && hostName.MatchString(s) {
		return nil
	}
	if host, port, err := net.SplitHostPort(s); err == nil && checkPeer(host) == nil {
		if _, err := strconv.ParseUint(port, 10, 16); err == nil {
			return errors.New(want + " alone: all peers have one port, network.port (--port " + port + ")")
		}
	}
	return errors.New(want)
}
