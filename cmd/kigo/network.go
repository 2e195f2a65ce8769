package main

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"kigo/gpu"
	"kigo/node/branch"
	"kigo/node/evidence"
	"kigo/node/fault"
	"kigo/node/memory"
	"kigo/node/peer"
	"kigo/node/proof"
	"kigo/node/rules"
	"kigo/node/scan"
	"kigo/node/tfile"
	"kigo/node/verify"
	"kigo/node/wire"
)

// networkFlags are the flags of commands that call peers.  All but noMemory are
// read as settings.
type networkFlags struct {
	noMemory bool
	keeps    bool // the command has no flag --no-memory
}

func (f *networkFlags) add(cmd *cobra.Command) {
	f.addCalls(cmd)
	f.keeps = false
	cmd.Flags().Duration("timeout", defaults["scan.timeout"].(time.Duration), "give up after this time")
	cmd.Flags().BoolVar(&f.noMemory, "no-memory", false, "remember nothing on disk, neither of before nor for later")
}

// addCalls adds those of commands that can't do without memory, too.
func (f *networkFlags) addCalls(cmd *cobra.Command) {
	fs := cmd.Flags()
	f.keeps = true
	fs.Int("port", defaults["network.port"].(int), "where all peers listen")
	fs.Duration("retry", defaults["scan.retry"].(time.Duration), "pause before a peer that gave no proof, though it answered, is asked again")
	fs.String("data-dir", "", "`FOLDER` for what is remembered (default: kigo in the user's state folder)")
	engineFlags{}.add(cmd)
}

// addPeerFlags adds the flags of commands that find their peers themselves.
func addPeerFlags(fs *pflag.FlagSet) {
	fs.StringSlice("peer", nil, "ask this `ADDRESS` or host name first; may be given again")
	fs.String("core-file", "", "a `FILE` with more of them, one to a line, as the C node's start list")
	fs.Bool("private", false, "call addresses of private networks too")
	fs.Int("quorum-peers", defaults["scan.quorum-peers"].(int), "proven peers that a quorum takes")
	fs.Int("quorum-groups", defaults["scan.quorum-groups"].(int), "groups that they have to come from")
}

// A network is what a command that calls peers works with.
type network struct {
	*app
	engines  *engines
	merged   *verify.Coalescer
	registry *prometheus.Registry
	memory   *memory.DB // nil: nothing is written
	kept     keeper     // of what is remembered
	serves   bool       // what is kept at a listener
	options  scan.Options
	calls    *peer.Metrics
	pin      *tfile.Pin    // nil: none
	floor    *proof.Anchor // nil: none
	base     proof.Anchor  // of the own chain; zero: the genesis
	unkept   error         // why what the last scan found is not kept
}

// A keeper is a memory that tells what evidence it has.
type keeper interface {
	scan.Memory
	Evidence() ([]*evidence.Record, error)
}

// Sizes of what stands between the scan and the engines: trailers remembered, and
// what small batches are merged to, and how long the first one waits for others.
const (
	knownTrailers = 1 << 16
	mergeTo       = 4096
	mergeWait     = 2 * time.Millisecond
)

// openNetwork opens the engines and the memory and makes a client.  The caller
// closes it.
func (a *app) openNetwork(ctx context.Context, f *networkFlags) (_ *network, err error) {
	n := &network{app: a, registry: newRegistry()}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
		}
	}()
	pin, err := n.readAnchors()
	if err != nil {
		return nil, err
	}
	if f.noMemory {
		n.kept = new(memory.RAM)
	} else {
		if n.memory, err = a.openMemory(pin, memory.NewMetrics(n.registry)); err != nil && refusal(err) != nil {
			advice := "name another folder with --data-dir"
			if !f.keeps {
				advice += ", or use --no-memory"
			}
			return nil, usagef("data.dir: %v; %s", refusal(err), advice)
		}
		if err != nil {
			return nil, err
		}
		n.kept = n.memory
	}
	n.options.Memory = n.kept
	if err := n.open(ctx); err != nil {
		return nil, err
	}
	return n, nil
}

// newRegistry returns a registry with the metrics of Go and of the process.
func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// open makes all that needs neither files nor a memory.
func (n *network) open(ctx context.Context) (err error) {
	n.metrics, n.gpuMetrics = verify.NewMetrics(n.registry), gpu.NewMetrics(n.registry)
	if n.engines, err = n.openEngines(ctx); err != nil {
		return err
	}
	var work verify.Verifier = n.engines
	if watchWork != nil {
		work = watchWork(work)
	}
	n.merged = verify.Coalesce(work, mergeTo, mergeWait)
	o, c := &n.options, &n.conf
	n.calls = peer.NewMetrics(n.registry)
	o.Verifier = verify.Cached(n.merged, knownTrailers, n.engines.Wrong, n.metrics)
	o.Wrong = n.engines.Wrong
	o.Client = peer.NewClient(peer.Options{
		Port:     uint16(c.Network.Port),
		Timeouts: peer.DefaultTimeouts(),
		Metrics:  n.calls,
	})
	o.Book = scan.NewBook(scan.BookOptions{Private: c.Network.Private, Groups: fault.Groups{Bits: c.Network.GroupBits}, Own: ownAddresses()})
	o.Quorum = branch.Quorum{Peers: c.Scan.QuorumPeers, Groups: c.Scan.QuorumGroups}
	o.Parallel = c.Scan.Parallel
	o.Deadlines = scan.Deadlines{Hard: c.Scan.Timeout, Retry: c.Scan.Retry}
	o.Log = n.log
	o.Metrics = scan.NewMetrics(n.registry)
	return nil
}

