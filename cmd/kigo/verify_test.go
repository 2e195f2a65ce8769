package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"kigo/node/mcm"
	"kigo/node/rules"
	"kigo/node/synth"
)

// verifyJSON judges a file and returns the one object that is printed.
func verifyJSON(t testing.TB, code int, args ...string) verifyReport {
	t.Helper()
	var r struct {
		verifyReport
		Weight, ProvenWeight string
		W                    string `json:"weight"`
		P                    string `json:"proven_weight"`
	}
	fromJSON(t, kigo(t, append([]string{"verify", "--json"}, args...)...).want(t, code), &r)
	for _, w := range []string{r.W, r.P} {
		if len(w) != 64 {
			t.Fatalf("weight %q, want 64 hex digits", w)
		}
	}
	var err error
	if r.verifyReport.Weight, err = mcm.ParseWeight(r.W); err != nil {
		t.Fatal(err)
	}
	if r.verifyReport.ProvenWeight, err = mcm.ParseWeight(r.P); err != nil {
		t.Fatal(err)
	}
	return r.verifyReport
}

// synthFile makes a chain with the program itself.
func synthFile(t testing.TB, args ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tfile.dat")
	kigo(t, append([]string{"synth", "--out", path}, args...)...).want(t, 0)
	return path
}

func TestVerifyMainnet(t *testing.T) {
	r := verifyJSON(t, 0, "--segment", segment255)
	if !r.Valid || r.Trailers != 255 || r.FirstBlock != 0x94701 || r.LastBlock != 0x947ff || len(r.Errors) != 0 {
		t.Errorf("got %+v", r)
	}
	if r.PoW != (powCounts{Checked: 226, Exempt: 29}) {
		t.Errorf("proof of work: got %+v, want 226 checked and 29 exempt", r.PoW)
	}
	var weight, proven mcm.Weight
	for _, tr := range mcm.Trailers(readFile(t, segment255)) {
		weight = rules.AddWeight(weight, &tr)
		if tr.Kind() == mcm.Standard {
			proven = rules.AddWeight(proven, &tr)
		}
	}
	if r.Weight != weight || r.ProvenWeight != proven {
		t.Errorf("weights %v and %v, want %v and %v", r.Weight, r.ProvenWeight, weight, proven)
	}

	r = verifyJSON(t, 0, genesis)
	if !r.Valid || r.Trailers != 1 || r.Weight != (mcm.Weight{1}) || r.ProvenWeight != (mcm.Weight{}) {
		t.Errorf("genesis: got %+v", r)
	}
	r = verifyJSON(t, 0, "--segment", mainnet+"trailer-0xa1219.bin")
	if !r.Valid || r.PoW.Checked != 1 {
		t.Errorf("block 0xa1219: got %+v", r)
	}

	// Without --segment a piece is no chain.
	r = verifyJSON(t, exitInvalid, segment255)
	if r.Valid || len(r.Errors) != 1 || r.Errors[0].Rule != "EMCM_NZGEN" || r.Errors[0].Index != 0 {
		t.Errorf("a segment as a whole file: got %+v", r)
	}
}

func TestVerifySaysWhatIsWrong(t *testing.T) {
	data := readFile(t, segment255)
	data[101*160+60] ^= 1
	file := writeTemp(t, "bad.bin", data)
	out := kigo(t, "verify", "--segment", file).want(t, exitInvalid)
	contains(t, "the report", out, "block 608102 (0x94766), byte 16,160: EMCM_POWPEACH", rules.PowPeach.Meaning(), "leading zero bits", "INVALID", "16,160 bytes")

	data[200*160] ^= 1
	file = writeTemp(t, "worse.bin", data)
	r := verifyJSON(t, exitInvalid, "--segment", "--all", file)
	want := []verifyError{
		{Block: 608102, Index: 101, Rule: "EMCM_POWPEACH"},
		{Block: 608201, Index: 200, Rule: "EMCM_PHASH"},
		{Block: 608201, Index: 200, Rule: "EMCM_POWPEACH"}, // its hash covers the link
	}
	for i, e := range r.Errors {
		if e.Detail == "" {
			t.Errorf("error %d has no detail", i)
		}
		r.Errors[i].Detail = ""
	}
	if !slices.Equal(r.Errors, want) || r.PoW.Bad != 2 {
		t.Errorf("got %+v (%+v), want %+v", r.Errors, r.PoW, want)
	}
	if r.Trailers != 255 {
		t.Errorf("got %+v", r)
	}
}

