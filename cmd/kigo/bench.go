package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/cpuid/v2"
	"github.com/spf13/cobra"

	"kigo/cpu"
	"kigo/node/mcm"
	"kigo/node/pow"
	"kigo/node/verify"
)

// benchFormat is the version of the result file.
const benchFormat = 1

// A benchFile is the result of one run of kigo bench, to compare machines with.
type benchFile struct {
	Format  int           `json:"format"`
	Time    time.Time     `json:"time"`
	Build   buildInfo     `json:"build"`
	Machine benchMachine  `json:"machine"`
	Results []benchResult `json:"results"`
}

type benchMachine struct {
	CPU     string `json:"cpu"`
	Threads int    `json:"threads"` // that this process may use
}

// A benchResult is the best of several measurements of one engine at one batch
// size on so many cores.
type benchResult struct {
	Engine string  `json:"engine"`
	Cores  int     `json:"cores"`
	Batch  int     `json:"batch"`
	Rate   float64 `json:"trailers_per_second"`
}

func (r benchResult) cell() benchCell { return benchCell{r.Engine, r.Cores, r.Batch} }

type benchCell struct {
	engine       string
	cores, batch int
}

type benchFlags struct {
	batches []int
	time    time.Duration
	rounds  int
	out     string
	json    bool
	compare bool
}