// ownAddresses returns the IPv4 addresses of this machine, which are not worth a
// call when a peer names them; other programs on its loopback addresses are.
func ownAddresses() (own []netip.Addr) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() {
			if ip, ok := netip.AddrFromSlice(n.IP.To4()); ok {
				own = append(own, ip)
			}
		}
	}
	return own
}

// Close closes what was opened.
func (n *network) Close() error {
	var errs []error
	if n.merged != nil {
		errs = append(errs, n.merged.Close())
	}
	if n.engines != nil {
		errs = append(errs, n.engines.Close())
	}
	if n.memory != nil {
		errs = append(errs, n.memory.Close())
	}
	return errors.Join(errs...)
}

// readAnchors reads the pin files that the settings name, and returns the pin.
func (n *network) readAnchors() (pin *tfile.Pin, err error) {
	read := func(key, file string) (*tfile.Pin, error) {
		if file == "" {
			return nil, nil
		}
		p, err := tfile.ReadPin(file)
		if err != nil {
			return nil, usagef("%s: %v", key, err)
		}
		n.options.Anchors = append(n.options.Anchors, proof.Anchor{Num: p.Height, Hash: p.Hash, Weight: p.Weight, Fixed: true})
		return p, nil
	}
	if pin, err = read("chain.pin", n.conf.Chain.Pin); err != nil {
		return nil, err
	}
	if pin != nil {
		n.options.Proof.Base = pin.Height
	}
	n.pin = pin
	floor, err := read("chain.floor", n.conf.Chain.Floor)
	if floor != nil {
		n.floor = &proof.Anchor{Num: floor.Height, Hash: floor.Hash, Weight: floor.Weight, Fixed: true}
	}
	if err == nil && pin != nil && floor != nil && floor.Height < pin.Height {
		err = usagef("chain.floor: block %d of %s comes before block %d of the pin", floor.Height, n.conf.Chain.Floor, pin.Height)
	}
	return pin, err
}

// memoryName is the memory's file in the data folder.
const memoryName = "memory.db"

// dataDir returns the folder for what is remembered.
func (a *app) dataDir() (string, error) {
	if dir := a.conf.Data.Dir; dir != "" {
		return dir, nil
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "kigo"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", usagef("data.dir: %v, so name a folder with --data-dir", err)
	}
	return filepath.Join(home, ".local", "state", "kigo"), nil
}

// dataDirFlag returns what a later command needs to find the same folder, with a
// space before it, or nothing.
func (a *app) dataDirFlag() string {
	if a.settings.from["data.dir"] != "flag --data-dir" {
		return ""
	}
	dir := a.conf.Data.Dir
	if !plainWord.MatchString(dir) {
		dir = "'" + strings.ReplaceAll(dir, "'", `'\''`) + "'"
	}
	return " --data-dir " + dir
}

// plainWord is what a shell takes as it stands.
var plainWord = regexp.MustCompile(`^[\w./:@%+,-]+$`)

func (a *app) openMemory(pin *tfile.Pin, m *memory.Metrics) (*memory.DB, error) {
	dir, err := a.dataDir()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	id := memory.Identity{Network: wire.Network, Rules: rules.Version}
	if pin != nil {
		id.Pin = pin.SHA256
	}
	return memory.Open(filepath.Join(dir, memoryName), id, memory.Options{Log: a.log, Metrics: m})
}

// refusal returns the part of an error that is the system's refusal to open a file,
// such as a folder's that nobody may write to; nil when there is none.
func refusal(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path
	}
	return nil
}

// addressesOf resolves peers as people name them: IPv4 addresses or host names,
// each checked by checkPeer.  Every address comes once, in the order of the
// names; failed holds names without any and why.
func addressesOf(ctx context.Context, peers []string) (addrs []netip.Addr, failed map[string]error) {
	type answer struct {
		addrs []netip.Addr
		err   error
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	answers := make([]chan answer, len(peers))
	for i, p := range peers {
		answers[i] = make(chan answer, 1)
		if a, err := netip.ParseAddr(p); err == nil {
			answers[i] <- answer{addrs: []netip.Addr{a}}
			continue
		}
		go func() {
			found, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", p)
			answers[i] <- answer{found, err}
		}()
	}
	failed = map[string]error{}
	for i, p := range peers {
		a := <-answers[i]
		a.addrs = slices.DeleteFunc(a.addrs, func(addr netip.Addr) bool { return !wire.Callable(addr) })
		if a.err == nil && len(a.addrs) == 0 {
			a.err = errors.New("it has no IPv4 address that a host can have")
		}
		if a.err != nil {
			failed[p] = a.err
		}
		for _, addr := range a.addrs {
			if addr = addr.Unmap(); !slices.Contains(addrs, addr) {
				addrs = append(addrs, addr)
			}
		}
	}
	return addrs, failed
}

// fillBook puts the configured peers and those of the core file into the book.
func (n *network) fillBook(ctx context.Context) error {
	c := &n.conf.Network
	addrs, failed := addressesOf(ctx, c.Peers)
	if err := verify.Interrupted(ctx); err != nil {
		return err
	}
	for name, err := range failed {
		n.log.Warn("a configured peer has no address", "peer", name, "err", err)
	}
	n.options.Book.AddConfigured(addrs...)
	if c.CoreFile == "" {
		return nil
	}
	f, err := os.Open(c.CoreFile)
	if err != nil {
		return usagef("network.core-file: %v", err)
	}
	defer f.Close()
	_, err = n.options.Book.ReadCore(ctx, f, net.DefaultResolver.LookupNetIP)
	if err := verify.Interrupted(ctx); err != nil {
		return err
	}
	if err != nil {
		return usagef("network.core-file: %s: %v", c.CoreFile, err)
	}
	return nil
}
