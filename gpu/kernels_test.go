//go:build cuda

package gpu

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"testing"
	"time"
	"unsafe"

	"kigo/gpu/internal/driver"
	"kigo/kernels/yardstick"
	"kigo/node/mcm"
	"kigo/node/verify/verifytest"
)

// onDevice runs f with a context on the first device.
func onDevice(t *testing.T, f func(c *driver.Context)) {
	t.Helper()
	err := driver.Init()
	var found []driver.Device
	if err == nil {
		found, err = driver.Devices()
	}
	verifytest.Require(t, "cuda", err == nil && len(found) > 0, fmt.Sprint("no GPU and not the fake driver: ", err))
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c, err := found[0].Open()
	must(t, err)
	f(c)
	must(t, c.Close())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// yardstickImage is the plain kernel's code, or some image for the fake driver.
func yardstickImage() string {
	image, err := yardstick.Image()
	if err != nil {
		return "no image"
	}
	return image
}

// TestYardstick has the plain kernel, one thread for each trailer from start to
// end, as a second opinion on the vectors; and measures it, for what the queues
// are worth.
func TestYardstick(t *testing.T) {
	if yardstickImage() == "no image" {
		fake(t)
	}
	var trailers []mcm.Trailer
	var want []mcm.Hash
	for _, v := range verifytest.Vectors(t) {
		if v.Peach() && !v.NoHash {
			trailers, want = append(trailers, v.Trailer), append(want, v.Want.Hash)
		}
	}
	batch, plain := trailers, 0.0
	if *rowsFile != "" {
		batch = work(t, *aBatch)
	}
	onDevice(t, func(c *driver.Context) {
		module, err := c.Load(yardstickImage())
		must(t, err)
		kernel, err := module.Function("kigo_simple")
		must(t, err)
		stream, err := c.NewStream()
		must(t, err)
		n := int64(max(len(batch), len(trailers)))
		on, err := c.Alloc(n * mcm.TrailerLen)
		must(t, err)
		hashes, err := c.Alloc(n * mcm.HashLen)
		must(t, err)
		in, err := c.AllocPinned(n * mcm.TrailerLen)
		must(t, err)
		out, err := c.AllocPinned(n * mcm.HashLen)
		must(t, err)
		run := func(trailers []mcm.Trailer) {
			copy(in, mcm.Bytes(trailers))
			must(t, stream.Upload(on, in, int64(len(trailers))*mcm.TrailerLen))
			must(t, stream.Launch(kernel, divUp(len(trailers), threads), threads, on.Arg(0), hashes.Arg(0), uint64(len(trailers))))
			must(t, stream.Download(out, hashes, int64(len(trailers))*mcm.HashLen))
			must(t, stream.Synchronize())
		}
		run(trailers)
		for i, hash := range unsafe.Slice((*mcm.Hash)(unsafe.Pointer(unsafe.SliceData(out))), len(want)) {
			if hash != want[i] {
				t.Errorf("trailer %d: got %v, want %v", i, hash, want[i])
				break
			}
		}
		if *rowsFile != "" {
			start, calls := time.Now(), 0
			for ; calls == 0 || time.Since(start) < *leastTime; calls++ {
				run(batch)
			}
			plain = float64(calls*len(batch)) / time.Since(start).Seconds()
			row(t, "yardstick", len(batch), plain)
		}
		must(t, in.Free())
		must(t, out.Free())
		must(t, on.Free())
		must(t, hashes.Free())
		must(t, stream.Free())
	})
	if *rowsFile != "" {
		engine := rate(t, devices(t, options(0))[0], batch)
		row(t, "cuda:0", len(batch), engine)
		t.Logf("the engine is %.2f times as fast as the yardstick", engine/plain)
	}
}

// hashNames are the hash functions by the number of their queue.
var hashNames = [queues]string{"blake2b-a", "blake2b-b", "sha1", "sha256", "sha3", "keccak", "md2", "md5"}

// TestMeasureKernels measures what each kernel does in a batch, by the clock of
// the host around each launch, and a row of each hash function alone.
func TestMeasureKernels(t *testing.T) {
	measuring(t)
	batch := work(t, *aBatch)
	onDevice(t, func(c *driver.Context) {
		o := setup{options(2 * len(batch)), streams, threads, patience}
		if o.Image == "" {
			o.Image = image(t)
		}
		slots, err := makeSlots(c, o)
		must(t, err)
		s := slots[0]
		batch = batch[:min(len(batch), s.capacity)]
		took := map[string]time.Duration{}
		timed := func(what string, f func() error) {
			start := time.Now()
			must(t, f())
			must(t, s.stream.Synchronize())
			took[what] += time.Since(start)
		}
		pass := func() {
			s.take(context.Background(), len(batch), func(trailers []mcm.Trailer) { copy(trailers, batch) })
			timed("upload and init", s.first)
			for s.tile = 0; s.tile < tiles; s.tile++ {
				for r := range rows {
					timed("rows", func() error { return s.row(r) })
				}
				if s.tile < tiles-1 {
					timed("jumps", s.jump)
				}
			}
			timed("final and download", s.last)
			if _, wrong, what := s.result(); wrong > 0 {
				t.Fatal(what)
			}
		}
		pass() // to warm up
		clear(took)
		pass()
		var all time.Duration
		for _, d := range took {
			all += d
		}
		for _, what := range slices.Sorted(maps.Keys(took)) {
			d := took[what]
			row(t, "kernel "+what, len(batch), float64(len(batch))/d.Seconds())
			t.Logf("%s: %.1f %% of %v", what, 100*d.Seconds()/all.Seconds(), all)
		}
		s.hashAlone(t, c)
		must(t, freeSlots(slots))
	})
}

// hashAlone measures a row in which all trailers wait in one queue.  What they
// hash is what is left of the batch before.
func (s *slot) hashAlone(t *testing.T, c *driver.Context) {
	t.Helper()
	counts, err := c.AllocPinned((steps + 1) * countsLen)
	must(t, err)
	waiting, err := c.AllocPinned(int64(s.n) * queuesLen)
	must(t, err)
	places := unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(waiting))), queues*s.n)
	for i := range places {
		places[i] = uint32(i % s.n)
	}
	for q, name := range hashNames {
		clear(counts)
		binary.LittleEndian.PutUint32(counts[countsLen+4*q:], uint32(s.n))
		var took time.Duration
		calls := 0
		for ; calls < 2 || took < *leastTime; calls++ {
			must(t, s.stream.Upload(s.counts, counts, int64(len(counts))))
			must(t, s.stream.Upload(s.queues[1], waiting, int64(len(waiting))))
			must(t, s.stream.Synchronize())
			start := time.Now()
			s.tile = 0
			must(t, s.row(1))
			must(t, s.stream.Synchronize())
			took += time.Since(start)
		}
		row(t, "kernel row of "+name, s.n, float64(calls*s.n)/took.Seconds())
	}
	must(t, counts.Free())
	must(t, waiting.Free())
}
