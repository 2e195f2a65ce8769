//go:build cuda

package gpu

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"kigo/cpu"
	"kigo/node/mcm"
	"kigo/node/verify"
	"kigo/node/verify/verifytest"
)

// What bench/gpu.sh tells the test binary.  Without -rows nothing is measured.
var (
	rowsFile  = flag.String("rows", "", "append what is measured to this `FILE`, one JSON object a line")
	imagesDir = flag.String("images", "", "measure the device code of all .fatbin files in this `FOLDER`")
	batchList = flag.String("batches", "54,256,1024,4096,16384,65536,262144,1048576,4194304", "batch sizes")
	random1   = flag.Int("random", 0, "compare the device with the processor on so many random trailers")
	leastTime = flag.Duration("least", 300*time.Millisecond, "least time of a measurement")
	aBatch    = flag.Int("batch", 1<<20, "trailers in a batch where the size is not what is measured")
)

// measuring skips the test unless it is asked for.
func measuring(t *testing.T) {
	t.Helper()
	if *rowsFile == "" {
		t.Skip("no -rows")
	}
}

// row appends a figure to the file of rows, in the form of kigo bench's results.
func row(t *testing.T, engine string, batch int, rate float64) {
	t.Helper()
	b, err := json.Marshal(struct {
		Engine string  `json:"engine"`
		Cores  int     `json:"cores"`
		Batch  int     `json:"batch"`
		Rate   float64 `json:"trailers_per_second"`
	}{engine, runtime.GOMAXPROCS(0), batch, rate})
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(*rowsFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(append(b, '\n')); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%-34s batch %9d: %12.0f trailers/s", engine, batch, rate)
}

// batchSizes returns the sizes in -batches.
func batchSizes(t *testing.T) (sizes []int) {
	t.Helper()
	for _, s := range strings.Split(*batchList, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			t.Fatalf("-batches: %q is no size", s)
		}
		sizes = append(sizes, n)
	}
	return sizes
}

// work returns n trailers that need Peach, some tens of thousands of them
// different.
func work(t testing.TB, n int) []mcm.Trailer {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 1))
	var some []mcm.Trailer
	for _, t := range verifytest.Trailers(r, min(3*n, 1<<16)) {
		if len(verify.Prepare(make([]verify.Result, 1), []mcm.Trailer{t}, nil)) == 1 {
			some = append(some, t)
		}
	}
	if len(some) == 0 {
		t.Fatal("no trailer needs Peach")
	}
	all := make([]mcm.Trailer, n)
	for i := range all {
		all[i] = some[i%len(some)]
	}
	return all
}

// rate returns trailers a second of v over at least the measuring time, after a
// call to warm up.
func rate(t *testing.T, v verify.Verifier, batch []mcm.Trailer) float64 {
	t.Helper()
	dst := make([]verify.Result, len(batch))
	var start time.Time
	for calls := -1; ; calls++ {
		if calls == 0 {
			start = time.Now()
		}
		if took := time.Since(start); calls > 0 && took >= *leastTime {
			return float64(calls*len(batch)) / took.Seconds()
		}
		if err := v.VerifyPoW(context.Background(), dst, batch); err != nil {
			t.Fatal(err)
		}
	}
}

// processor returns the machine's best engine without a GPU.
func processor() verify.Backend {
	engines := cpu.Engines()
	best := slices.IndexFunc(engines, func(e cpu.Engine) bool { return e.Available })
	return engines[best].Open(cpu.NewCores(runtime.GOMAXPROCS(0)))
}

// TestMillion compares each device with the processor's best engine on -random
// trailers, and on a tenth as many with the oracle.
func TestMillion(t *testing.T) {
	if *random1 == 0 {
		t.Skip("no -random")
	}
	best := processor()
	for _, d := range devices(t, options(0)) {
		r := rand.New(rand.NewPCG(verifytest.Seed(t, 0), 0))
		compareRandom(t, r, d, best, *random1)
		compareRandom(t, r, d, oracle(), *random1/10)
	}
}

