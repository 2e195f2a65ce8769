package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"kigo/gpu"
	"kigo/node/tfile"
)

// cudaName is the engine on GPUs.  Each device is an engine of its own, cuda:0 and
// so on; the name alone stands for all of them.
const cudaName = "cuda"

// isGPU reports whether a name is that of a GPU, or of all.
func isGPU(name string) bool { return name == cudaName || isDevice(name) }

// isDevice reports whether a name is that of one GPU.
func isDevice(name string) bool { return strings.HasPrefix(name, cudaName+":") }

// wantsGPUs reports whether the settings let any GPU be used.  If not, none is
// looked at: the driver takes some tenths of a second to start.
func (a *app) wantsGPUs() bool {
	v := &a.conf.Verify
	return !names(v.Disable, cudaName) && (len(v.Engine) == 0 || slices.ContainsFunc(v.Engine, isGPU))
}

// surveyGPUs opens the GPUs that all or the settings name, and has them give their
// known answers.  When there is none, one state says why.
func (a *app) surveyGPUs(ctx context.Context, all bool) engineStates {
	if !all && !a.wantsGPUs() {
		return nil
	}
	devices, err := gpu.Open(ctx, gpu.Options{
		Use:     func(name string) bool { return all || a.wanted(name) },
		Metrics: a.gpuMetrics,
	})
	var states engineStates
	for _, d := range devices {
		info := d.Info()
		s := engineState{Name: info.Name, Detail: info.Detail, Available: true, SelfTest: "not run", backend: d}
		if about, ok := d.(interface{ Hardware() gpu.Hardware }); ok {
			hardware := about.Hardware()
			s.Hardware = &hardware
		}
		states = append(states, s)
	}
	for _, e := range unopened(err) {
		states = append(states, engineState{Name: e.Device, Detail: e.Detail, SelfTest: "not run", Reason: reason(e.Err), Hardware: &e.Hardware})
	}
	if len(states) == 0 && (all || err != nil) {
		return engineStates{{Name: cudaName, Detail: "NVIDIA GPUs", SelfTest: "not run", Reason: reason(err)}}
	}
	slices.SortFunc(states, func(a, b engineState) int { // 2 before 10
		return cmp.Or(cmp.Compare(len(a.Name), len(b.Name)), cmp.Compare(a.Name, b.Name))
	})
	var wg sync.WaitGroup
	for i := range states {
		if s := &states[i]; s.backend != nil {
			wg.Go(func() { s.test(ctx) })
		}
	}
	wg.Wait()
	return states
}

// gpuBatch is how many trailers a command hands over at a time for each GPU: enough
// for the router to find that sharing them between GPUs is worth it.  Ten times
// less would have GPUs wait for their slowest steps most of the time, ten
// times more would be ten times the memory.
const gpuBatch = 150 * tfile.PieceTrailers

// batch returns how many trailers to hand over at a time, 0 when the usual number
// will do.
func (e *engines) batch() int {
	gpus := 0
	for _, s := range e.Status() {
		if isDevice(s.Info.Name) {
			gpus++
		}
	}
	return min(gpus, 8) * gpuBatch
}

// unopened returns what gpu.Open says of devices that can't be used.
func unopened(err error) (all []*gpu.OpenError) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range joined.Unwrap() {
			all = append(all, unopened(err)...)
		}
		return all
	}
	if e := (*gpu.OpenError)(nil); errors.As(err, &e) {
		all = append(all, e)
	}
	return all
}

// reason says for people why there is no GPU, and what can be done where we know.
func reason(err error) string {
	switch {
	case err == nil:
		return "the driver lists no device"
	case errors.Is(err, gpu.ErrNotBuilt):
		return "this program was built without CUDA; build it without NO_CUDA=1"
	}
	return strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\n", "; "), "gpu: ")
}
