package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"kigo/node/chaos"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/pow"
	"kigo/node/rules"
	"kigo/node/scan"
	"kigo/node/status"
	"kigo/node/wire"
)

// Where the demo's own nodes listen for peers: addresses that no fleet has.
var (
	heroAddr  = netip.MustParseAddr("127.255.0.1")
	otherAddr = netip.MustParseAddr("127.255.0.2")
)

// Waits for what takes a moment at most, on a machine that does other things too.
const (
	scanWait  = 90 * time.Second
	syncWait  = 90 * time.Second
	blockWait = 30 * time.Second
)

// raise makes the chain and brings up the fleet.
func (d *demo) raise(ctx context.Context, a *demoAct) (err error) {
	d.live("mining %s blocks", count(demoBlocks))
	if d.engines, err = d.openEngines(ctx); err != nil {
		return err
	}
	d.world, err = chaos.NewWorld(ctx, chaos.WorldConfig{Seed: d.flags.seed, Solver: d.engines.miner, Now: time.Now(), Blocks: demoBlocks})
	if err != nil {
		return err
	}
	d.chain = d.world.Chain()
	kinds := demoKinds()
	if d.plan, err = chaos.Plan(d.flags.seed, demoHonest+len(kinds), demoHonest, kinds); err != nil {
		return err
	}
	d.fleet, err = chaos.NewFleet(d.world, chaos.FleetConfig{Seed: d.flags.seed, Peers: d.plan, Late: demoLate, Rate: demoRate})
	if err != nil {
		return err
	}
	if err := d.fleet.Start(); err != nil {
		return err
	}
	families := map[string]int{}
	for _, p := range d.plan {
		families[familyOf(p.Kind)]++
	}
	tip := d.chain.Tip()
	trailers := d.chain.Trailers()
	unlucky := families[chaos.Honest] - demoHonest
	hostile := len(d.plan) - families[chaos.Honest]
	d.done("%s mined, from %d to %d, and forgeries of it", plural(int64(len(trailers)), "block"), d.world.Base.Num, tip.Num)
	d.done("%d peers are up: %d honest, %d honest but unlucky, and %d that lie, each in its own way", len(d.plan), demoHonest, unlucky, hostile)
	d.say("They lie about their chain (%d of them), prove it with forged trailers (%d), forge what is below the proof (%d), name useless peers (%d), or don't keep to the protocol (%d).",
		families[chaos.Claims], families[chaos.Proofs], families[chaos.Files], families[chaos.Lists], families[chaos.Network])
	a.Details["blocks"], a.Details["peers"], a.Details["hostile"] = len(trailers), len(d.plan), hostile
	return nil
}

func familyOf(kind string) string {
	for _, k := range chaos.Kinds() {
		if k.Name == kind {
			return k.Family
		}
	}
	return ""
}

// config is the config file of a node of the demo's network.
func (d *demo) config(listen netip.Addr, core string, quorum int) (string, error) {
	base := filepath.Join(d.dir, "base.json")
	b, err := json.Marshal(struct {
		Height mcm.BlockNum `json:"height"`
		Hash   mcm.Hash     `json:"hash"`
		Weight mcm.Weight   `json:"weight"`
		Time   uint32       `json:"time"`
	}{d.world.Base.Num, d.world.Base.Hash, d.world.Base.Weight, d.world.Base.Time})
	if err == nil {
		err = os.WriteFile(base, b, 0o600)
	}
	return fmt.Sprintf(`verify:
  engine: [%s]
  workers: %d
network:
  port: %d
  core-file: %q
  private: true
scan:
  quorum-peers: %d
  quorum-groups: %d
  retry: 500ms
chain:
  base: %q
node:
  listen: %q
  poll: 1s
api:
  listen: 127.0.0.1:0
log:
  level: debug
  format: json
`, strings.Join(d.conf.Verify.Engine, ", "), d.conf.Verify.Workers, d.fleet.Port(), core, quorum, quorum, base, netip.AddrPortFrom(listen, d.fleet.Port())), err
}