func newBench(a *app) *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure the engines, or compare two measurements",
		Long: `Bench measures how many trailers a second each engine checks, on one core and on
all, over batch sizes.  Engines take turns, so that what disturbs the machine
disturbs all of them, and the best of the rounds counts.  A cell that would take
too long is left out.

--out keeps the figures in a JSON file; --compare prints the ratios of two such
files.`,
		Example: `  kigo bench --out here.json
  kigo bench --compare there.json here.json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if f.compare {
				return cobra.ExactArgs(2)(cmd, args)
			}
			return cobra.NoArgs(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.compare {
				return benchCompare(cmd.OutOrStdout(), args[0], args[1], f.json)
			}
			for _, n := range f.batches {
				if n < 1 || n > 1<<22 {
					return usagef("--batch %d: want 1 to %d trailers", n, 1<<22)
				}
			}
			if f.time <= 0 || f.rounds < 1 {
				return usagef("--time %v and --rounds %d: want more than nothing", f.time, f.rounds)
			}
			return a.bench(cmd, &f)
		},
	}
	cmd.Flags().IntSliceVar(&f.batches, "batch", []int{1, 8, 54, 256, 1024, 4096, 65536}, "batch sizes in trailers")
	cmd.Flags().DurationVar(&f.time, "time", 200*time.Millisecond, "least time of one measurement")
	cmd.Flags().IntVar(&f.rounds, "rounds", 3, "measurements of each cell, the best counts")
	cmd.Flags().StringVar(&f.out, "out", "", "keep the result in this `FILE`")
	cmd.Flags().BoolVar(&f.json, "json", false, "print the result as JSON")
	cmd.Flags().BoolVar(&f.compare, "compare", false, "compare two result files A and B: rates of B divided by those of A")
	engineFlags{}.add(cmd)
	return cmd
}

func (a *app) bench(cmd *cobra.Command, f *benchFlags) error {
	workers := a.workers()
	result := &benchFile{
		Format:  benchFormat,
		Time:    time.Now().UTC().Truncate(time.Second),
		Build:   build(),
		Machine: benchMachine{CPU: strings.TrimSpace(cpuid.CPU.BrandName), Threads: runtime.GOMAXPROCS(0)},
	}
	b := &bencher{
		ctx:      cmd.Context(),
		flags:    f,
		trailers: benchTrailers(slices.Max(f.batches)),
		results:  make([]verify.Result, slices.Max(f.batches)),
		best:     map[benchCell]float64{},
	}
	states := a.surveyEngines(b.ctx, false)
	defer states.close(a.log)
	engines, err := a.benchEngines(states)
	if err != nil {
		return err
	}
	bar := newProgress(cmd.ErrOrStderr(), "measurements")
	coreCounts := slices.Compact([]int{1, workers})
	total := int64(f.rounds * len(coreCounts) * len(engines))
	var done int64
	for range f.rounds {
		for _, cores := range coreCounts {
			for _, e := range engines {
				if cores == workers || e.cpu != nil { // a GPU has its own
					if err := b.engine(e, cores); err != nil {
						return err
					}
				}
				done++
				bar.tell(done, total, e.name)
			}
		}
	}
	bar.done()
	for _, cores := range coreCounts {
		for _, e := range engines {
			for _, batch := range f.batches {
				if rate := b.best[benchCell{e.name, cores, batch}]; rate > 0 {
					result.Results = append(result.Results, benchResult{e.name, cores, batch, rate})
				}
			}
		}
	}
	if f.out != "" {
		if err := writeFile(cmd, f.out, func(w io.Writer) error { return writeJSON(w, result) }); err != nil {
			return err
		}
	}
	if f.json {
		return writeJSON(cmd.OutOrStdout(), result)
	}
	return printBench(cmd.OutOrStdout(), result)
}

// A benchEngine is an engine to measure: one of the processor, which is opened
// anew for each number of cores, or one that is open.
type benchEngine struct {
	name string
	cpu  *cpu.Engine
	open verify.Backend
}

// benchEngines returns the engines that the settings choose.
func (a *app) benchEngines(states engineStates) (engines []benchEngine, err error) {
	if err := a.missing(states); err != nil {
		return nil, err
	}
	cpus := map[string]*cpu.Engine{}
	for _, e := range cpu.Engines() {
		cpus[e.Name] = &e
	}
	for _, s := range states {
		switch {
		case s.Chosen:
			engines = append(engines, benchEngine{s.Name, cpus[s.Name], s.backend})
		case s.Available && a.wanted(s.Name):
			return nil, fmt.Errorf("engine %s: self-test %s", s.Name, s.SelfTest)
		}
	}
	if len(engines) == 0 {
		return nil, a.noEngine()
	}
	return engines, nil
}

// A bencher measures engines on the same trailers.
type bencher struct {
	ctx      context.Context
	flags    *benchFlags
	trailers []mcm.Trailer
	results  []verify.Result
	best     map[benchCell]float64 // trailers a second
}

// tooLong is how many times the least measuring time a single call may take.
const tooLong = 10

// engine measures all batch sizes of an engine once.
func (b *bencher) engine(e benchEngine, cores int) error {
	backend := e.open
	if e.cpu != nil {
		backend = e.cpu.Open(cpu.NewCores(cores))
		defer backend.Close()
	}
	var rate float64
	for _, batch := range b.flags.batches {
		if rate > 0 && float64(batch)/rate > tooLong*b.flags.time.Seconds() {
			continue
		}
		var err error
		if rate, err = b.measure(backend, batch); err != nil {
			return fmt.Errorf("engine %s: %w", e.name, err)
		}
		cell := benchCell{e.name, cores, batch}
		b.best[cell] = max(b.best[cell], rate)
	}
	return nil
}

// measure returns trailers a second over at least the measuring time, after a
// call to warm up.
func (b *bencher) measure(v verify.Verifier, batch int) (float64, error) {
	var start time.Time
	for calls := 0; ; calls++ {
		if calls == 1 {
			start = time.Now()
		} else if took := time.Since(start); calls > 1 && took >= b.flags.time {
			return float64((calls-1)*batch) / took.Seconds(), nil
		}
		from := calls * batch % (len(b.trailers) - batch + 1)
		if err := v.VerifyPoW(b.ctx, b.results[:batch], b.trailers[from:from+batch]); err != nil {
			return 0, err
		}
		if calls > 0 {
			continue
		}
		for i, r := range b.results[:batch] { // all are at difficulty 0
			if r.Verdict != verify.Valid {
				return 0, fmt.Errorf("trailer %d of %d: got %v, and it is valid", i, batch, r.Verdict)
			}
		}
	}
}

// benchTrailers returns worked trailers of Peach height that all need the whole
// check: haiku nonces over random bytes, at difficulty 0.
func benchTrailers(n int) []mcm.Trailer {
	r := rand.New(rand.NewPCG(1, 2))
	ts := make([]mcm.Trailer, n)
	for i := range ts {
		t := &ts[i]
		for j := range t {
			t[j] = byte(r.Uint32())
		}
		t.SetNum(mcm.V30Trigger + 1 + mcm.BlockNum(i))
		if t.Num().IsNeogenesis() {
			t.SetNum(mcm.V30Trigger + 1)
		}
		t.SetTxCount(1)
		t.SetDifficulty(0)
		pow.SetRandomNonce(t, r)
	}
	return ts
}

// printBench prints a table for each number of cores: batch sizes down, engines
// across, and how many times the slowest engine's rate each one reaches.
func printBench(w io.Writer, f *benchFile) error {
	fmt.Fprintf(w, "%s, %d threads; kigo %s, %s %s/%s\n", f.Machine.CPU, f.Machine.Threads, f.Build.Version, f.Build.Go, f.Build.OS, f.Build.Arch)
	rates := map[benchCell]float64{}
	var engines []string
	var cores, batches []int
	for _, r := range f.Results {
		rates[r.cell()] = r.Rate
		engines = appendNew(engines, r.Engine)
		cores = appendNew(cores, r.Cores)
		batches = appendNew(batches, r.Batch)
	}
	slices.Sort(batches)
	base := engines[len(engines)-1]
	for _, c := range cores {
		fmt.Fprintf(w, "\ntrailers a second on %s, and times the rate of %s\n\n", plural(int64(c), "core"), base)
		t := newTable(w)
		fmt.Fprintf(t, "BATCH\t%s\n", strings.ToUpper(strings.Join(engines, "\t\t")))
		for _, batch := range batches {
			row := []string{count(batch)}
			for _, e := range engines {
				rate := rates[benchCell{e, c, batch}]
				if rate == 0 {
					row = append(row, "-", "")
					continue
				}
				ratio := ""
				if b := nearest(rates, base, c, batch); b > 0 {
					ratio = fmt.Sprintf("×%.1f", rate/b)
				}
				row = append(row, count(int64(rate)), ratio)
			}
			fmt.Fprintln(t, strings.Join(row, "\t"))
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// nearest returns the rate of an engine at a batch size, or at the largest
// smaller one that was measured.
func nearest(rates map[benchCell]float64, engine string, cores, batch int) float64 {
	best, rate := -1, 0.0
	for c, r := range rates {
		if c.engine == engine && c.cores == cores && c.batch <= batch && c.batch > best {
			best, rate = c.batch, r
		}
	}
	return rate
}

func appendNew[T comparable](list []T, x T) []T {
	if slices.Contains(list, x) {
		return list
	}
	return append(list, x)
}

// A benchRatio is a cell that two results have in common.
type benchRatio struct {
	Engine string  `json:"engine"`
	Cores  int     `json:"cores"`
	Batch  int     `json:"batch"`
	A      float64 `json:"a"`
	B      float64 `json:"b"`
	Ratio  float64 `json:"ratio"`
}

func benchCompare(w io.Writer, nameA, nameB string, asJSON bool) error {
	a, err := readBench(nameA)
	if err != nil {
		return err
	}
	b, err := readBench(nameB)
	if err != nil {
		return err
	}
	rates := map[benchCell]float64{}
	for _, r := range a.Results {
		rates[r.cell()] = r.Rate
	}
	common := []benchRatio{}
	for _, r := range b.Results {
		if rate := rates[r.cell()]; rate > 0 {
			common = append(common, benchRatio{r.Engine, r.Cores, r.Batch, rate, r.Rate, r.Rate / rate})
		}
	}
	if len(common) == 0 {
		return usagef("%s and %s have no engine, core count and batch size in common", nameA, nameB)
	}
	if asJSON {
		return writeJSON(w, common)
	}
	fmt.Fprintf(w, "A  %s: %s, %s\nB  %s: %s, %s\n\n", nameA, a.Machine.CPU, a.Build.Version, nameB, b.Machine.CPU, b.Build.Version)
	t := newTable(w)
	fmt.Fprintln(t, "ENGINE\tCORES\tBATCH\tA\tB\tB/A")
	for _, r := range common {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\n", r.Engine, r.Cores, count(r.Batch), count(int64(r.A)), count(int64(r.B)), strconv.FormatFloat(r.Ratio, 'f', 2, 64))
	}
	return t.Flush()
}

func readBench(name string) (*benchFile, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, usagef("%v", err)
	}
	var f benchFile
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, usagef("%s is no result of kigo bench: %v", name, err)
	}
	if f.Format != benchFormat {
		return nil, usagef("%s has result format %d, this program reads %d", name, f.Format, benchFormat)
	}
	return &f, nil
}
