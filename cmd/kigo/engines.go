package main

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"kigo/cpu"
	"kigo/node/mcm"
	"kigo/node/verify"
)

// engineFlags are the flags of commands that check proof of work.  Their values
// are read as settings.
type engineFlags struct{}

func (engineFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringSlice("engine", nil, "use only this engine, by `NAME`; may be given again: "+strings.Join(engineNames(), ", "))
	cmd.Flags().Int("workers", 0, "processor cores to use (default: all)")
}

// An engineState is an engine and what came of trying to use it.
type engineState struct {
	Name      string `json:"name"`
	Available bool   `json:"available"`
	Reason    string `json:"reason,omitempty"` // why not available
	Detail    string `json:"detail"`
	SelfTest  string `json:"self_test"` // ok, failed: …, or not run
	Chosen    bool   `json:"chosen"`    // in use with the settings in force

	backend verify.Backend
	took    time.Duration // of the self-test
}

// engines is the open engines behind a router: each but the oracle watched by
// it.
type engines struct {
	*verify.Router
	// miner is the same engines unwatched.  Nearly all that a search for nonces
	// asks is answered bad, and the oracle would have to repeat it.
	miner verify.Verifier

	mu   sync.Mutex
	work map[string]bool // names of engines that have checked something
}

// surveyEngines looks at every engine there is, opens those that the machine can
// run, and has those that all or the settings name give their known answers, side
// by side.
func (a *app) surveyEngines(ctx context.Context, all bool) []engineState {
	cores := cpu.NewCores(a.workers())
	var states []engineState
	for _, e := range cpu.Engines() {
		s := engineState{Name: e.Name, Detail: e.Detail, Reason: e.Reason, Available: e.Available, SelfTest: "not run"}
		if e.Available {
			s.backend = e.Open(cores)
		}
		states = append(states, s)
	}
	var wg sync.WaitGroup
	for i := range states {
		s := &states[i]
		if s.backend != nil && (all || a.wanted(s.Name) || s.Name == oracleName) {
			wg.Go(func() { s.test(ctx) })
		}
	}
	wg.Wait()
	for i := range states {
		s := &states[i]
		s.Chosen = s.SelfTest == "ok" && a.wanted(s.Name)
	}
	return append(states, engineState{
		Name: cudaName, Detail: "NVIDIA GPUs", SelfTest: "not run", Reason: cudaReason,
	})
}

// workers returns how many cores the settings allow.
func (a *app) workers() int {
	return cmp.Or(a.conf.Verify.Workers, runtime.GOMAXPROCS(0))
}

func (s *engineState) test(ctx context.Context) {
	start := time.Now()
	s.SelfTest = "ok"
	if err := verify.SelfTest(ctx, s.backend); err != nil {
		s.SelfTest = failed + err.Error()
	}
	s.took = time.Since(start)
}

// wanted reports whether the settings let an engine be used.
func (a *app) wanted(name string) bool {
	v := &a.conf.Verify
	return !names(v.Disable, name) && (len(v.Engine) == 0 || names(v.Engine, name))
}

// names reports whether a list from the settings names an engine; cuda:0 names
// cuda, of which it is a part.
func names(list []string, engine string) bool {
	return slices.ContainsFunc(list, func(name string) bool {
		kind, _, _ := strings.Cut(name, ":")
		return kind == engine
	})
}

// missing returns an error if the settings ask for an engine by name that they
// also disable, or that can't be used here for a reason.
func (a *app) missing(name, reason string) error {
	v := &a.conf.Verify
	switch {
	case !names(v.Engine, name):
		return nil
	case names(v.Disable, name):
		return usagef("engine %s is asked for and disabled too (verify.disable)", name)
	case reason != "":
		return usagef("engine %s can't be used here: %s; kigo devices lists those that can", name, reason)
	}
	return nil
}

