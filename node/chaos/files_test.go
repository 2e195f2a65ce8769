package chaos

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"kigo/node/fault"
	"kigo/node/mcm"
)

// A first is where the trailers that a peer serves begin to differ from the honest
// ones, by index from the world's first block, and what the reply was found to be.
type first struct {
	at    func(w *World) int // nil: they don't
	fault fault.Kind
}

// What kinds that lie about their chain serve below their proof, in a range and as a
// file.  The proof is good.
func TestFileKindsOverSockets(t *testing.T) {
	for kind, want := range map[string]first{
		"honest":           {},
		"file-stale":       {},
		"file-advanced":    {},
		"file-forged-tail": {at: func(w *World) int { return w.tip - tailDepth + 1 }},
		"file-forged-head": {at: func(*World) int { return 1 }},    // a neogenesis block has nothing to change
		"file-bad-work":    {at: func(w *World) int { return -1 }}, // somewhere
		"file-not-proof":   {at: func(w *World) int { return w.v3 }},
		"file-swapped":     {},
		"file-endless":     {fault: fault.TooLong},
		"file-cut":         {fault: fault.ShortReply},
		"file-odd":         {fault: fault.NotMultiple},
		"legacy-altered":   {at: func(w *World) int { return -1 }},
		"legacy-other":     {at: func(w *World) int { return w.v3 - otherPast }},
		"legacy-wrapped":   {at: func(*World) int { return 0 }},
	} {
		t.Run(kind, func(t *testing.T) {
			w := oldWorld()
			f := newFleetOf(t, w, []Assignment{{address(0), kind}})
			c := client(f)
			call, err := c.Call(t.Context(), address(0))
			if err != nil {
				t.Fatal(err)
			}
			tip := call.Claim()
			proof, err := call.Trailers(t.Context(), tip.Num+1-segment, segment)
			if err != nil || *proof[segment-1].Hash() != tip.Hash {
				t.Fatalf("no proof of its tip: %v", err)
			}
			count := w.tip - segment - 10
			call, err = c.Call(t.Context(), address(0))
			if err != nil {
				t.Fatal(err)
			}
			ts, err := call.Trailers(t.Context(), w.Base.Num, count)
			if got := faultOf(t, err); got != want.fault {
				t.Errorf("the range: %q (%v), want %q", got, err, want.fault)
			}
			if err == nil {
				wantFrom(t, w, ts, want)
			}
			if kind == "file-swapped" {
				want = first{at: func(w *World) int { return w.v3 }}
			}
			call, err = c.Call(t.Context(), address(0))
			if err != nil {
				t.Fatal(err)
			}
			var file bytes.Buffer
			n, err := call.TFile(t.Context(), int64(w.tip+2)*mcm.TrailerLen, &file)
			long := want.fault == fault.TooLong // than we take, which is our limit and no fault
			if (err != nil) != long {
				t.Errorf("the file: %v", err)
			}
			switch whole := int64(tip.Num-w.Base.Num+1) * mcm.TrailerLen; {
			case long:
				return
			case want.fault != "" && n >= whole, want.fault == "" && kind != "file-advanced" && n != whole:
				t.Errorf("a file of %d bytes, the chain has %d", n, whole)
			}
			if want.fault == "" {
				wantFrom(t, w, mcm.Trailers(file.Bytes())[:count], want)
			}
			lies := int64(2)
			switch {
			case lookUp(kind).Family == Honest:
				lies = 0
			case kind == "file-swapped": // every other time
				lies = 1
			}
			// A peer sees that its lie was heard a moment later.
			for until := time.Now().Add(10 * time.Second); f.Stats()[0].Lies < lies && time.Now().Before(until); {
				time.Sleep(time.Millisecond)
			}
			if s := f.Stats()[0]; s.Deep != 2 || s.Ranges != 2 || s.Lies != lies {
				t.Errorf("counted %d ranges, %d deep ones, %d lies; want 2, 2, %d", s.Ranges, s.Deep, s.Lies, lies)
			}
		})
	}
}

// wantFrom fails unless trailers from the world's first block on are the honest ones
// up to where they should be.
func wantFrom(t *testing.T, w *World, ts []mcm.Trailer, want first) {
	t.Helper()
	honest := w.main.trailers[:len(ts)]
	at := 0
	for at < len(ts) && ts[at] == honest[at] {
		at++
	}
	switch {
	case want.at == nil:
		if !slices.Equal(ts, honest) {
			t.Errorf("other trailers than the honest ones from index %d on", at)
		}
	case at == len(ts):
		t.Error("serves the honest trailers")
	case want.at(w) >= 0 && at != want.at(w):
		t.Errorf("other trailers than the honest ones from index %d on, want %d", at, want.at(w))
	}
}