func compareRandom(t *testing.T, r *rand.Rand, d, other verify.Backend, n int) {
	t.Helper()
	counts := map[verify.Verdict]int{}
	for done := 0; done < n && !t.Failed(); {
		batch := verifytest.Trailers(r, min(1<<18, n-done))
		want := make([]verify.Result, len(batch))
		if err := other.VerifyPoW(t.Context(), want, batch); err != nil {
			t.Fatal(err)
		}
		compare(t, d, batch, want)
		for i := range want {
			counts[want[i].Verdict]++
		}
		done += len(batch)
	}
	t.Logf("%d random trailers, %s and %s: %v", n, d.Info().Name, other.Info().Name, counts)
}

// TestMeasureBatches measures each device, all with the processor behind a router,
// and the processor alone, over batch sizes, and tells from which on a device is
// faster.
func TestMeasureBatches(t *testing.T) {
	measuring(t)
	all := devices(t, options(0))
	best := processor()
	sizes := batchSizes(t)
	batch := work(t, slices.Max(sizes))
	crossover := map[string]int{}
	var processorRate float64
	for _, n := range sizes {
		// The larger ones only tell the same of the processor, slowly.
		if processorRate == 0 || float64(n)/processorRate < 2 {
			processorRate = rate(t, best, batch[:n])
			row(t, best.Info().Name, n, processorRate)
		}
		for _, d := range all {
			name := d.Info().Name
			r := rate(t, d, batch[:n])
			row(t, name, n, r)
			if _, ok := crossover[name]; !ok && r > processorRate {
				crossover[name] = n
			}
		}
	}
	for _, d := range all {
		if n, ok := crossover[d.Info().Name]; ok {
			t.Logf("%s is faster than %s from batches of %d on", d.Info().Name, best.Info().Name, n)
		} else {
			t.Logf("%s is never faster than %s", d.Info().Name, best.Info().Name)
		}
	}
	router := verify.NewRouter(nil, nil, append(slices.Clone(all), best)...)
	for range 3 { // let it learn
		for _, n := range sizes {
			if err := router.VerifyPoW(t.Context(), make([]verify.Result, n), batch[:n]); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, n := range sizes {
		row(t, "router", n, rate(t, router, batch[:n]))
	}
}

// variants are names of images: t128-b4 is for blocks of 128 threads.
var variantThreads = regexp.MustCompile(`^t([0-9]+)\b`)

// TestMeasureVariants measures other device code, numbers of streams, and sizes of
// what is in flight.  Code that a device or the fake driver refuses is told.
func TestMeasureVariants(t *testing.T) {
	measuring(t)
	batch := work(t, *aBatch)
	images, err := filepath.Glob(filepath.Join(*imagesDir, "*.fatbin"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range images {
		image, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".fatbin")
		o := setup{options(0), streams, threads, patience}
		o.Image = string(image)
		if m := variantThreads.FindStringSubmatch(name); m != nil {
			o.threads, _ = strconv.Atoi(m[1])
		}
		variant(t, "image "+name, o, batch)
	}
	for n := 1; n <= 4; n++ {
		variant(t, fmt.Sprintf("streams %d", n), setup{options(0), n, threads, patience}, batch)
	}
	for n := DefaultInFlight / 16; n <= 2*DefaultInFlight && n <= 4**aBatch; n *= 2 {
		variant(t, fmt.Sprintf("in flight %d", n), setup{options(n), streams, threads, patience}, batch)
	}
}

// variant measures the first device with such a setup, if it gives the known
// answers with it.
func variant(t *testing.T, name string, o setup, batch []mcm.Trailer) {
	t.Helper()
	o.Use = func(name string) bool { return name == "cuda:0" }
	all, err := openAll(t.Context(), o)
	if len(all) == 0 {
		t.Logf("%s: %v", name, err)
		return
	}
	defer func() {
		if err := all[0].Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := verify.SelfTest(t.Context(), all[0]); err != nil {
		t.Logf("%s: %v", name, err)
		return
	}
	for _, n := range []int{len(batch) / 16, len(batch)} {
		if n > 0 {
			row(t, "cuda:0 "+name, n, rate(t, all[0], batch[:n]))
		}
	}
}
