package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/term"
)

// newTable returns a writer that aligns tab-separated cells.
func newTable(w io.Writer) *tabwriter.Writer {
	return tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
}

// writeJSON writes one object, indented for people.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// count writes a number with commas.
func count[T ~int | ~int64 | ~uint64](n T) string { return humanize.Comma(int64(n)) }

// perSecond writes a rate.
func perSecond(n int64, d time.Duration) string {
	if d <= 0 {
		return "-"
	}
	return count(int64(float64(n)/d.Seconds())) + "/s"
}

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// A paint is an ANSI attribute; the empty one leaves text alone.
type paint string

// A palette is the paints in use, none where nobody sees them.
type palette struct{ bold, dim, good, bad, accent, off paint }

// paletteFor returns colours for a terminal, unless NO_COLOR is set.
func paletteFor(w io.Writer) palette {
	if !isTerminal(w) || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return palette{}
	}
	return palette{bold: "\x1b[1m", dim: "\x1b[2m", good: "\x1b[32m", bad: "\x1b[31m", accent: "\x1b[36m", off: "\x1b[0m"}
}

// lineEvery is how often progress is told where no bar can be drawn.
const lineEvery = 10 * time.Second

// A progress tells on stderr how far a long command is: a bar on a terminal, a
// line every 10 s elsewhere.
type progress struct {
	w     io.Writer
	bar   bool
	what  string // of which there are done and total
	began time.Time
	told  time.Time
	drawn int // columns of the bar that is on the screen
}

func newProgress(w io.Writer, what string) *progress {
	now := time.Now()
	return &progress{w: w, bar: isTerminal(w), what: what, began: now, told: now}
}

// tell says that done of total are through; total is -1 when nobody knows.  note
// is added at the end.
func (p *progress) tell(done, total int64, note string) {
	now := time.Now()
	every := lineEvery
	if p.bar {
		every = 100 * time.Millisecond
	}
	if now.Sub(p.told) < every {
		return
	}
	p.told = now
	elapsed := now.Sub(p.began)
	parts := []string{fmt.Sprintf("%s %s", count(done), p.what)}
	if total > 0 {
		parts[0] = fmt.Sprintf("%s of %s %s", count(done), count(total), p.what)
	}
	if done > int64(elapsed.Seconds()) {
		parts = append(parts, perSecond(done, elapsed))
	}
	if total > 0 && done > 0 {
		left := time.Duration(float64(elapsed) / float64(done) * float64(total-done))
		parts = append(parts, left.Round(time.Second).String()+" left")
	}
	if note != "" {
		parts = append(parts, note)
	}
	text := strings.Join(parts, ", ")
	if !p.bar {
		fmt.Fprintln(p.w, text)
		return
	}
	if total > 0 {
		const width = 28
		full := int(width * min(done, total) / total)
		text = fmt.Sprintf("%3d%% %s%s %s", 100*done/total, strings.Repeat("█", full), strings.Repeat("░", width-full), text)
	}
	columns := len([]rune(text))
	fmt.Fprintf(p.w, "\r%s%s", text, strings.Repeat(" ", max(0, p.drawn-columns)))
	p.drawn = columns
}

// done takes the bar off the screen.
func (p *progress) done() {
	if p.drawn > 0 {
		fmt.Fprintf(p.w, "\r%s\r", strings.Repeat(" ", p.drawn))
		p.drawn = 0
	}
}
