package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"kigo/cpu"
	"kigo/gpu"
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

	Hardware *gpu.Hardware `json:"hardware,omitempty"` // of a GPU

	backend verify.Backend
	took    time.Duration      // of the self-test
	class   verify.RetireClass // when it failed
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

// engineStates is all engines there are, in the order of preference.
type engineStates []engineState

// surveyEngines looks at every engine there is, opens those that the machine can
// run, and has those that all or the settings name give their known answers, side
// by side.  The caller closes what is open.
func (a *app) surveyEngines(ctx context.Context, all bool) engineStates {
	cores := cpu.NewCores(a.workers())
	var gpus, cpus engineStates
	for _, e := range cpu.Engines() {
		s := engineState{Name: e.Name, Detail: e.Detail, Reason: e.Reason, Available: e.Available, SelfTest: "not run"}
		if e.Available {
			s.backend = e.Open(cores)
		}
		cpus = append(cpus, s)
	}
	var wg sync.WaitGroup
	wg.Go(func() { gpus = a.surveyGPUs(ctx, all) })
	for i := range cpus {
		s := &cpus[i]
		if s.backend != nil && (all || a.wanted(s.Name) || s.Name == oracleName) {
			wg.Go(func() { s.test(ctx) })
		}
	}
	wg.Wait()
	states := append(gpus, cpus...)
	for i := range states {
		s := &states[i]
		s.Chosen = s.SelfTest == "ok" && a.wanted(s.Name)
	}
	return states
}

// close closes the engines that are open.
func (states engineStates) close(log *slog.Logger) {
	for _, s := range states {
		if s.backend != nil {
			if err := s.backend.Close(); err != nil {
				log.Warn("engine does not close", "backend", s.Name, "err", err)
			}
		}
	}
}

// workers returns how many cores the settings allow.
func (a *app) workers() int {
	return cmp.Or(a.conf.Verify.Workers, runtime.GOMAXPROCS(0))
}

func (s *engineState) test(ctx context.Context) {
	start := time.Now()
	s.SelfTest = "ok"
	if err := verify.SelfTest(ctx, s.backend); err != nil {
		s.SelfTest, s.class = failed+innermost(err).Error(), verify.KnownAnswer
		if r := (*verify.RetiredError)(nil); errors.As(err, &r) {
			s.class = r.Class
		}
	}
	s.took = time.Since(start)
}

// innermost returns what a backend says is wrong, without the words of those who
// passed it on.
func innermost(err error) error {
	var retired *verify.RetiredError
	var backend *verify.BackendError
	switch {
	case errors.As(err, &retired):
		return errors.New(retired.Reason)
	case errors.As(err, &backend):
		return innermost(backend.Err)
	}
	return err
}

// wanted reports whether the settings let an engine be used.
func (a *app) wanted(name string) bool {
	v := &a.conf.Verify
	return !names(v.Disable, name) && (len(v.Engine) == 0 || names(v.Engine, name))
}

// names reports whether a list from the settings names an engine; cuda names all
// of cuda:0, cuda:1 and so on.
func names(list []string, engine string) bool {
	return slices.ContainsFunc(list, func(name string) bool {
		return name == engine || strings.HasPrefix(engine, name+":")
	})
}

// missing returns an error if the settings ask for an engine by name that they
// also disable, or that can't be used here.
func (a *app) missing(states engineStates) error {
	v := &a.conf.Verify
	for _, name := range v.Engine {
		if names(v.Disable, name) {
			return usagef("engine %s is asked for and disabled too (verify.disable)", name)
		}
		usable, reason := false, "the machine has no such device, or it is disabled"
		for _, s := range states {
			switch {
			case !names([]string{name}, s.Name) && !(s.Name == cudaName && isGPU(name)):
			case s.Available:
				usable = true
			default:
				reason = s.Reason
			}
		}
		if !usable {
			return usagef("engine %s can't be used here: %s; kigo devices lists those that can", name, reason)
		}
	}
	return nil
}

// openEngines opens what the settings ask for.  An engine that was asked for by
// name and can't be used is an error; one that fails its self-test is left out,
// loudly.
func (a *app) openEngines(ctx context.Context) (*engines, error) {
	states := a.surveyEngines(ctx, false)
	e, err := a.useEngines(ctx, states)
	if err != nil {
		states.close(a.log)
		return nil, err
	}
	return e, nil
}

// useEngines puts the engines chosen behind a router and closes the others.
func (a *app) useEngines(ctx context.Context, states engineStates) (*engines, error) {
	if ctx.Err() != nil {
		return nil, verify.Interrupted(ctx)
	}
	oracle := states[slices.IndexFunc(states, func(s engineState) bool { return s.Name == oracleName })]
	if oracle.SelfTest != "ok" {
		return nil, fmt.Errorf("engine %s, which every other is held against, can't be trusted: self-test %s", oracleName, oracle.SelfTest)
	}
	if err := a.missing(states); err != nil {
		return nil, err
	}
	e := &engines{work: map[string]bool{}}
	var backends, bare []verify.Backend
	var unused engineStates
	for _, s := range states {
		if s.Chosen {
			backends = append(backends, e.watch(s.backend, oracle.backend, a))
			bare = append(bare, s.backend)
			continue
		}
		if s.Name != oracleName { // which is asked even when it isn't chosen
			unused = append(unused, s)
		}
		switch {
		case strings.HasPrefix(s.SelfTest, failed):
			a.log.Error("engine fails its known answers and is not used", "backend", s.Name, "err", s.SelfTest)
			if a.metrics != nil {
				a.metrics.Retired(s.Name, s.class)
			}
		case isDevice(s.Name) && !s.Available:
			a.log.Warn("GPU can't be used", "backend", s.Name, "device", s.Detail, "err", s.Reason)
		}
	}
	if len(backends) == 0 {
		return nil, a.noEngine()
	}
	unused.close(a.log)
	e.Router = verify.NewRouter(a.log, a.metrics, backends...)
	e.miner = verify.NewRouter(a.log, nil, bare...) // closed with the other
	return e, nil
}

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

// distrusted reports whether an engine was found to compute wrongly: then what it
// has called valid before may be wrong too.
func (e *engines) distrusted() bool { return e.Wrong() > 0 }

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
