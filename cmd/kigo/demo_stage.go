package main

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// A stage is where the demo is seen: sections of lines on stdout, and on a terminal
// a line below them that shows what goes on.
type stage struct {
	out    *printer
	screen *screen // for the line that goes on
	colors palette
	width  int
	acts   int
	turns  int // of the wheel
	turned time.Time
}

// newStage returns a stage; a silent one shows nothing.
func newStage(w io.Writer, s *screen, silent bool) stage {
	if silent {
		return stage{out: &printer{w: io.Discard}}
	}
	width, _ := size(w)
	if width == 0 || width > 100 {
		width = 100
	}
	return stage{out: &printer{w: w}, screen: s, colors: paletteFor(w), width: width}
}

// overture says what is to come.
func (s *stage) overture() {
	s.out.line("%sKigo among liars%s", s.colors.bold, s.colors.off)
	s.paragraph("A network of peers on this machine's loopback addresses, most of them hostile, and a node that has never heard of any of them.  Nothing leaves this machine.", "")
}

// title begins an act.
func (s *stage) title(text string) {
	s.acts++
	s.out.line("")
	s.out.line("%s%2d  %s%s", s.colors.bold, s.acts, text, s.colors.off)
}

// say prints a paragraph of an act.
func (s *stage) say(format string, args ...any) {
	s.paragraph(fmt.Sprintf(format, args...), "    ")
}

// done prints something that came to pass.
func (s *stage) done(format string, args ...any) {
	for i, line := range s.broken(fmt.Sprintf(format, args...), 6) {
		if i == 0 {
			s.out.line("    %s✓%s %s", s.colors.good, s.colors.off, line)
		} else {
			s.out.line("      %s", line)
		}
	}
}

// wrong prints something that should not have.
func (s *stage) wrong(text string) {
	s.out.line("    %s✗%s %s", s.colors.bad, s.colors.off, cut(text, s.room(6)))
}

// room is how many columns are left beside so many.
func (s *stage) room(taken int) int {
	if !isTerminal(s.out.w) {
		return 0 // any number
	}
	return max(s.width-taken, enough)
}

// paragraph prints text, broken at spaces.
func (s *stage) paragraph(text, indent string) {
	for _, line := range s.broken(text, len(indent)) {
		s.out.line("%s%s", indent, line)
	}
}

// broken breaks text at spaces, for lines behind so many columns.
func (s *stage) broken(text string, taken int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && taken+utf8.RuneCountInString(line+" "+word) > min(s.width, 88) {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(lines, line)
}

// wheelTurn is how often the line that goes on is drawn at most.
const wheelTurn = 100 * time.Millisecond

var wheel = []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")

// live shows what goes on now, in place of what it showed before; nothing ends it.
func (s *stage) live(format string, args ...any) {
	if s.screen == nil {
		return
	}
	if format == "" {
		s.screen.show(nil)
		s.turned = time.Time{}
		return
	}
	columns, _ := s.screen.size()
	if columns == 0 || time.Since(s.turned) < wheelTurn {
		return
	}
	s.turned = time.Now()
	s.turns++
	text := cut(fmt.Sprintf(format, args...), columns-8)
	s.screen.show([]string{fmt.Sprintf("    %s%c%s %s%s%s", s.colors.accent, wheel[s.turns%len(wheel)], s.colors.off, s.colors.dim, text, s.colors.off)})
}

// bar draws how much of a whole is done.
func bar(done, total int64) string {
	const width = 24
	full := int64(0)
	if total > 0 {
		full = width * min(done, total) / total
	}
	return strings.Repeat("█", int(full)) + strings.Repeat("░", int(width-full))
}

// finale says what it came to.
func (s *stage) finale(r *demoReport) {
	s.out.line("")
	paint, verdict := s.colors.good, "All as told"
	if !r.OK {
		paint, verdict = s.colors.bad, "Not as told"
	}
	s.out.line("%s%s%s%s: %s in %s", s.colors.bold, paint, verdict, s.colors.off, plural(int64(len(r.Acts)), "act"), seconds(r.Seconds))
}

// seconds writes a duration as people say it.
func seconds(s float64) string {
	if s < 10 {
		return fmt.Sprintf("%.1f s", s)
	}
	return (time.Duration(s) * time.Second).String()
}
