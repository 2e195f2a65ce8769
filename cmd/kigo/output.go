package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/big"
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

// count writes a number that isn't negative with commas.
func count[T ~int | ~int64 | ~uint64](n T) string {
	return humanize.BigComma(new(big.Int).SetUint64(uint64(n)))
}

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

// rateOver is the time over which a rate is taken: long enough to be steady, short
// enough to follow when cheap trailers are through.
const rateOver = 10 * time.Second

// A progress tells on stderr how far a long command is: a bar on a terminal, a
// line every 10 s elsewhere.
type progress struct {
	w     io.Writer
	width int    // columns of the terminal, 0 where there is none
	what  string // of which there are done and total
	told  time.Time
	past  []mark // of the last rateOver, the oldest first
	drawn int    // columns of the bar that is on the screen
}

// A mark is how much was done when.
type mark struct {
	at   time.Time
	done int64
}

func newProgress(w io.Writer, what string) *progress {
	now := time.Now()
	p := &progress{w: w, what: what, told: now, past: []mark{{now, 0}}}
	if isTerminal(w) {
		p.width = 80
		if columns, _, err := term.GetSize(int(w.(*os.File).Fd())); err == nil && columns > 0 {
			p.width = columns
		}
	}
	return p
}

// tell says that done of total are through; total is -1 when nobody knows.  note
// is added at the end.
func (p *progress) tell(done, total int64, note string) {
	now := time.Now()
	every := lineEvery
	if p.width > 0 {
		every = 100 * time.Millisecond
	}
	if now.Sub(p.told) < every {
		return
	}
	p.told = now
	text := p.text(now, done, total, note)
	if p.width == 0 {
		fmt.Fprintln(p.w, text)
		return
	}
	if total > 0 {
		const width = 20
		full := int(width * min(done, total) / total)
		text = fmt.Sprintf("%3d%% %s%s %s", 100*min(done, total)/total, strings.Repeat("█", full), strings.Repeat("░", width-full), text)
	}
	line := []rune(text)
	line = line[:min(len(line), p.width-1)] // a wrapped line could not be taken back
	fmt.Fprintf(p.w, "\r%s%s", string(line), strings.Repeat(" ", max(0, p.drawn-len(line))))
	p.drawn = len(line)
}

func (p *progress) text(now time.Time, done, total int64, note string) string {
	for len(p.past) > 1 && now.Sub(p.past[1].at) >= rateOver {
		p.past = p.past[1:]
	}
	since := p.past[0]
	p.past = append(p.past, mark{now, done})
	rate := float64(done-since.done) / max(now.Sub(since.at).Seconds(), 1e-9)

	text := fmt.Sprintf("%s %s", count(done), p.what)
	if total > 0 {
		text = fmt.Sprintf("%s of %s %s", count(done), count(total), p.what)
	}
	if rate >= 1 {
		text += fmt.Sprintf(", %s/s", count(int64(rate)))
	}
	if rate > 0 && total > 0 {
		left := time.Duration(float64(total-done) / rate * float64(time.Second))
		text += fmt.Sprintf(", %v left", left.Round(time.Second))
	}
	if note != "" {
		text += ", " + note
	}
	return text
}

// done takes the bar off the screen.
func (p *progress) done() {
	if p.drawn > 0 {
		fmt.Fprintf(p.w, "\r%s\r", strings.Repeat(" ", p.drawn))
		p.drawn = 0
	}
}
