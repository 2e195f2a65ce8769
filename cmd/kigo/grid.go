package main

import (
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// A grid is a table that knows how wide it may be: columns that don't fit are
// left out.  The last one is cut where enough of it remains, unless the table is
// to be whole.
type grid struct {
	columns []column
	rows    []row
	whole   bool // lines are not cut, the terminal wraps them
}

// A column has a title and the rank by which it goes when the room is scarce: the
// greatest first, those of rank 0 never.
type column struct {
	title string
	right bool // aligned to the right
	spare int
}

// A row is one cell for each column, all in one paint; or, without cells, a line
// across the table.
type row struct {
	cells []string
	line  string
	paint paint
}

// add adds a row of cells.
func (g *grid) add(p paint, cells ...string) { g.rows = append(g.rows, row{cells: cells, paint: p}) }

// across adds a line of its own, cut at the table's width.
func (g *grid) across(p paint, line string) { g.rows = append(g.rows, row{line: line, paint: p}) }

// enough is how many columns of a text still say something.
const enough = 24

// gap is what stands between two columns.
const gap = "  "

// lines returns the table with its titles, in lines of at most width columns; a
// width of 0 is none.
func (g *grid) lines(width int, c palette) []string {
	widths := make([]int, len(g.columns))
	for i, col := range g.columns {
		widths[i] = -1 // left out while nothing stands in it
		for _, r := range g.rows {
			if r.cells != nil && r.cells[i] != "" {
				widths[i] = max(widths[i], utf8.RuneCountInString(col.title), utf8.RuneCountInString(r.cells[i]))
			}
		}
	}
	least := slices.Clone(widths)
	if last := len(least) - 1; !g.whole {
		least[last] = min(least[last], enough)
	}
	for width > 0 && total(least) > width {
		worst := -1
		for i, col := range g.columns {
			if widths[i] >= 0 && col.spare > 0 && (worst < 0 || col.spare > g.columns[worst].spare) {
				worst = i
			}
		}
		if worst < 0 {
			break
		}
		widths[worst], least[worst] = -1, -1
	}
	titles := make([]string, len(g.columns))
	for i, col := range g.columns {
		titles[i] = col.title
	}
	all := []string{g.line(row{cells: titles, paint: c.dim}, widths, width, c)}
	for _, r := range g.rows {
		all = append(all, g.line(r, widths, width, c))
	}
	return all
}

// total is the width of a table whose columns have these.
func total(widths []int) int {
	sum := -len(gap)
	for _, w := range widths {
		if w >= 0 {
			sum += w + len(gap)
		}
	}
	return sum
}

func (g *grid) line(r row, widths []int, width int, c palette) string {
	text := r.line
	if r.cells != nil {
		var cells []string
		for i, cell := range r.cells {
			if widths[i] < 0 {
				continue
			}
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if g.columns[i].right {
				cell = pad + cell
			} else {
				cell += pad
			}
			cells = append(cells, cell)
		}
		text = strings.TrimRight(strings.Join(cells, gap), " ")
	}
	if !g.whole {
		text = cut(text, width)
	}
	if r.paint != "" && text != "" {
		text = string(r.paint) + text + string(c.off)
	}
	return text
}

// cut shortens a text to width columns; a width of 0 is none.
func cut(s string, width int) string {
	if width <= 0 || utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}

// size returns the columns and rows of the terminal that w is, zeroes when it is
// none.
func size(w io.Writer) (columns, rows int) {
	if !isTerminal(w) {
		return 0, 0
	}
	columns, rows, err := term.GetSize(int(w.(*os.File).Fd()))
	if err != nil || columns <= 0 || rows <= 0 {
		return 80, 24
	}
	return columns, rows
}
