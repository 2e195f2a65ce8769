package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
)

// A screen is where logs scroll above a few lines that are drawn again and again.
// What isn't a terminal has no such lines.
type screen struct {
	w io.Writer

	mu            sync.Mutex
	columns, rows int      // 0 where nothing can be drawn
	lines         []string // that are drawn
}

func newScreen(w io.Writer) *screen {
	s := &screen{w: w}
	if os.Getenv("TERM") != "dumb" {
		s.columns, s.rows = size(w)
	}
	return s
}

// size returns the columns and rows there are now, zeroes where nothing can be
// drawn.
func (s *screen) size() (columns, rows int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.columns > 0 && isTerminal(s.w) {
		s.columns, s.rows = size(s.w)
	}
	return s.columns, s.rows
}

// Write implements io.Writer for what scrolls.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := s.lines
	s.draw(nil)
	n, err := s.w.Write(p)
	s.draw(lines)
	return n, err
}

// show replaces the lines that are drawn.  They have to be narrower than the
// terminal; those that don't fit below one another are left out.
func (s *screen) show(lines []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draw(lines[:min(len(lines), max(0, s.rows-1))])
}

// draw needs mu.
func (s *screen) draw(lines []string) {
	if len(lines) == 0 && len(s.lines) == 0 {
		return
	}
	var b strings.Builder
	if n := len(s.lines); n > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\r\x1b[J", n) // up to the first, and away with all
	}
	for _, line := range lines {
		b.WriteString(line + "\n")
	}
	s.lines = lines
	io.WriteString(s.w, b.String())
}
