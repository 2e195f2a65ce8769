package ptx

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A Kernel is a kernel as C++, which includes src/ptx.h and can be compiled alone or
// together with others.
type Kernel struct {
	Name string
	Cpp  string
}

// Translate returns the kernels of a PTX file, whose name is for messages.  An
// error is an *Error.
func Translate(file, text string) (kernels []Kernel, err error) {
	t := &translator{symbols: map[string]symbol{}}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case refusal:
			kernels, err = nil, &Error{file, t.at, string(r)}
		default:
			panic(r)
		}
	}()
	for l := range strings.Lines(text) {
		t.last++
		t.at = t.last
		if l = clean(l); l != "" {
			t.line(l)
		}
	}
	if t.kernel != nil {
		refuse("the file ends inside kernel %s", t.kernel.name)
	}
	if len(t.kernels) == 0 {
		refuse("no kernel")
	}
	return t.kernels, nil
}

// A refusal is what a line is refused for.
type refusal string

func refuse(format string, args ...any) { panic(refusal(fmt.Sprintf(format, args...))) }

type translator struct {
	last, at  int // line that was read, line that is translated
	constants strings.Builder
	symbols   map[string]symbol // of the file
	kernel    *kernel           // that the line is in
	kernels   []Kernel
}

// A kernel collects what has to be known before its code can be written.
type kernel struct {
	name    string
	params  []string // names
	types   []string // u32 or u64
	threads string
	depth   int    // braces that are open
	lines   []line // of the body

	symbols map[string]symbol
	shared  int // bytes
	locals  int
	kept    map[string]bool       // registers that are needed behind a barrier
	own     map[string]register   // registers of the whole kernel
	scopes  []map[string]register // and of the braces that are open, own first
	defined map[string]bool       // labels
	used    map[string]bool
	stops   int // barriers
	body    strings.Builder
}

type line struct {
	number int
	text   string
}

// line takes one line.
func (t *translator) line(l string) {
	k := t.kernel
	switch {
	case k == nil:
		t.outside(l)
		return
	case k.depth == 0:
		k.head(l)
		return
	case l == "{":
		k.depth++
	case l == "}":
		k.depth--
	}
	if k.depth > 0 {
		k.lines = append(k.lines, line{t.last, l})
		return
	}
	k.keep()
	for _, l := range k.lines {
		t.at = l.number
		k.inside(l.number, l.text)
	}
	t.finish()
}

// outside translates a line between kernels.
func (t *translator) outside(l string) {
	if ignored.MatchString(l) {
		return
	}
	if m := constant.FindStringSubmatch(l); m != nil {
		size := number(m[3])
		if _, twice := t.symbols[m[2]]; twice {
			refuse("constant %s is there twice", m[2])
		}
		if m[4] != "" && strings.Count(m[4], ",")+1 != size {
			refuse("%s has %d values in %d bytes", m[2], strings.Count(m[4], ",")+1, size)
		}
		t.symbols[m[2]] = symbol{space: "const", bytes: size}
		// There is room between arrays, so that what is beside one is in none.
		fmt.Fprintf(&t.constants, "alignas(%s) static const u8 const_%s[%s + 16] = {%s};\n", m[1], m[2], m[3], m[4])
		fmt.Fprintf(&t.constants, "static const Note<Memory> note_%s(Memory{(u64)const_%s, %s});\n", m[2], m[2], m[3])
		return
	}
	m := entry.FindStringSubmatch(l)
	if m == nil {
		refuse("not understood: %s", l)
	}
	t.kernel = &kernel{name: m[1], threads: "1024", symbols: maps.Clone(t.symbols), own: map[string]register{},
		defined: map[string]bool{}, used: map[string]bool{}}
	t.kernel.scopes = append(t.kernel.scopes, t.kernel.own)
}

// head reads a line between a kernel's name and its body.
func (k *kernel) head(l string) {
	if m := parameter.FindStringSubmatch(l); m != nil {
		k.types, k.params = append(k.types, m[1]), append(k.params, m[2])
	} else if m := maxThread.FindStringSubmatch(l); m != nil {
		k.threads = m[1]
	} else if l == "{" {
		k.depth = 1
	} else if l != ")" && !ignored.MatchString(l) {
		refuse("not understood: %s", l)
	}
}

