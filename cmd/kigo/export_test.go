package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kigo/node/chain"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/memory"
	"kigo/node/rules"
	"kigo/node/synth"
	"kigo/node/wire"
)

// ownChain makes a data folder with a chain of n blocks, and returns it open.
func ownChain(t *testing.T, dir string, n int64) (*chain.Store, []mcm.Trailer) {
	t.Helper()
	var b bytes.Buffer
	if _, err := synth.Generate(t.Context(), &b, synth.Config{Blocks: n, Worked: 1, Seed: 1, StartTime: 1_530_000_000}); err != nil {
		t.Fatal(err)
	}
	s, err := chain.Open(dir, chain.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	ts := mcm.Trailers(b.Bytes())
	if err := s.Extend(ts); err != nil {
		t.Fatal(err)
	}
	return s, ts
}

// TestExport exports while a node has the folder, and after.
func TestExport(t *testing.T) {
	data, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	own, ts := ownChain(t, data, 2345)
	now := time.Now()
	db, err := memory.Open(filepath.Join(data, memoryName), memory.Identity{Network: wire.Network, Rules: rules.Version}, memory.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	peer := func(last byte, age time.Duration, change func(*memory.Peer)) memory.Peer {
		p := memory.Peer{Addr: netip.AddrFrom4([4]byte{192, 0, 2, last}), FirstSeen: now.Add(-age), LastContact: now, LastGood: now, Successes: 1}
		if change != nil {
			change(&p)
		}
		return p
	}
	day := 24 * time.Hour
	peers := []memory.Peer{
		peer(1, day, nil),
		peer(2, 3*day, nil),
		peer(3, 9*day, func(p *memory.Peer) { p.LastGood = time.Time{} }),
		peer(4, 9*day, func(p *memory.Peer) { p.Standing.Observe(fault.InvalidTrailer, now) }), // banned
		peer(5, 9*day, func(p *memory.Peer) { p.Standing.Observe(fault.FalseWeight, now) }),
		peer(6, 3*day, func(p *memory.Peer) { p.Standing.Observe(fault.BrokenLink, now) }),
	}
	for i := range 70 {
		peers = append(peers, peer(byte(100+i), time.Hour, nil))
	}
	if err := db.Save(now, &memory.Changes{Peers: peers}); err != nil {
		t.Fatal(err)
	}
	args := []string{"export", "--data-dir", data, out}
	text := kigo(t, args...).want(t, exitOK)
	contains(t, "the text", text, "tfile.dat", "2,345 trailers", "block 2,344 (0x928)", ts[2344].Hash().String(), "startnodes.lst", "64 peers")
	if !bytes.Equal(readFile(t, filepath.Join(out, "tfile.dat")), mcm.Bytes(ts)) {
		t.Error("the trailer file is another one")
	}
	want := []string{"192.0.2.2", "192.0.2.6", "192.0.2.1"}
	list := strings.Split(strings.TrimSuffix(string(readFile(t, filepath.Join(out, "startnodes.lst"))), "\n"), "\n")
	if len(list) != maxExported || !slices.Equal(list[:3], want) {
		t.Errorf("%d peers, the first %q; expected %q", len(list), list[:3], want)
	}
	for _, not := range []string{"192.0.2.3", "192.0.2.4"} {
		if slices.Contains(list, not) {
			t.Errorf("%s is listed", not)
		}
	}
	files, err := os.ReadDir(out)
	if err != nil || len(files) != 2 {
		t.Errorf("%d files, %v", len(files), err)
	}

	o := kigo(t, args...)
	o.want(t, exitUsage)
	contains(t, "a second export", o.stderr, "tfile.dat", "--force")
	if err := errors.Join(own.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Trailers, Height uint64
		Tip              string
		Peers            []string
		PeersFile        *string `json:"peers_file"`
	}
	if err := json.Unmarshal([]byte(kigo(t, append(args, "--force", "--json")...).want(t, exitOK)), &got); err != nil {
		t.Fatal(err)
	}
	if got.Trailers != 2345 || got.Height != 2344 || got.Tip != ts[2344].Hash().String() || len(got.Peers) != maxExported || got.PeersFile == nil {
		t.Errorf("as JSON: %+v", got)
	}
	kigo(t, "verify", "--no-pow", filepath.Join(out, "tfile.dat")).want(t, exitOK)
}

// TestExportRefuses looks at what is said when there is nothing to export, or no
// place for it.
func TestExportRefuses(t *testing.T) {
	data := t.TempDir()
	own, ts := ownChain(t, data, 1500)
	if err := own.Close(); err != nil {
		t.Fatal(err)
	}
	damaged, out := t.TempDir(), t.TempDir()
	for _, name := range []string{"tfile.dat", "chain.state"} {
		b := readFile(t, filepath.Join(data, name))
		if name == "tfile.dat" {
			b[1200*mcm.TrailerLen+5]++
		}
		if err := os.WriteFile(filepath.Join(damaged, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	occupied := t.TempDir()
	if err := os.WriteFile(filepath.Join(occupied, "startnodes.lst"), []byte("192.0.2.1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, data, out string
		code            int
		says            []string
	}{
		{"an empty data folder", t.TempDir(), out, exitFailed, []string{"no chain", "kigo run"}},
		{"no data folder", "/nonexistent/folder", out, exitFailed, []string{"no chain", "/nonexistent/folder"}},
		{"a damaged chain", damaged, out, exitFailed, []string{"tfile.dat", "damaged", "0x3e8"}},
		{"into the data folder", data, data, exitUsage, []string{"data folder itself"}},
		{"into a file", data, filepath.Join(data, "tfile.dat"), exitUsage, []string{"no folder"}},
		{"no folder above", data, filepath.Join(data, "a", "b"), exitUsage, []string{"can't be made"}},
		{"a list is there", data, occupied, exitUsage, []string{"startnodes.lst", "--force"}},
	} {
		o := kigo(t, "export", "--data-dir", c.data, c.out)
		if o.code != c.code {
			t.Errorf("%s: exit code %d, expected %d", c.name, o.code, c.code)
		}
		contains(t, c.name, o.stderr, c.says...)
	}
	if files, err := os.ReadDir(out); err != nil || len(files) > 0 {
		t.Errorf("%d files were left, %v", len(files), err)
	}
	o := kigo(t, "export", "--data-dir", data, "--json", out)
	o.want(t, exitOK)
	contains(t, "without a memory", o.stdout, `"peers_file": null`, `"peers": []`)
	if !bytes.Equal(readFile(t, filepath.Join(out, "tfile.dat")), mcm.Bytes(ts)) {
		t.Error("the trailer file is another one")
	}
	contains(t, "without a memory", kigo(t, "export", "--data-dir", data, "--force", out).want(t, exitOK), "no list of peers", fmt.Sprint(len(ts)/1000))
}
