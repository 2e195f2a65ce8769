package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A mutant is a source file with one piece of text replaced.
type mutant struct {
	file     string
	function string // where the piece stands: a function, or a constant or variable
	line     int
	original []byte
	from, to int // the piece in original
	text     string
}

// source returns the broken file.
func (m mutant) source() []byte {
	return []byte(string(m.original[:m.from]) + m.text + string(m.original[m.to:]))
}

// key tells a mutant from others without its line number, so that a reason in
// allowed.txt outlives changes elsewhere in the file.
func (m mutant) key() string {
	first := strings.LastIndexByte(string(m.original[:m.from]), '\n') + 1
	last := len(m.original)
	if i := strings.IndexByte(string(m.original[m.to:]), '\n'); i >= 0 {
		last = m.to + i
	}
	before := string(m.original[first:last])
	after := string(m.original[first:m.from]) + m.text + string(m.original[m.to:last])
	return fmt.Sprintf("%s %s\n- %s\n+ %s", m.file, m.function, oneLine(before), oneLine(after))
}

func (m mutant) String() string {
	return fmt.Sprintf("%s:%d\n%s\n", m.file, m.line, m.key())
}

func oneLine(s string) string {
	if s = strings.Join(strings.Fields(s), " "); s == "" {
		return "(nothing)"
	}
	return s
}

// mutantsOf returns all mutants of the files that match pattern, tests left out.
func mutantsOf(pattern string) ([]mutant, error) {
	names, err := filepath.Glob(pattern)
	if err != nil {
		return nil, err
	}
	var all []mutant
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		src, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		b := breaker{file: name, fset: fset, src: src}
		for _, d := range f.Decls {
			b.decl(d)
		}
		all = append(all, b.found...)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: nothing to break", pattern)
	}
	return all, nil
}

// A breaker collects the mutants of a file.
type breaker struct {
	file     string
	fset     *token.FileSet
	src      []byte
	function string
	found    []mutant
}

func (b *breaker) decl(d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		b.function = d.Name.Name
		if d.Body != nil {
			ast.Inspect(d.Body, b.visit)
		}
	case *ast.GenDecl:
		if d.Tok == token.IMPORT || d.Tok == token.TYPE {
			return // shapes, not decisions
		}
		for _, s := range d.Specs {
			spec := s.(*ast.ValueSpec)
			b.function = spec.Names[0].Name
			for _, v := range spec.Values {
				ast.Inspect(v, b.visit)
			}
		}
	}
}

func (b *breaker) offset(p token.Pos) int { return b.fset.Position(p).Offset }

func (b *breaker) textOf(n ast.Node) string {
	return string(b.src[b.offset(n.Pos()):b.offset(n.End())])
}

// replace adds the mutant that has text where from to to was.
func (b *breaker) replace(from, to token.Pos, text string) {
	b.found = append(b.found, mutant{
		file: b.file, function: b.function, line: b.fset.Position(from).Line,
		original: b.src, from: b.offset(from), to: b.offset(to), text: text,
	})
}

// swaps says what an operator becomes: comparisons move their boundary or turn
// around, the others become their counterpart.
var swaps = map[token.Token]token.Token{
	token.LSS: token.LEQ, token.LEQ: token.LSS,
	token.GTR: token.GEQ, token.GEQ: token.GTR,
	token.EQL: token.NEQ, token.NEQ: token.EQL,
	token.LAND: token.LOR, token.LOR: token.LAND,
	token.ADD: token.SUB, token.SUB: token.ADD,
	token.MUL: token.QUO, token.QUO: token.MUL, token.REM: token.QUO,
	token.AND: token.OR, token.OR: token.AND, token.XOR: token.OR,
	token.SHL: token.SHR, token.SHR: token.SHL,
	token.INC: token.DEC, token.DEC: token.INC,
	token.ADD_ASSIGN: token.SUB_ASSIGN, token.SUB_ASSIGN: token.ADD_ASSIGN,
	token.MUL_ASSIGN: token.QUO_ASSIGN, token.QUO_ASSIGN: token.MUL_ASSIGN,
	token.AND_ASSIGN: token.OR_ASSIGN, token.OR_ASSIGN: token.AND_ASSIGN, token.XOR_ASSIGN: token.OR_ASSIGN,
	token.SHL_ASSIGN: token.SHR_ASSIGN, token.SHR_ASSIGN: token.SHL_ASSIGN,
}

