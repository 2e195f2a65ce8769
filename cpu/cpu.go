package cpu

import (
	"kigo/cpu/internal/engine"
	"kigo/cpu/lanes"
	"kigo/cpu/portable"
	"kigo/cpu/simd/avx2"
	"kigo/cpu/simd/avx512"
	"kigo/node/verify"
)

// An Engine is a way to check proof of work on the processor, whether or not
// this machine can run it.
type Engine struct {
	verify.Info
	// Available says whether the machine can run it, Reason why not.
	Available bool
	Reason    string

	kernel func() engine.Kernel
}

// Engines lists all engines, the fastest first.  The last is portable, which
// every machine can run.
func Engines() []Engine {
	return []Engine{
		simd(verify.Info{
			Name:     "avx512",
			Detail:   "C, AVX-512 F BW DQ VL VBMI VBMI2 VNNI",
			Lanes:    avx512.Lanes,
			MinBatch: 32,
			Chunk:    avx512.Chunk,
		}, avx512.Supported, func() engine.Kernel { return avx512.New() }),
		simd(verify.Info{
			Name:     "avx2",
			Detail:   "C, AVX2",
			Lanes:    avx2.Lanes,
			MinBatch: 48,
			Chunk:    avx2.Chunk,
		}, avx2.Supported, func() engine.Kernel { return avx2.New() }),
		{
			Info: verify.Info{
				Name:     "lanes",
				Detail:   "pure Go, several checks interleaved",
				Lanes:    lanes.Lanes,
				MinBatch: 1,
				Chunk:    lanes.Chunk,
			},
			Available: true,
			kernel:    func() engine.Kernel { return lanes.New() },
		},
		{
			Info: verify.Info{
				Name:     "portable",
				Detail:   "pure Go, one check at a time; the oracle",
				Lanes:    1,
				MinBatch: 1,
				Chunk:    portable.Chunk,
			},
			Available: true,
			kernel:    func() engine.Kernel { return portable.New() },
		},
	}
}

func simd(info verify.Info, supported func() (bool, string), kernel func() engine.Kernel) Engine {
	ok, reason := supported()
	return Engine{Info: info, Available: ok, Reason: reason, kernel: kernel}
}

// Cores is the right to use processor cores; engines opened on the same Cores
// take turns.
type Cores = engine.Cores

// NewCores returns n cores, at least one.
func NewCores(n int) *Cores { return engine.NewCores(n) }

// Open returns the engine as a backend on the given cores.  It panics when the
// engine isn't available.
func (e Engine) Open(cores *Cores) verify.Backend {
	if !e.Available {
		panic("cpu: open of engine " + e.Name + ", which is not available: " + e.Reason)
	}
	info := e.Info
	info.Device = "cpu"
	return engine.New(info, cores, e.kernel)
}
