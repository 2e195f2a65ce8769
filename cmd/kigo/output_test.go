package main

import (
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestCountOfLargeNumbers(t *testing.T) {
	if got := count(uint64(math.MaxUint64)); got != "18,446,744,073,709,551,615" {
		t.Errorf("got %s", got)
	}
	if got := count(999); got != "999" {
		t.Errorf("got %s", got)
	}
}

func TestProgressLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		p := newProgress(&out, "trailers")
		for range 250 { // 25 s
			time.Sleep(100 * time.Millisecond)
			p.tell(p.past[len(p.past)-1].done+1, 1000, "lanes")
		}
		p.done()
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 2 || strings.Contains(out.String(), "\r") {
			t.Errorf("25 s off a terminal print %q, want a line every 10 s", out.String())
		}
	})
}

func TestProgressBarFitsTheTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		p := newProgress(&out, "trailers")
		p.width = 60
		const total = 1_100_000
		// Cheap trailers first, then dear ones: time left follows.
		done := int64(0)
		for i := range 600 {
			time.Sleep(100 * time.Millisecond)
			if done += 1000; i < 300 {
				done += 1000
			}
			p.tell(done, total, "avx512, a long note that does not fit")
		}
		for line := range strings.SplitSeq(out.String(), "\r") {
			if n := len([]rune(line)); n >= p.width {
				t.Fatalf("a bar of %d columns on a terminal of %d: %q", n, p.width, line)
			}
		}
		if strings.Contains(out.String(), "\n") {
			t.Error("the bar scrolls")
		}
		p.width = 200
		time.Sleep(time.Second)
		p.tell(done, total, "avx512")
		last := out.String()[strings.LastIndex(out.String(), "\r")+1:]
		contains(t, "the bar", last, "█", "of 1,100,000 trailers, ", "/s", "avx512")
		p.done()
		if !strings.HasSuffix(out.String(), "\r") {
			t.Error("the bar stays on the screen")
		}
	})
}

func TestProgressRateFollows(t *testing.T) {
	start := time.Now()
	p := &progress{what: "trailers", past: []mark{{start, 0}}}
	at := func(seconds int, done int64) string {
		return p.text(start.Add(time.Duration(seconds)*time.Second), done, 100_000, "")
	}
	at(10, 50_000) // 5,000/s
	for s := 11; s < 30; s++ {
		at(s, 50_000+int64(s-10)*100)
	}
	if got := at(30, 52_000); got != "52,000 of 100,000 trailers, 100/s, 8m0s left" {
		t.Errorf("got %q", got)
	}
}
