//go:build cuda && unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"kigo/kernels"
	"kigo/node/mcm"
	"kigo/node/pow"
	"kigo/node/verify/verifytest"
)

// cudaProgram builds the program that users get, once.
var cudaProgram = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp(os.Getenv("XDG_CONFIG_HOME"), "bin-") // TestMain removes it
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "kigo")
	build := exec.Command("go", "build", "-tags", "cuda", "-o", path, ".")
	build.Env = userEnv
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %v\n%s", err, out)
	}
	return path, nil
})

// A machine is what the fake driver is told: KIGO_FAKE_ settings without that
// prefix, as gpu/internal/driver/fake/fake.cpp explains them.
type machine []string

// run runs the program on such a machine, with GPUs and the portable engine unless
// args say otherwise, and all good verdicts of a GPU repeated.
func (m machine) run(t *testing.T, args ...string) outcome {
	t.Helper()
	// As for package gpu, the environment decides which driver there is.
	faked := strings.HasSuffix(os.Getenv("LD_LIBRARY_PATH"), "bin/cuda/fake")
	verifytest.Require(t, "cuda-fake", faked, "the driver is not the fake one (make fakegpu)")
	_, err := kernels.Image()
	verifytest.Require(t, "kernels", err == nil, "built without device code")
	path, err := cudaProgram()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	p := &process{Cmd: exec.CommandContext(ctx, path, args...), ctx: ctx}
	p.Stdout, p.Stderr = &p.stdout, &p.stderr
	p.Env = append(os.Environ(), "KIGO_VERIFY_DISABLE=avx512,avx2,lanes", "KIGO_VERIFY_AUDIT_RATE=1")
	for _, s := range m {
		p.Env = append(p.Env, "KIGO_FAKE_"+s)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	return p.end(t)
}

// What the self-test of a device without planned faults takes: so many launches,
// and so many hashes with those planted.  Faults beyond that strike at work.
const (
	selfTestLaunches = 3 * 298
	selfTestHashes   = 1 + 31 + 33 + 3*4
	selfTestCalls    = 50 + selfTestLaunches + 3*20 // about
)

// fakeFaults are machines whose first device fails, and what is to be said of it.
var fakeFaults = []struct {
	name    string
	machine machine
	reason  string
}{
	{"no memory for a context", machine{"DEVICES=2", "FAULTY=0", "OOM=1"}, "CUDA_ERROR_OUT_OF_MEMORY"},
	{"no memory for the kernels", machine{"DEVICES=2", "FAULTY=0", "OOM=2"}, "CUDA_ERROR_OUT_OF_MEMORY"},
	{"too little memory", machine{"DEVICES=1", "MEMORY=1000000"}, "too little memory"},
	{"kernels not for this device", machine{"DEVICES=1", "IMAGE=209"}, "not built for this device"},
	{"driver too old", machine{"DEVICES=1", "IMAGE=222"}, "the driver is older than the kernels"},
	{"wrong from the start", machine{"DEVICES=2", "FAULTY=0", "WRONG=1"}, "it judged block"},

	{"first launch", machine{"DEVICES=1", "LAUNCH=1"}, "CUDA_ERROR_LAUNCH_FAILED"},
	{"first launch at work", machine{"DEVICES=1", fmt.Sprint("LAUNCH=", selfTestLaunches+1)}, "CUDA_ERROR_LAUNCH_FAILED"},
	{"launch in a batch", machine{"DEVICES=3", "FAULTY=0", fmt.Sprint("LAUNCH=", selfTestLaunches+200)}, "CUDA_ERROR_LAUNCH_FAILED"},
	{"death in a batch", machine{"DEVICES=2", "FAULTY=0", fmt.Sprint("DIE=", selfTestCalls+100)}, "CUDA_ERROR_UNKNOWN"},
	{"all die", machine{"DEVICES=4", fmt.Sprint("DIE=", selfTestCalls+100)}, "CUDA_ERROR_UNKNOWN"},
	{"good called bad once", machine{"DEVICES=2", "FAULTY=0", "KIND=bad", fmt.Sprint("ERROR=", selfTestHashes+30)}, "it judged block"},
	{"bad called good once", machine{"DEVICES=2", "FAULTY=0", "KIND=good", fmt.Sprint("ERROR=", selfTestHashes+30)}, "it judged block"},
	{"hash wrong once", machine{"DEVICES=1", "KIND=hash", fmt.Sprint("ERROR=", selfTestHashes+30)}, "it judged block"},
	{"hash lost once", machine{"DEVICES=1", "KIND=lost", fmt.Sprint("ERROR=", selfTestHashes+30)}, "it judged block"},
	{"wrong in 20", machine{"DEVICES=2", "FAULTY=0", "WRONG=20", fmt.Sprint("SOUND=", selfTestHashes)}, "it judged block"},
}

// told fails the test unless stderr says what is wrong with the first device, and
// nothing is wrong with others where one is faulty.
func told(t *testing.T, m machine, stderr, reason string) {
	t.Helper()
	lines := strings.Split(stderr, "\n")
	first := func(line string) bool {
		return strings.Contains(line, "backend=cuda:0") && strings.Contains(line, reason) &&
			(strings.Contains(line, "level=ERROR") || strings.Contains(line, "level=WARN"))
	}
	if !slices.ContainsFunc(lines, first) {
		t.Errorf("nobody says of cuda:0 that %s:\n%.3000s", reason, stderr)
	}
	if slices.Contains(m, "FAULTY=0") && strings.Contains(stderr, "backend=cuda:1") {
		t.Errorf("cuda:1 is not faulty, and\n%.3000s", stderr)
	}
}

// fakeTrailers writes golden trailers, good and bad, to a file.
func fakeTrailers(t *testing.T) (name string, vectors []verifytest.Vector) {
	t.Helper()
	var data []byte
	for i, v := range verifytest.Vectors(t) {
		if i%5 == 0 && !v.NoHash {
			vectors = append(vectors, v)
			data = append(data, v.Trailer[:]...)
		}
	}
	name = filepath.Join(t.TempDir(), "trailers.bin")
	if err := os.WriteFile(name, data, 0o666); err != nil {
		t.Fatal(err)
	}
	return name, vectors
}

// TestFakePow asks for each trailer's verdict on machines of all kinds.
func TestFakePow(t *testing.T) {
	name, vectors := fakeTrailers(t)
	want := kigo(t, "pow", "--jsonl", "--engine", "portable", name).want(t, exitInvalid)
	i := 0
	for line := range strings.Lines(want) {
		var got struct{ Verdict, Hash string }
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		v, hash := &vectors[i], ""
		if v.Want.Hash != (mcm.Hash{}) {
			hash = v.Want.Hash.String()
		}
		if got.Verdict != v.Want.Verdict.String() || got.Hash != hash {
			t.Fatalf("%v: got %+v, want %v with hash %s", v, got, v.Want.Verdict, hash)
		}
		i++
	}
	ask := func(t *testing.T, m machine) (stderr string) {
		t.Helper()
		o := m.run(t, "pow", "--jsonl", name)
		if got := o.want(t, exitInvalid); got != want {
			t.Errorf("got other verdicts than from the portable engine: %.300s", got)
		}
		return o.stderr
	}
	for n := 1; n <= 4; n++ {
		t.Run(fmt.Sprintf("%d devices", n), func(t *testing.T) {
			if stderr := ask(t, machine{fmt.Sprint("DEVICES=", n)}); strings.Contains(stderr, "level=") {
				t.Errorf("all is well, and\n%s", stderr)
			}
		})
	}
	t.Run("no device", func(t *testing.T) { ask(t, machine{"DEVICES=0"}) })
	for _, f := range fakeFaults {
		t.Run(f.name, func(t *testing.T) { told(t, f.machine, ask(t, f.machine), f.reason) })
	}
	// A device that lacks memory for as much as it wants takes less.
	for k := 3; k <= 20; k += 8 {
		t.Run(fmt.Sprintf("no memory for allocation %d", k), func(t *testing.T) {
			if stderr := ask(t, machine{"DEVICES=1", fmt.Sprint("OOM=", k)}); strings.Contains(stderr, "level=") {
				t.Errorf("the device can do with less, and\n%s", stderr)
			}
		})
	}
}

// TestFakeVerify has pieces of the chain verified, a good one and one with bad
// work, on machines whose device fails at work.
func TestFakeVerify(t *testing.T) {
	good := readFile(t, segment255)
	bad := mcm.Trailers(slices.Clone(good))
	for _, at := range []int{70, 200} { // in blocks of version 2 the nonce is in no hash
		pow.SetRandomNonce(&bad[at], rand.New(rand.NewPCG(1, uint64(at))))
	}
	*bad[150].Nonce() = mcm.Nonce{}
	for _, file := range []struct {
		name string
		data []byte
		code int
	}{{"good.dat", good, exitOK}, {"bad.dat", mcm.Bytes(bad), exitInvalid}} {
		if testing.Short() && file.code == exitOK {
			continue // the bad one has as much to lose, and more
		}
		name := filepath.Join(t.TempDir(), file.name)
		if err := os.WriteFile(name, file.data, 0o666); err != nil {
			t.Fatal(err)
		}
		args := []string{"verify", "--json", "--all", "--segment", name}
		report := func(o outcome) (r map[string]any) {
			if err := json.Unmarshal([]byte(o.want(t, file.code)), &r); err != nil {
				t.Fatal(err)
			}
			for _, other := range []string{"seconds", "trailers_per_second", "engines"} {
				delete(r, other)
			}
			return r
		}
		want := report(kigo(t, append(args, "--engine", "portable")...))
		for _, f := range fakeFaults[6:] {
			t.Run(file.name+", "+f.name, func(t *testing.T) {
				o := f.machine.run(t, args...)
				if got := report(o); !reflect.DeepEqual(got, want) {
					t.Errorf("got %v\nwant %v", got, want)
				}
				told(t, f.machine, o.stderr, f.reason)
			})
		}
	}
}

// TestFakeDevices has the program list what a machine has, and why it can't be
// used.
func TestFakeDevices(t *testing.T) {
	list := func(t *testing.T, m machine, code int) (gpus []engineState) {
		t.Helper()
		var all []engineState
		if err := json.Unmarshal([]byte(m.run(t, "devices", "--json").want(t, code)), &all); err != nil {
			t.Fatal(err)
		}
		for _, s := range all {
			if strings.HasPrefix(s.Name, "cuda") {
				gpus = append(gpus, s)
			}
		}
		return gpus
	}
	for n := 1; n <= 4; n++ {
		gpus := list(t, machine{fmt.Sprint("DEVICES=", n)}, exitOK)
		if len(gpus) != n {
			t.Errorf("%d devices listed, want %d", len(gpus), n)
		}
		for i, s := range gpus {
			if s.Name != fmt.Sprint("cuda:", i) || !s.Available || s.SelfTest != "ok" || !s.Chosen || !strings.Contains(s.Detail, "fake") {
				t.Errorf("got %+v", s)
			}
		}
	}
	if gpus := list(t, machine{"DEVICES=0"}, exitOK); len(gpus) != 1 || gpus[0].Available || !strings.Contains(gpus[0].Reason, "no device") {
		t.Errorf("no device: got %+v", gpus)
	}
	for _, f := range fakeFaults[:7] {
		atWork := strings.Contains(f.reason, "judged") || strings.Contains(f.name, "launch")
		code := exitOK
		if atWork {
			code = exitFailed
		}
		s := list(t, f.machine, code)[0]
		if s.Name != "cuda:0" || s.Available != atWork || s.Chosen || !strings.Contains(s.Reason+s.SelfTest, f.reason) {
			t.Errorf("%s: got %+v", f.name, s)
		}
	}
}