// startHero starts the node that knows the peers of the fleet by their addresses.
func (d *demo) startHero(ctx context.Context) error {
	core := filepath.Join(d.dir, "core.lst")
	var b bytes.Buffer
	if err := writeCore(&b, d.plan); err != nil {
		return err
	}
	if err := os.WriteFile(core, b.Bytes(), 0o600); err != nil {
		return err
	}
	config, err := d.config(heroAddr, core, 3)
	if err != nil {
		return err
	}
	d.node, err = d.startNode(ctx, "kigo", config)
	return err
}

// bootstrap starts the node and waits until it has judged everybody.
func (d *demo) bootstrap(ctx context.Context, a *demoAct) error {
	d.say("kigo run, with a list of %d addresses and nothing else.  It asks each for its chain and for the last 54 trailers, and checks these, work included.", len(d.plan))
	// So that it can be killed in the middle, however fast this machine is.
	total := len(d.chain.Trailers())
	d.fleet.Hold(d.world.Base.Num + mcm.BlockNum(total*2/5))
	if err := d.startHero(ctx); err != nil {
		return err
	}
	begun := time.Now()
	if _, err := d.node.until(ctx, "the end of a scan", scanWait, func(s *demoStatus) bool {
		d.live("judging %d peers, %s", len(d.plan), seconds(time.Since(begun).Seconds()))
		return len(d.node.seen(status.ScanDone, 0)) > 0
	}); err != nil {
		return err
	}
	d.live("")
	var r status.ScanResult
	if err := json.Unmarshal(d.node.seen(status.ScanDone, 0)[0].Data, &r); err != nil {
		return err
	}
	var err error
	if d.first, err = d.node.scanned(ctx); err != nil {
		return err
	}
	verdicts := map[scan.Verdict]int{}
	for _, p := range d.first.Peers {
		verdicts[p.Verdict]++
	}
	var parts []string
	for _, v := range scan.Verdicts() {
		if verdicts[v] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", verdicts[v], words(string(v))))
		}
	}
	d.done("judged all in %s: %s", seconds(r.Seconds), strings.Join(parts, ", "))
	d.done("%d tips with a proof that holds: %s chains to choose from", r.Proven, count(r.Branches))
	a.Details["verdicts"], a.Details["branches"], a.Details["scan_seconds"] = verdicts, r.Branches, r.Seconds
	return nil
}

// kill ends the node in the middle of its sync, starts it again, and waits until it
// has the chain.
func (d *demo) kill(ctx context.Context, a *demoAct) error {
	total := int64(len(d.chain.Trailers()))
	d.say("It fetches the chain backwards from the tip, a thousand trailers from each of many peers at once, and checks their work while more arrive.")
	killed, err := d.node.until(ctx, "the middle of a sync", syncWait, func(s *demoStatus) bool {
		linked, checked := s.progress()
		d.live("%s %s of %s trailers, %s proofs of work checked", bar(linked, total), count(linked), count(total), count(checked))
		return linked > total/2 || s.Tip != nil
	})
	if err != nil {
		return err
	}
	linked, checked := killed.progress()
	if killed.Tip != nil || linked >= total {
		return errors.New("it had the chain before it could be killed")
	}
	if err := d.evidence(ctx); err != nil {
		return err
	}
	d.node.kill()
	d.gather(d.node)
	d.told = d.fleet.Stats()
	d.fleet.Hold(0)
	d.live("")
	d.done("kill -9, with %s of %s trailers and %s proofs of work checked", count(linked), count(total), count(checked))

	if err := d.startHero(ctx); err != nil {
		return err
	}
	resumed := int64(-1)
	begun := time.Now()
	after, err := d.node.until(ctx, "the chain", scanWait+syncWait, func(s *demoStatus) bool {
		linked, checked := s.progress()
		if s.Sync != nil && resumed < 0 && linked > 0 {
			resumed = linked
		}
		if s.Sync != nil {
			d.live("%s %s of %s trailers, %s proofs of work checked", bar(linked, total), count(linked), count(total), count(checked))
		} else {
			d.live("started again, judging peers, %s", seconds(time.Since(begun).Seconds()))
		}
		return s.Tip != nil && s.State == string(status.Follow)
	})
	if err != nil {
		return err
	}
	d.live("")
	w, err := d.work(ctx)
	if err != nil {
		return err
	}
	d.done("started again, it went on with %s trailers, of which it found %s proofs of work checked", count(resumed), count(w.Left))
	more := ""
	if w.Scanned > 0 {
		more = fmt.Sprintf(" + %s in proofs of tips", count(w.Scanned))
	}
	d.done("%s before%s + %s now = %s, each proof of work in the chain once", count(w.Left), more, count(w.Chain), count(w.All))
	if w.Beside > 0 {
		d.done("%s more were checked of branches beside it, or twice", count(w.Beside))
	}
	a.Details["trailers"], a.Details["work"], a.Details["state"] = total, w, after.State
	a.Details["linked_before"], a.Details["checked_before"], a.Details["linked_after"] = linked, checked, resumed
	if resumed < linked-wire.MaxTF {
		return fmt.Errorf("it had %d trailers when it was killed, and %d when it was started again", linked, resumed)
	}
	return w.check(checked)
}