func (b *breaker) swap(at token.Pos, op token.Token) {
	if other, ok := swaps[op]; ok {
		b.replace(at, at+token.Pos(len(op.String())), other.String())
	}
}

// never and always replace a condition; its parts stay used, so that the mutant
// compiles.
func (b *breaker) never(cond ast.Expr) {
	b.replace(cond.Pos(), cond.End(), "false && ("+b.textOf(cond)+")")
}

func (b *breaker) always(cond ast.Expr) {
	b.replace(cond.Pos(), cond.End(), "true || ("+b.textOf(cond)+")")
}

func (b *breaker) delete(n ast.Node) { b.replace(n.Pos(), n.End(), "") }

// tableLen is the length from which a literal counts as a table of data, of
// which one value in tableStep is broken: its values are alike, and tests
// compare such tables as a whole or not at all.
const (
	tableLen  = 64
	tableStep = 16
)

func (b *breaker) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.ArrayType:
		return false // a shape, not a decision
	case *ast.CompositeLit:
		if len(n.Elts) < tableLen {
			return true
		}
		for i := 0; i < len(n.Elts); i += tableStep {
			ast.Inspect(n.Elts[i], b.visit)
		}
		return false
	case *ast.BinaryExpr:
		b.swap(n.OpPos, n.Op)
	case *ast.UnaryExpr:
		if n.Op == token.NOT || n.Op == token.SUB || n.Op == token.XOR {
			b.replace(n.OpPos, n.X.Pos(), "")
		}
	case *ast.BasicLit:
		b.literal(n)
	case *ast.Ident:
		switch n.Name {
		case "true":
			b.replace(n.Pos(), n.End(), "false")
		case "false":
			b.replace(n.Pos(), n.End(), "true")
		case "min":
			b.replace(n.Pos(), n.End(), "max")
		case "max":
			b.replace(n.Pos(), n.End(), "min")
		}
	case *ast.IfStmt:
		b.never(n.Cond)
		b.always(n.Cond)
	case *ast.SwitchStmt:
		b.cases(n)
	case *ast.AssignStmt:
		b.assignment(n)
	case *ast.IncDecStmt:
		b.swap(n.TokPos, n.Tok)
		b.delete(n)
	case *ast.ExprStmt:
		b.delete(n)
	case *ast.BranchStmt:
		b.delete(n)
	case *ast.ReturnStmt:
		if len(n.Results) == 0 {
			b.delete(n)
		}
	}
	return true
}

func (b *breaker) literal(n *ast.BasicLit) {
	switch n.Kind {
	case token.INT:
		if v, err := strconv.ParseUint(n.Value, 0, 64); err == nil {
			b.replace(n.Pos(), n.End(), strconv.FormatUint(v+1, 10))
			if v > 0 {
				b.replace(n.Pos(), n.End(), strconv.FormatUint(v-1, 10))
			}
		}
	case token.CHAR:
		b.replace(n.Pos(), n.End(), "("+n.Value+"+1)")
	}
}

// cases takes out each case of a switch.  One without a tag is a row of
// conditions.
func (b *breaker) cases(n *ast.SwitchStmt) {
	for _, s := range n.Body.List {
		c := s.(*ast.CaseClause)
		if n.Tag != nil || c.List == nil {
			b.delete(c)
			continue
		}
		for _, cond := range c.List {
			b.never(cond)
			b.always(cond)
		}
	}
}

// assignment leaves out an assignment, not its right side, so that what it uses
// stays used.
func (b *breaker) assignment(n *ast.AssignStmt) {
	if n.Tok == token.DEFINE {
		return // nothing would be left to use
	}
	b.swap(n.TokPos, n.Tok)
	blanks := strings.Repeat("_, ", len(n.Rhs)-1) + "_ = "
	b.replace(n.Pos(), n.Rhs[0].Pos(), blanks)
}