// inside translates a line of a kernel's body.
func (k *kernel) inside(number int, l string) {
	switch {
	case l == "{":
		k.scopes = append(k.scopes, map[string]register{})
		k.emit("{")
	case l == "}":
		k.scopes = k.scopes[:len(k.scopes)-1]
		k.emit("}")
	case l == `.pragma "nounroll";`:
	case strings.HasPrefix(l, ".reg "):
		k.declare(l)
	case strings.HasPrefix(l, "."):
		k.array(l)
	case strings.HasPrefix(l, "$"):
		m := label.FindStringSubmatch(l)
		if m == nil || k.defined[m[1]] {
			refuse("a label that is none, or is there twice: %s", l)
		}
		k.defined[m[1]] = true
		k.emit("%s:;", m[1])
	default:
		m := statement.FindStringSubmatch(l)
		if m == nil {
			refuse("not understood: %s", l)
		}
		if m[2] != "" {
			if m[3] == "bar.sync" {
				refuse("a barrier that only some threads come to")
			}
			k.emit("if (%s%s) {", m[1], k.register(m[2], "p"))
		}
		k.instruction(number, m[3], split(m[4]))
		if m[2] != "" {
			k.emit("}")
		}
	}
}

func (k *kernel) emit(format string, args ...any) {
	fmt.Fprintf(&k.body, "\t"+format+"\n", args...)
}

func (k *kernel) declare(l string) {
	m := declared.FindStringSubmatch(l)
	if m == nil {
		refuse("not understood: %s", l)
	}
	r := register{class: classes[m[1]]}
	if m[3] != "" {
		r.count = number(m[3])
	}
	scope := k.scopes[len(k.scopes)-1]
	if _, twice := scope[m[2]]; twice {
		refuse("register %%%s is declared twice", m[2])
	}
	scope[m[2]] = r
	if len(k.scopes) > 1 {
		k.emit("%s %s;", types[r.class], r.member(m[2]))
	}
}

// types are those of registers in C++.
var types = map[string]string{"p": "bool", "h": "u16", "r": "u32", "f": "u32", "d": "u64"}

func (r register) member(name string) string {
	if r.count > 0 {
		return fmt.Sprintf("%s[%d]", name, r.count)
	}
	return name
}

// array declares memory of the block or of the thread.
func (k *kernel) array(l string) {
	m := array.FindStringSubmatch(l)
	if m == nil {
		refuse("not understood: %s", l)
	}
	size, align := number(m[4]), number(m[2])
	if align < 1 || align > 16 {
		refuse("alignment %d", align)
	}
	end := &k.shared
	if m[1] == "local" {
		end = &k.locals
	}
	at := (*end + align - 1) / align * align
	*end = at + size
	k.symbols[m[3]] = symbol{space: m[1], at: at, bytes: size}
}

// finish writes a kernel whose last line was read.
func (t *translator) finish() {
	k := t.kernel
	for _, l := range slices.Sorted(maps.Keys(k.used)) {
		if !k.defined[l] {
			refuse("label %s of kernel %s is nowhere", l, k.name)
		}
	}
	var out strings.Builder
	emit := func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) }
	emit("#include \"ptx.h\"\n\nnamespace ptx {\nnamespace code_%s {\n%s\nstruct Thread : ThreadBase {", k.name, t.constants.String())
	for _, name := range slices.Sorted(maps.Keys(k.kept)) {
		if _, ok := k.own[named.FindStringSubmatch(name)[1]]; ok { // not of inner braces, and not special
			r, text := k.find(name)
			emit("\t%s %s;", types[r.class], strings.TrimPrefix(text, "t."))
		}
	}
	emit("\talignas(16) u8 local[%d];\n};\n", max(k.locals, 1))
	emit("static u32 run(const Block &b, ThreadBase *base)\n{\n\tThread &t = *static_cast<Thread *>(base);")
	emit("\tconst Memory local = {(u64)t.local, %d};", k.locals)
	for _, name := range slices.Sorted(maps.Keys(k.own)) {
		emit("\t%s %s;", types[k.own[name].class], k.own[name].member(name))
	}
	emit("\tswitch (t.at) {")
	for i := 1; i <= k.stops; i++ {
		emit("\tcase %d: goto stop_%d;", i, i)
	}
	emit("\t}\n%s\treturn 0;\n}\n", k.body.String())
	emit("static const Note<Code> note(Code{%q, %d, %s, %d, sizeof(Thread), run});\n}\n}", k.name, len(k.params), k.threads, k.shared)
	t.kernels, t.kernel = append(t.kernels, Kernel{k.name, out.String()}), nil
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n > 1<<24 {
		refuse("number %s", s)
	}
	return n
}
