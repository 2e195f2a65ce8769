package main

import (
	"encoding/json"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// layer says what the packages of this module under a path may import of each
// other.
type layer struct {
	path string   // a package, or with a / at its end all below it
	may  []string // packages, or all below a path with a / at its end
	why  string
}

// layers is the architecture of docs/architecture.md.  The first entry that
// matches a package counts.  A new package has to find its place here.
var layers = []layer{
	{"node/mcm", nil,
		"domain types are a leaf that everything may use"},
	{"node/pow", []string{"node/mcm"},
		"the frame of the proof of work is shared by all engines and depends on none"},
	{"node/rules", []string{"node/mcm"},
		"rules are pure functions of trailers and a clock that is an argument"},
	{"testdata", nil,
		"vectors are data"},
	{"node/verify/verifytest", []string{"node/mcm", "node/pow", "node/verify", "testdata"},
		"the conformance suite is handed the engine and the oracle it compares"},
	{"node/verify", []string{"node/mcm", "node/pow"},
		"the Verifier interface and its wrappers know no engine and no chain"},
	{"node/tfile", []string{"node/mcm", "node/pow", "node/rules", "node/verify"},
		"a trailer file is checked by rules and by the Verifier it is given"},
	{"node/synth", []string{"node/mcm", "node/pow", "node/rules", "node/verify"},
		"synthetic chains follow the rules and ask a Verifier for their proofs"},
	{"node/fault", nil,
		"what an observation is worth depends on nothing but the time, which is an argument"},
	{"node/wire", []string{"node/mcm"},
		"the codec turns bytes into packets and knows nobody who sends them"},
	{"node/internal/pack", nil,
		"the encoding of records is a leaf"},
	{"node/internal/freeport", nil,
		"which ports are free depends on the machine alone"},
	{"node/proof/prooftest", []string{"node/mcm", "node/pow", "node/rules", "node/verify", "node/wire"},
		"stand-ins for tests know what a proof is made of, not how it is judged"},
	{"node/proof", []string{"node/fault", "node/mcm", "node/pow", "node/rules", "node/verify", "node/wire"},
		"a proof is judged from its bytes and its claim, whoever sent it"},
	{"node/branch", []string{"node/mcm", "node/proof", "node/rules", "node/wire"},
		"branches are ranked by what was proven, not by what is known of peers"},
	{"node/peer", []string{"node/fault", "node/mcm", "node/wire"},
		"a conversation with a peer moves bytes; others judge them"},
	{"node/evidence", []string{"node/fault", "node/internal/", "node/mcm", "node/proof", "node/rules", "node/verify", "node/wire"},
		"evidence is judged from its own bytes, without network or memory"},
	{"node/memory", []string{"node/evidence", "node/fault", "node/internal/", "node/mcm", "node/proof", "node/rules", "node/wire"},
		"the memory keeps what others have found out"},
	{"node/scan", []string{"node/branch", "node/evidence", "node/fault", "node/mcm", "node/memory", "node/peer", "node/proof", "node/rules", "node/verify", "node/wire"},
		"a scan knows peers and proofs, not who asked for it"},
	{"node/status", []string{"node/mcm"},
		"what the node tells of itself are plain values"},
	{"node/chain", []string{"node/internal/", "node/mcm", "node/proof", "node/rules", "node/tfile", "node/verify"},
		"the own chain is kept for whoever proves it, and knows no peer but by address"},
	{"node/chainsync/synctest", []string{"node/"},
		"the test bed of a sync may know all of the node"},
	{"node/chainsync", []string{"node/branch", "node/chain", "node/evidence", "node/fault", "node/mcm", "node/memory", "node/peer", "node/pow", "node/proof", "node/rules", "node/scan", "node/status", "node/tfile", "node/verify", "node/wire"},
		"a sync obtains and proves branches; who runs it, and when, is the node's business"},
	{"node/api", []string{"node/evidence", "node/fault", "node/mcm", "node/pow", "node/rules", "node/scan", "node/status"},
		"the status listener shows what is known; it starts nothing"},
	{"node/chaos", []string{"node/fault", "node/internal/", "node/mcm", "node/pow", "node/proof", "node/rules", "node/scan", "node/synth", "node/verify", "node/wire"},
		"the hostile fleet speaks the protocol by itself: were it built on node/peer, one mistake could hide another"},
	{"node", []string{"node/"},
		"the node is handed its engines by cmd/kigo, so that it runs and is tested without any hardware"},
	{"node/", []string{"node/"},
		"the node is handed its engines by cmd/kigo, so that it runs and is tested without any hardware"},
	{"cpu/internal/", []string{"node/mcm", "node/pow", "node/verify", "cpu/internal/"},
		"what CPU engines share implements the Verifier interface and knows no single engine"},
	{"cpu/portable", []string{"node/mcm", "node/pow", "node/verify", "cpu/internal/"},
		"the oracle that other engines are tested against leans on none of them"},
	{"cpu/", []string{"node/mcm", "node/pow", "node/verify", "cpu/"},
		"CPU engines implement node/verify's interface and know nothing of chains or GPUs"},
	{"cpu", []string{"node/mcm", "node/pow", "node/verify", "cpu/"},
		"package cpu opens the CPU engines and knows nothing of chains or GPUs"},
	{"gpu/internal/driver", nil,
		"the CUDA driver's binding is a leaf"},
	{"gpu", []string{"node/mcm", "node/pow", "node/verify", "gpu/", "kernels"},
		"the CUDA engine implements node/verify's interface and knows nothing of chains or CPU engines"},
	{"kernels/", nil,
		"what checks and measures device code knows nothing of Kigo, and no program needs it"},
	{"kernels", nil,
		"kernels holds device code, no logic in Go"},
	{"bench", []string{"node/", "cpu", "cpu/", "gpu"},
		"benchmarks compare implementations, not commands"},
	{"cmd/kigo", []string{"node", "node/", "cpu", "cpu/", "gpu"},
		"cmd/kigo is the one place that knows every part, and bench is nobody's to import"},
}

// A ban keeps packages from outside the module out of all packages but some.
type ban struct {
	imports []string // packages, or all below a path with a / at its end
	except  []string
	why     string
}

var bans = []ban{
	{[]string{"C"}, []string{"cpu/simd/", "gpu/internal/driver"},
		"only the SIMD engines and the CUDA driver may need a C compiler"},
	{[]string{"github.com/spf13/"}, []string{"cmd/"},
		"flags and configuration files are the command line's business; packages get plain structs"},
	{[]string{"github.com/mumax/"}, []string{"gpu/internal/driver"},
		"the CUDA binding panics and is not ours: one package wraps it"},
	{[]string{"go.etcd.io/bbolt"}, []string{"node/memory"},
		"one package knows how records are kept"},
	{[]string{"testing"}, []string{"node/verify/verifytest", "node/proof/prooftest", "node/chainsync/synctest"},
		"test code does not belong into the binary"},
}

// pure are packages that may do no I/O, read no clock and log nothing.
var (
	pure    = []string{"node/mcm", "node/pow", "node/rules", "node/wire", "node/proof"}
	effects = []string{"os", "os/", "io/fs", "net", "net/", "time", "log", "log/", "syscall", "github.com/prometheus/"}
)

const module = "kigo/"

// within reports whether path is one of list, or below one that ends in a /.
func within(path string, list []string) bool {
	return slices.ContainsFunc(list, func(entry string) bool {
		return path == entry || strings.HasSuffix(entry, "/") && strings.HasPrefix(path, entry)
	})
}

// complaints returns what is wrong with the imports of a package of this module;
// all paths of the module are without its name.
func complaints(pkg string, imports []string) (all []string) {
	at := slices.IndexFunc(layers, func(l layer) bool { return within(pkg, []string{l.path}) })
	if at < 0 {
		return []string{pkg + " has no place in the layers of imports_test.go"}
	}
	for _, to := range imports {
		inner, ours := strings.CutPrefix(to, module)
		if ours && !within(inner, layers[at].may) {
			all = append(all, pkg+" must not import "+to+": "+layers[at].why)
		}
		for _, b := range bans {
			if within(to, b.imports) && !within(pkg, b.except) {
				all = append(all, pkg+" must not import "+to+": "+b.why)
			}
		}
		if within(pkg, pure) && within(to, effects) && to != "net/netip" { // an address is a value
			all = append(all, pkg+" must not import "+to+": it does no I/O, reads no clock and logs nothing")
		}
	}
	return all
}

func TestImports(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Imports,CgoFiles", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := map[string]bool{}
	for list := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
			CgoFiles   []string
		}
		if err := list.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		pkg, ours := strings.CutPrefix(p.ImportPath, module)
		if !ours {
			continue
		}
		seen[pkg] = true
		if len(p.CgoFiles) > 0 {
			p.Imports = append(p.Imports, "C")
		}
		for _, c := range complaints(pkg, p.Imports) {
			t.Error(c)
		}
	}
	for _, pkg := range []string{"cmd/kigo", "node/mcm", "node/rules", "node/verify", "cpu/portable"} {
		if !seen[pkg] {
			t.Errorf("go list did not name %s", pkg)
		}
	}
}