func TestVerifyWithoutPow(t *testing.T) {
	data := readFile(t, segment255)
	data[101*160+60] ^= 1 // only its work is gone
	file := writeTemp(t, "bad.bin", data)
	r := verifyJSON(t, 0, "--segment", "--no-pow", file)
	if !r.Valid || r.PoW != (powCounts{Exempt: 29, Skipped: 226}) || r.ProvenWeight != (mcm.Weight{}) || len(r.Engines) != 0 {
		t.Errorf("got %+v", r)
	}
	contains(t, "the verdict", kigo(t, "verify", "--segment", "--no-pow", file).want(t, 0), "STRUCTURE VALID", "not checked", "226")

	r = verifyJSON(t, 0, "--segment", "--from-height", "608103", file)
	if !r.Valid || r.PoW.Skipped == 0 || r.PoW.Checked+r.PoW.Skipped != 226 {
		t.Errorf("from behind the bad one: got %+v", r)
	}
	verifyJSON(t, exitInvalid, "--segment", "--from-height", "608102", file)
}

func TestVerifyFromStandardInput(t *testing.T) {
	o := kigoWith(t, readFile(t, segment255), "verify", "--segment", "--json", "-")
	var r map[string]any
	fromJSON(t, o.want(t, 0), &r)
	if r["valid"] != true || r["file"] != "-" || r["trailers"] != 255.0 {
		t.Errorf("got %v", r)
	}
}

func TestVerifyClock(t *testing.T) {
	tip := mcm.Trailers(readFile(t, segment255))[254]
	at := func(lead int64) string { return fmt.Sprint(int64(tip.SolveTime()) - lead) }
	verifyJSON(t, 0, "--segment", "--now", at(3), segment255)
	r := verifyJSON(t, exitInvalid, "--segment", "--now", at(4), segment255)
	if len(r.Errors) != 1 || r.Errors[0].Rule != "EMCM_STIME" || r.Errors[0].Index != 254 {
		t.Errorf("got %+v", r.Errors)
	}
}

func TestVerifyAllEras(t *testing.T) {
	if testing.Short() {
		t.Skip("657,700 trailers")
	}
	file := synthFile(t, "--blocks", "657700", "--worked", "0.0005", "--difficulty", "1")
	r := verifyJSON(t, 0, file)
	if !r.Valid || r.Trailers != 657700 || r.LastBlock != 657699 || r.PoW.Checked < 200 {
		t.Errorf("got %+v", r)
	}
	// Every engine says the same of it.
	for _, engine := range usableEngines() {
		one := verifyJSON(t, 0, "--engine", engine, file)
		if one.Weight != r.Weight || one.ProvenWeight != r.ProvenWeight || one.PoW != r.PoW || len(one.Engines) != 1 || one.Engines[0] != engine {
			t.Errorf("%s: got %+v, want %+v", engine, one, r)
		}
	}
}

// TestVerifyFindsEveryFault has every kind of fault found as the rule it breaks,
// at its block, and nothing else: in the Trigg era, or in version 3 where it
// exists only there; faults in a proof of work also in version 3 and at the one
// block with an exception.
func TestVerifyFindsEveryFault(t *testing.T) {
	trigg := chainOf{2500, []string{"--blocks", "3000", "--worked", "0.9", "--difficulty", "2"}}
	v3 := chainOf{657400, []string{"--blocks", "657500", "--worked", "0.0005", "--difficulty", "1"}}
	anomaly := chainOf{mcm.AnomalyNum, []string{"--blocks", "339300", "--worked", "0.0005", "--difficulty", "1"}}
	for _, kind := range synth.Kinds() {
		tested := false
		for _, chain := range []chainOf{trigg, v3, anomaly} {
			fault, ok := placeFault(kind.Name, chain.block)
			if !ok || testing.Short() && chain.block != trigg.block || tested && !strings.HasPrefix(kind.Name, "pow-") {
				continue
			}
			tested = true
			t.Run(kind.Name+"/"+chain.block.String(), func(t *testing.T) { chain.test(t, fault) })
		}
		if !tested && !testing.Short() {
			t.Errorf("no block of the chains can have %s", kind.Name)
		}
	}
}