// openEngines opens what the settings ask for.  An engine that was asked for by
// name and can't be used is an error; one that fails its self-test is left out,
// loudly.
func (a *app) openEngines(ctx context.Context) (*engines, error) {
	states := a.surveyEngines(ctx, false)
	if ctx.Err() != nil {
		return nil, verify.Interrupted(ctx)
	}
	oracle := states[slices.IndexFunc(states, func(s engineState) bool { return s.Name == oracleName })]
	if oracle.SelfTest != "ok" {
		return nil, fmt.Errorf("engine %s, which every other is held against, can't be trusted: self-test %s", oracleName, oracle.SelfTest)
	}
	e := &engines{work: map[string]bool{}}
	var backends, bare []verify.Backend
	for _, s := range states {
		if err := a.missing(s.Name, s.Reason); err != nil {
			return nil, err
		}
		switch {
		case s.Chosen:
			backends = append(backends, e.watch(s.backend, oracle.backend, a))
			bare = append(bare, s.backend)
		case strings.HasPrefix(s.SelfTest, failed):
			a.log.Error("engine fails its known answers and is not used", "backend", s.Name, "err", s.SelfTest)
		}
	}
	if len(backends) == 0 {
		return nil, a.noEngine()
	}
	e.Router = verify.NewRouter(a.log, a.metrics, backends...)
	e.miner = verify.NewRouter(a.log, nil, bare...) // closed with the other
	return e, nil
}

// The engine to come.
const (
	cudaName   = "cuda"
	cudaReason = "not built: this version of Kigo has no CUDA engine"
)

// failed begins what is said of an engine that errs on known answers.
const failed = "failed: "

// oracleName is the engine that audits the others.
const oracleName = "portable"

func (a *app) noEngine() error {
	return usagef("no engine is left: verify.engine names %s, verify.disable %s", list(a.conf.Verify.Engine), list(a.conf.Verify.Disable))
}

// watch returns a backend whose use is noted and whose verdicts the oracle
// audits, unless it is the oracle itself.
func (e *engines) watch(b verify.Backend, oracle verify.Verifier, a *app) verify.Backend {
	b = &noted{b, e}
	if b.Info().Name == oracleName {
		return b
	}
	return verify.Audited(b, oracle, verify.AuditOptions{Sample: a.conf.Verify.AuditRate, Log: a.log, Metrics: a.metrics})
}

// distrusted reports whether an engine was found out: then what it has called
// valid before may be wrong too.
func (e *engines) distrusted() bool {
	return slices.ContainsFunc(e.Status(), func(s verify.Status) bool { return s.Retired })
}

// noted notes that a backend has been used.
type noted struct {
	verify.Backend
	engines *engines
}

func (n *noted) VerifyPoW(ctx context.Context, dst []verify.Result, batch []mcm.Trailer) error {
	n.engines.mu.Lock()
	n.engines.work[n.Info().Name] = true
	n.engines.mu.Unlock()
	return n.Backend.VerifyPoW(ctx, dst, batch)
}

// names lists the engines that have checked something, sorted.  It is empty,
// not nil, when there are none.
func (e *engines) names() []string {
	names := []string{}
	if e == nil {
		return names
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for name := range e.work {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// used says for a progress line which engines are at work.
func (e *engines) used() string { return list(e.names()) }

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func newDevices(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "devices",
		Short: "List engines and hardware, with self-test",
		Long: `Devices lists every engine, whether this machine can run it and why not, and
whether it gives the known answers.  The first usable one in the list is
preferred; small batches go to the engine that is quickest with them.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			states := a.surveyEngines(cmd.Context(), true)
			if err := verify.Interrupted(cmd.Context()); err != nil {
				return err
			}
			if asJSON {
				if err := writeJSON(cmd.OutOrStdout(), states); err != nil {
					return err
				}
			} else if err := printDevices(cmd, states); err != nil {
				return err
			}
			for _, s := range states {
				if s.Available && s.SelfTest != "ok" {
					return fmt.Errorf("engine %s fails its self-test", s.Name)
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON list")
	engineFlags{}.add(cmd)
	return cmd
}

func printDevices(cmd *cobra.Command, states []engineState) error {
	t := newTable(cmd.OutOrStdout())
	fmt.Fprintln(t, "ENGINE\tUSED\tSELF-TEST\tWHAT IT IS")
	for _, s := range states {
		use, detail := "no", s.Detail
		if s.Chosen {
			use = "yes"
		}
		test := s.SelfTest
		if s.backend != nil {
			test = fmt.Sprintf("%s, %s", test, s.took.Round(100*time.Microsecond))
		}
		switch {
		case !s.Available:
			detail += " (" + s.Reason + ")"
		case !s.Chosen && s.SelfTest == "ok":
			detail += " (switched off)"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", s.Name, use, test, detail)
	}
	return t.Flush()
}