// TestForbiddenImports makes sure that the layers forbid what they are for.
func TestForbiddenImports(t *testing.T) {
	for _, c := range []struct {
		from, to string
		ok       bool
	}{
		{"node/mcm", "encoding/binary", true},
		{"node/mcm", "time", false},
		{"node/mcm", "log/slog", false},
		{"node/mcm", "kigo/node/rules", false},
		{"node/pow", "kigo/node/mcm", true},
		{"node/pow", "kigo/node/verify", false},
		{"node/rules", "kigo/node/mcm", true},
		{"node/rules", "kigo/node/pow", false},
		{"node/verify", "kigo/node/rules", false},
		{"node/verify", "kigo/cpu/portable", false},
		{"node/tfile", "kigo/cpu", false},
		{"node/tfile", "os", true},
		{"node/synth", "kigo/node/verify", true},
		{"node/synth", "kigo/node/tfile", false},
		{"node/later", "kigo/node/tfile", true},
		{"node/later", "kigo/gpu", false},
		{"cpu/portable", "kigo/cpu/lanes", false},
		{"cpu/lanes", "kigo/node/rules", false},
		{"cpu/lanes", "C", false},
		{"cpu/simd/avx2", "C", true},
		{"cpu", "kigo/gpu", false},
		{"gpu", "kigo/cpu", false},
		{"gpu", "kigo/kernels", true},
		{"gpu", "github.com/mumax/3/cuda/cu", false},
		{"gpu/internal/driver", "github.com/mumax/3/cuda/cu", true},
		{"node/chain", "kigo/node/peer", false},
		{"node/chainsync", "kigo/node", false},
		{"node/api", "kigo/node", false},
		{"node", "kigo/node/chainsync", true},
		{"node", "kigo/cpu", false},
		{"cmd/kigo", "kigo/bench", false},
		{"cmd/kigo", "github.com/spf13/cobra", true},
		{"node/tfile", "github.com/spf13/viper", false},
		{"node/verify", "testing", false},
		{"node/verify/verifytest", "testing", true},
		{"somewhere", "fmt", false},
	} {
		if got := complaints(c.from, []string{c.to}); (len(got) == 0) != c.ok {
			t.Errorf("%s imports %s: %q, want allowed %v", c.from, c.to, got, c.ok)
		}
	}
}