// A chainOf is a chain that has a block of interest.
type chainOf struct {
	block mcm.BlockNum
	args  []string
}

var nearestBlock = regexp.MustCompile("nearest is block ([0-9]+)")

func (c chainOf) test(t *testing.T, fault synth.Fault) {
	path := filepath.Join(t.TempDir(), "tfile.dat")
	args := append([]string{"synth", "--out", path}, c.args...)
	o := kigo(t, append(args, "--fault", fmt.Sprint(fault))...)
	if other := nearestBlock.FindStringSubmatch(o.stderr); o.code == exitUsage && other != nil {
		// The difficulty of a block is only known when the chain is made.
		n, err := strconv.ParseUint(other[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		fault.Block = mcm.BlockNum(n)
		o = kigo(t, append(args, "--fault", fmt.Sprint(fault))...)
	}
	o.want(t, 0)
	r := verifyJSON(t, exitInvalid, "--all", path)
	if len(r.Errors) != 1 {
		t.Fatalf("got %+v, want one error", r.Errors)
	}
	e := r.Errors[0]
	if mcm.BlockNum(e.Block) != fault.Block || e.Rule != string(fault.Rule()) {
		t.Errorf("found %s at %d (%s), want %s at %d", e.Rule, e.Block, e.Detail, fault.Rule(), fault.Block)
	}
}

// placeFault finds a block near the wanted one at which a kind applies, or says
// that there is none near.
func placeFault(kind string, near mcm.BlockNum) (synth.Fault, bool) {
	for _, n := range []mcm.BlockNum{near, near &^ 0xff, 0} {
		f := synth.Fault{Kind: kind, Block: n}
		if (synth.Config{Blocks: 1 << 20, Worked: 1, Faults: []synth.Fault{f}}).Validate() == nil {
			return f, true
		}
	}
	return synth.Fault{}, false
}

func TestVerifyResume(t *testing.T) {
	file := synthFile(t, "--blocks", "5000", "--worked", "0.5", "--difficulty", "0")
	whole := verifyJSON(t, 0, file)
	first := verifyJSON(t, 0, "--resume", file)
	if first.PoW.Known != 0 || first.PoW.Checked != whole.PoW.Checked {
		t.Errorf("the first run: got %+v", first.PoW)
	}
	again := verifyJSON(t, 0, "--resume", file)
	if again.PoW.Checked != 0 || again.PoW.Known != whole.PoW.Checked || again.ProvenWeight != whole.ProvenWeight {
		t.Errorf("the second run: got %+v, want %d known", again.PoW, whole.PoW.Checked)
	}
	data := readFile(t, file)
	last := mcm.Trailers(data)
	i := len(last) - 1
	for last[i].Kind() != mcm.Standard {
		i--
	}
	last[i].SetMinFee(last[i].MinFee() + 1)
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	o := kigo(t, "verify", "--resume", "--json", file)
	var edited verifyReport
	fromJSON(t, strings.NewReplacer(`"weight"`, `"-w"`, `"proven_weight"`, `"-p"`).Replace(o.want(t, 0)), &struct {
		*verifyReport
		W string `json:"-w"`
		P string `json:"-p"`
	}{verifyReport: &edited}) // difficulty 0 and an early hash: still a valid chain, another one
	if edited.PoW.Checked == 0 || edited.PoW.Checked > 1000 || edited.PoW.Checked+edited.PoW.Known != whole.PoW.Checked {
		t.Errorf("the last trailer was edited: got %+v, want its piece checked again and the rest known", edited.PoW)
	}
	contains(t, "the log", o.stderr, "changed")
}

func TestPins(t *testing.T) {
	file := synthFile(t, "--blocks", "5000", "--worked", "0.2", "--difficulty", "0")
	pin := filepath.Join(t.TempDir(), "pin.json")
	kigo(t, "pins", "derive", "--height", "4000", "--out", pin, file).want(t, 0)
	whole := verifyJSON(t, 0, file)
	r := verifyJSON(t, 0, "--pin", pin, file)
	if r.PoW.Known == 0 || r.PoW.Known+r.PoW.Checked != whole.PoW.Checked || r.ProvenWeight != whole.ProvenWeight {
		t.Errorf("with a pin: got %+v, without %+v", r.PoW, whole.PoW)
	}
	other := synthFile(t, "--blocks", "5000", "--worked", "0.2", "--difficulty", "0", "--seed", "2")
	r = verifyJSON(t, exitInvalid, "--pin", pin, other)
	if r.Valid || len(r.Errors) != 1 || r.Errors[0].Rule != "PIN" || r.Errors[0].Block != 4000 {
		t.Errorf("a pin of another chain: got %+v", r)
	}
	contains(t, "the report", kigo(t, "verify", "--pin", pin, other).want(t, exitInvalid), "PIN", "different chains")

	bad := synthFile(t, "--blocks", "5000", "--worked", "0.2", "--fault", "phash@3000")
	o := kigo(t, "pins", "derive", bad)
	o.want(t, exitInvalid)
	contains(t, "the error", o.stderr, "EMCM_PHASH", "no pin")
	kigo(t, "pins", "derive", "--height", "2999", bad).want(t, 0)
}

func TestSynthIsDeterministic(t *testing.T) {
	args := []string{"--blocks", "2000", "--worked", "0.3", "--difficulty", "3", "--seed", "9"}
	one, two := readFile(t, synthFile(t, args...)), readFile(t, synthFile(t, append(args, "--engine", "portable", "--workers", "1")...))
	if !bytes.Equal(one, two) {
		t.Error("the same settings made two chains")
	}
	longer := readFile(t, synthFile(t, append(args, "--blocks", "2500")...))
	if !bytes.HasPrefix(longer, one) {
		t.Error("a longer chain doesn't begin with the shorter one")
	}
	if piped := kigo(t, append([]string{"synth", "--out", "-"}, args...)...).want(t, 0); piped != string(one) {
		t.Error("standard output got another chain than a file")
	}
}

func TestSynthLeavesNoHalfFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "tfile.dat")
	if err := os.WriteFile(path, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	// The chain would run past the last time there is.
	kigo(t, "synth", "--out", path, "--blocks", "10000", "--worked", "0", "--start-time", "4294000000").want(t, exitUsage)
	if got := string(readFile(t, path)); got != "precious" {
		t.Errorf("a failed run left %d bytes in the old file", len(got))
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestDevices(t *testing.T) {
	var states []engineState
	fromJSON(t, kigo(t, "devices", "--json").want(t, 0), &states)
	seen := map[string]engineState{}
	for _, s := range states {
		seen[s.Name] = s
		if s.Available != (s.Reason == "") || s.Detail == "" {
			t.Errorf("%+v: an engine is available or there is a reason", s)
		}
		if s.Available != (s.SelfTest == "ok") {
			t.Errorf("%+v: an available engine passes its self-test", s)
		}
	}
	for _, name := range engineNames() {
		if _, ok := seen[name]; !ok {
			t.Errorf("no engine %s in the list", name)
		}
	}
	t.Setenv("KIGO_VERIFY_DISABLE", "avx512,avx2,lanes")
	contains(t, "the table", kigo(t, "devices").want(t, 0), "ENGINE", "(switched off)")
	r := verifyJSON(t, 0, "--segment", segment255)
	if strings.Join(r.Engines, ",") != "portable" {
		t.Errorf("engines %v, want portable alone", r.Engines)
	}
}