// progress returns how many trailers of the longest branch are linked, and how many
// proofs of work were checked.
func (s *demoStatus) progress() (linked, checked int64) {
	if s.Sync == nil {
		return 0, 0
	}
	for _, b := range s.Sync.Branches {
		linked = max(linked, b.Trailers)
	}
	return linked, s.Sync.Checked
}

// metric reads the sum of a metric's values.
func (n *demoNode) metric(ctx context.Context, name string) (sum float64, err error) {
	b, err := n.get(ctx, "/metrics")
	if err != nil {
		return 0, err
	}
	found := false
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		if len(fields) != 2 || fields[0] != name && !strings.HasPrefix(fields[0], name+"{") {
			continue
		}
		var v float64
		if _, err := fmt.Sscan(fields[1], &v); err != nil {
			return 0, fmt.Errorf("metric %s: %w", name, err)
		}
		sum, found = sum+v, true
	}
	if !found {
		return 0, fmt.Errorf("metric %s: not there", name)
	}
	return sum, nil
}

// proven holds the node's chain against the honest one.
func (d *demo) proven(ctx context.Context, a *demoAct) error {
	s, err := d.node.until(ctx, "the honest tip", syncWait, d.onTip)
	if err != nil {
		return err
	}
	if err := d.sameFile(d.node); err != nil {
		return err
	}
	d.done("block %s, weight %s: the honest chain, byte for byte", count(s.Tip.Height), s.Tip.Weight[strings.IndexFunc(s.Tip.Weight, func(r rune) bool { return r != '0' }):])
	d.done("%d peers of %d groups are on it", s.Tip.Peers, s.Tip.Groups)
	if s.Tip.Haiku != "" {
		d.out.line("")
		for line := range strings.Lines(s.Tip.Haiku) {
			d.out.line("        %s%s%s", d.colors.accent, strings.TrimSpace(line), d.colors.off)
		}
	}
	a.Details["height"], a.Details["tip"], a.Details["groups"] = s.Tip.Height, s.Tip.Hash, s.Tip.Groups
	return nil
}

// onTip reports whether the node is on the tip of the honest chain, and content.
func (d *demo) onTip(s *demoStatus) bool {
	tip := d.chain.Tip()
	return s.Tip != nil && s.Tip.Hash == tip.Hash.String() && s.Tip.Weight == tip.Weight.String() && s.State == string(status.Follow)
}

// sameFile compares a node's trailer file with the honest chain.
func (d *demo) sameFile(n *demoNode) error {
	b, err := os.ReadFile(filepath.Join(n.dir, "tfile.dat"))
	if err != nil {
		return err
	}
	if want := mcm.Bytes(d.chain.Trailers()); !bytes.Equal(b, want) {
		return fmt.Errorf("the trailer file of node %s, %d bytes, is not the honest chain's, %d bytes", n.name, len(b), len(want))
	}
	return nil
}

