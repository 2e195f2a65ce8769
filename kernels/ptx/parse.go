package ptx

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// An Error says which line of PTX was not understood, counted from 1.
type Error struct {
	File   string
	Line   int
	Reason string
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Reason) }

// A register is declared as %name or, many at once, as %name<count>.
type register struct {
	class string // a letter as in op
	count int    // 0 for a single one
}

// A symbol is an array in memory.
type symbol struct {
	space string // "const", "shared" or "local"
	at    int    // shared: its place in the block's memory
	bytes int
}

var (
	constant  = regexp.MustCompile(`^\.const \.align (\d+) \.b8 (\w+)\[(\d+)\](?: = \{([\d, ]*)\})?;$`)
	array     = regexp.MustCompile(`^\.(shared|local) \.align (\d+) \.b8 (\w+)\[(\d+)\];$`)
	entry     = regexp.MustCompile(`^\.visible \.entry (\w+)\($`)
	parameter = regexp.MustCompile(`^\.param \.(u32|u64) (\w+),?$`)
	maxThread = regexp.MustCompile(`^\.maxntid (\d+)(?:, 1, 1)?$`)
	declared  = regexp.MustCompile(`^\.reg \.(pred|b16|b32|b64|f32) %([A-Za-z_]+)(?:<(\d+)>)?;$`)
	label     = regexp.MustCompile(`^\$(\w+):$`)
	statement = regexp.MustCompile(`^(?:@(!?)(%p\d+) )?([a-z][a-z0-9._]*)(?: (.*))?;$`)
	named     = regexp.MustCompile(`^%([A-Za-z_]+?)(\d*)$`)
	registers = regexp.MustCompile(`%\w+`)
	address   = regexp.MustCompile(`^\[([%\w]+)(?:\+(-?\d+))?\]$`)
	space     = regexp.MustCompile(`\s+`)
)

// Lines before a kernel that need no translation.
var ignored = regexp.MustCompile(`^\.(version [78]\.\d|target sm_\d+|address_size 64|minnctapersm \d+)$`)

var classes = map[string]string{"pred": "p", "b16": "h", "b32": "r", "f32": "f", "b64": "d"}

// clean takes comments and needless blanks from a line.
func clean(line string) string {
	line, _, _ = strings.Cut(line, "//")
	return strings.TrimSpace(space.ReplaceAllString(line, " "))
}

// split parts operands at commas that stand in no bracket.
func split(s string) (parts []string) {
	depth, from := 0, 0
	for i, c := range s {
		switch {
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		case c == ',' && depth == 0:
			parts = append(parts, strings.TrimSpace(s[from:i]))
			from = i + 1
		}
	}
	if s = strings.TrimSpace(s[from:]); s != "" || len(parts) > 0 {
		parts = append(parts, s)
	}
	return parts
}

// integer reads a number that fits in so many bits, signed or not, as C++.
func integer(s string, bits int) (string, bool) {
	if n, err := strconv.ParseInt(s, 0, bits); err == nil {
		return fmt.Sprintf("%#xu", uint64(n)&(1<<bits-1)), true
	}
	n, err := strconv.ParseUint(s, 0, bits)
	return fmt.Sprintf("%#xu", n), err == nil
}

// float reads a float's bits, 0f and 8 digits, as C++.
func float(s string) (string, bool) {
	digits, ok := strings.CutPrefix(s, "0f")
	n, err := strconv.ParseUint(digits, 16, 32)
	return fmt.Sprintf("%#xu", n), ok && err == nil && len(digits) == 8
}
