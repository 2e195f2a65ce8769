package main

import (
	"path/filepath"
	"testing"
)

func TestBench(t *testing.T) {
	out := filepath.Join(t.TempDir(), "bench.json")
	args := []string{"bench", "--batch", "1,9", "--time", "200ms", "--rounds", "1", "--engine", "lanes,portable", "--workers", "2"}
	table := kigo(t, append(args, "--out", out)...).want(t, 0)
	contains(t, "the table", table, "LANES", "PORTABLE", "1 core", "2 cores", "×")
	var f benchFile
	fromJSON(t, string(readFile(t, out)), &f)
	if len(f.Results) != 8 || f.Format != benchFormat || f.Machine.Threads < 1 || f.Build.Go == "" {
		t.Errorf("got %+v", f)
	}
	for _, r := range f.Results {
		if r.Rate <= 0 {
			t.Errorf("%+v has no rate", r)
		}
	}
	var ratios []benchRatio
	fromJSON(t, kigo(t, "bench", "--compare", "--json", out, out).want(t, 0), &ratios)
	if len(ratios) != 8 {
		t.Fatalf("%d ratios, want 8", len(ratios))
	}
	for _, r := range ratios {
		if r.Ratio != 1 {
			t.Errorf("%+v: a file is as fast as itself", r)
		}
	}
	contains(t, "the comparison", kigo(t, "bench", "--compare", out, out).want(t, 0), "B/A", "1.00")

	other := writeTemp(t, "other.json", []byte(`{"format": 99}`))
	o := kigo(t, "bench", "--compare", out, other)
	o.want(t, exitUsage)
	contains(t, "the error", o.stderr, "format 99")
}