// gather notes what a node has charged peers with.
func (d *demo) gather(n *demoNode) {
	for _, e := range n.seen(status.PeerJudged, 0) {
		var v status.PeerVerdict
		if json.Unmarshal(e.Data, &v) != nil {
			continue
		}
		if addr, err := netip.ParseAddr(v.Addr); err == nil {
			d.charged.Add(addr, fault.Kind(v.Kind))
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range n.failed {
		d.ranges[r.Peer] = append(d.ranges[r.Peer], r.Kind)
	}
	n.failed = nil
}

// evidence notes which rules peers broke by the evidence that the node keeps.
func (d *demo) evidence(ctx context.Context) error {
	b, err := d.node.get(ctx, "/v1/evidence?limit=1000")
	if err != nil {
		return err
	}
	var page struct {
		Evidence []struct {
			Peer netip.Addr
			Rule rules.Rule
		}
	}
	if err := json.Unmarshal(b, &page); err != nil {
		return err
	}
	for _, e := range page.Evidence {
		if e.Rule != "" {
			d.rules[e.Peer] = e.Rule
		}
	}
	return nil
}

// blocks has the network find blocks, which honest peers announce.
func (d *demo) blocks(ctx context.Context, a *demoAct) error {
	d.say("Honest peers find a block, tell the node, and prove it.  A block is checked once, whoever tells of it.")
	var took []float64
	for range 3 {
		if err := d.grow(ctx, 1); err != nil {
			return err
		}
		begun := time.Now()
		if err := d.announce(ctx, d.honest()...); err != nil {
			return err
		}
		s, err := d.node.until(ctx, "the new block", blockWait, func(s *demoStatus) bool {
			d.live("block %s was found, waiting for the node to follow", count(uint64(d.chain.Tip().Num)))
			return d.onTip(s)
		})
		if err != nil {
			return err
		}
		d.live("")
		took = append(took, round3(time.Since(begun).Seconds()))
		d.done("block %s, %.2f s after it was announced: %s", count(s.Tip.Height), took[len(took)-1], d.verse())
	}
	a.Details["seconds"] = took
	return nil
}

// verse is the haiku of the tip, in a line.
func (d *demo) verse() string {
	ts := d.chain.Trailers()
	t := &ts[len(ts)-1]
	if t.Kind() != mcm.Standard {
		return t.Kind().String()
	}
	first, _ := pow.Halves(t)
	var lines []string
	for _, l := range first.Lines() {
		lines = append(lines, strings.TrimSpace(l))
	}
	return strings.Join(lines, " / ")
}

// honest returns the plainly honest peers.
func (d *demo) honest() (as []netip.Addr) {
	for _, p := range d.plan {
		if p.Kind == "honest" {
			as = append(as, p.Addr)
		}
	}
	return as
}

// wait waits until so many blocks can have been found that are not in the future.
func (d *demo) wait(ctx context.Context, blocks int) error {
	ready := time.Unix(int64(d.chain.Tip().Time)+int64(blocks)+1, 0)
	select {
	case <-time.After(time.Until(ready)):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// grow has the whole network find n blocks.
func (d *demo) grow(ctx context.Context, n int) error {
	if err := d.wait(ctx, n); err != nil {
		return err
	}
	chain, err := d.world.Grow(ctx, d.chain, n, time.Now())
	if err != nil {
		return err
	}
	d.chain = chain
	d.fleet.Follow(chain)
	return nil
}

// announce has peers tell the node of their tip.
func (d *demo) announce(ctx context.Context, from ...netip.Addr) error {
	for _, peer := range from {
		err := d.fleet.Announce(ctx, peer, netip.AddrPortFrom(heroAddr, d.fleet.Port()))
		if err != nil {
			return fmt.Errorf("announce: %w", err)
		}
	}
	return nil
}

// reorganise has the network part into two for so many blocks, and come together on
// the branch that the node isn't on.
func (d *demo) reorganise(ctx context.Context, a *demoAct, depth int) error {
	if depth > mcm.ProofTrailers {
		d.say("A part of the network was cut off %d blocks ago, more than a proof of 54 trailers shows.  It comes back with one block more.", depth)
	} else {
		d.say("Half of the network has found other blocks for the last %d, and then one more.", depth)
	}
	if err := d.wait(ctx, 1); err != nil {
		return err
	}
	d.live("mining another branch of %d blocks", depth+1)
	other, err := d.world.Fork(ctx, d.chain, depth, 1, time.Now())
	if err != nil {
		return err
	}
	before, seq := d.chain.Tip(), d.node.last()
	all := d.honest()
	half := all[:len(all)/2]
	d.fleet.Follow(other, half...)
	d.chain = other
	begun := time.Now()
	if err := d.announce(ctx, half...); err != nil {
		return err
	}
	s, err := d.node.until(ctx, "the reorganisation", syncWait, func(s *demoStatus) bool {
		d.live("two branches: %s… at block %s, and %s… with one block more", before.Hash.String()[:8], count(uint64(before.Num)), other.Tip().Hash.String()[:8])
		return s.Tip != nil && s.Tip.Hash == other.Tip().Hash.String() && s.Tip.Weight == other.Tip().Weight.String()
	})
	if err != nil {
		return err
	}
	d.live("")
	took := round3(time.Since(begun).Seconds())
	var change status.TipChange
	for end := time.Now().Add(5 * time.Second); change.Depth == 0 && time.Now().Before(end); {
		for _, e := range d.node.seen(status.TipChanged, seq) {
			var c struct{ Depth, Grown int }
			if json.Unmarshal(e.Data, &c) == nil && c.Depth > 0 {
				change.Depth, change.Grown = c.Depth, c.Grown
			}
		}
		if change.Depth == 0 {
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	if change.Depth != depth {
		return fmt.Errorf("%d blocks were replaced, expected %d", change.Depth, depth)
	}
	d.done("%d blocks were replaced by %d of more weight, in %.2f s", change.Depth, change.Grown, took)
	d.fleet.Follow(other)
	if err := d.grow(ctx, 1); err != nil {
		return err
	}
	if err := d.announce(ctx, all...); err != nil {
		return err
	}
	if s, err = d.node.until(ctx, "the next block", blockWait, func(s *demoStatus) bool {
		d.live("the network is one again, waiting for the node to follow")
		return d.onTip(s)
	}); err != nil {
		return err
	}
	d.live("")
	d.done("the network is one again, and so is the node with it: block %s", count(s.Tip.Height))
	a.Details["depth"], a.Details["seconds"] = change.Depth, took
	return d.sameFile(d.node)
}

// serve starts another node that knows the first one only.
func (d *demo) serve(ctx context.Context, a *demoAct) error {
	d.say("A second empty node is told of the first one only, and checks what that says as it would anybody's.")
	core := filepath.Join(d.dir, "first.lst")
	if err := os.WriteFile(core, []byte(heroAddr.String()+"\n"), 0o600); err != nil {
		return err
	}
	config, err := d.config(otherAddr, core, 1)
	if err != nil {
		return err
	}
	begun := time.Now()
	if d.other, err = d.startNode(ctx, "other", config); err != nil {
		return err
	}
	total := int64(len(d.chain.Trailers()))
	s, err := d.other.until(ctx, "the chain of the first node", scanWait+syncWait, func(s *demoStatus) bool {
		linked, _ := s.progress()
		d.live("%s %s of %s trailers", bar(linked, total), count(linked), count(total))
		return s.Tip != nil && s.Tip.Hash == d.chain.Tip().Hash.String()
	})
	if err != nil {
		return err
	}
	d.live("")
	if err := d.sameFile(d.other); err != nil {
		return err
	}
	took := round3(time.Since(begun).Seconds())
	d.done("it has the same %s trailers after %s", count(total), seconds(took))
	a.Details["height"] = s.Tip.Height
	return nil
}

// stop ends the nodes as a user would.
func (d *demo) stop(_ context.Context, a *demoAct) error {
	slowest := time.Duration(0)
	for _, n := range []*demoNode{d.other, d.node} {
		took, err := n.interrupt()
		if err != nil {
			return err
		}
		slowest = max(slowest, took)
	}
	if slowest > grace+time.Second {
		return fmt.Errorf("a node took %v to stop", slowest)
	}
	d.done("both nodes have stopped, the slower one in %.2f s", slowest.Seconds())
	for _, n := range []*demoNode{d.node, d.other} {
		if err := d.sameFile(n); err != nil {
			return err
		}
	}
	if _, err := net.DialTimeout("tcp4", netip.AddrPortFrom(heroAddr, d.fleet.Port()).String(), time.Second); err == nil {
		return errors.New("somebody still listens where the node did")
	}
	a.Details["slowest_seconds"] = round3(slowest.Seconds())
	return nil
}
