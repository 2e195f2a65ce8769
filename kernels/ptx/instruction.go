package ptx

import (
	"fmt"
	"slices"
	"strings"
)

// register returns the C++ for a register of a class.
func (k *kernel) register(s, class string) string {
	r, text := k.find(s)
	if r.class != class && !(class == "x" && sizes[r.class] == 4) {
		refuse("%s is of class %s, want %s", s, r.class, class)
	}
	return text
}

// find returns a register's declaration and the C++ for it.
func (k *kernel) find(s string) (register, string) {
	m := named.FindStringSubmatch(s)
	if m == nil {
		refuse("%q is no register", s)
	}
	for i := len(k.scopes) - 1; i >= 0; i-- {
		r, ok := k.scopes[i][m[1]]
		if !ok {
			continue
		}
		text := m[1]
		if i == 0 && k.kept[s] {
			text = "t." + text
		}
		if (m[2] == "") != (r.count == 0) {
			break
		}
		if r.count > 0 {
			if number(m[2]) >= r.count {
				refuse("register %s is not declared, only %d are", s, r.count)
			}
			if k.kept[s] && i == 0 {
				text += "_" + m[2]
			} else {
				text += "[" + m[2] + "]"
			}
		}
		return r, text
	}
	refuse("register %s is not declared", s)
	panic("unreachable")
}

// source returns the C++ for a register or a number.
func (k *kernel) source(s, class string) string {
	if strings.HasPrefix(s, "%") {
		return k.register(s, class)
	}
	text, ok := "", false
	switch class {
	case "p":
		text, ok = "true", s == "-1"
		if s == "0" {
			text, ok = "false", true
		}
	case "f":
		text, ok = float(s)
	default:
		text, ok = integer(s, 8*sizes[class])
	}
	if !ok {
		refuse("%q is nothing that fits a source of class %s", s, class)
	}
	return text
}

// special returns the C++ for what only mov reads.
func (k *kernel) special(s, opcode string) (string, bool) {
	switch {
	case opcode == "mov.u32" && s == "%tid.x":
		return "t.thread", true
	case opcode == "mov.u32" && s == "%ctaid.x":
		return "b.index", true
	}
	v, ok := k.symbols[s]
	switch {
	case ok && v.space == "const" && opcode == "mov.u64":
		return "(u64)const_" + s, true
	case ok && v.space == "local" && opcode == "mov.u64":
		return fmt.Sprintf("(u64)t.local + %d", v.at), true
	case ok && v.space == "shared" && opcode == "mov.u32":
		return fmt.Sprintf("%du", v.at), true
	}
	return "", false
}

// address returns the C++ for an address in brackets, of so many bits.
func (k *kernel) address(s, class string) string {
	m := address.FindStringSubmatch(s)
	if m == nil {
		refuse("%q is no address", s)
	}
	if m[2] == "" {
		m[2] = "0"
	}
	if base, ok := k.special(m[1], map[string]string{"r": "mov.u32", "d": "mov.u64"}[class]); ok {
		return fmt.Sprintf("%s + (%s)", base, m[2])
	}
	return fmt.Sprintf("%s + (%s)", k.register(m[1], class), m[2])
}

// want refuses an instruction with another number of operands.
func want(opcode string, operands []string, n int) {
	if len(operands) != n {
		refuse("%s has %d operands, want %d", opcode, len(operands), n)
	}
}

func (k *kernel) instruction(line int, opcode string, operands []string) {
	switch opcode {
	case "bra", "bra.uni":
		want(opcode, operands, 1)
		to, ok := strings.CutPrefix(operands[0], "$")
		if !ok {
			refuse("%q is no label", operands[0])
		}
		k.used[to] = true
		k.emit("goto %s;", to)
		return
	case "ret":
		want(opcode, operands, 0)
		k.emit("return 0;")
		return
	case "bar.sync":
		if want(opcode, operands, 1); operands[0] != "0" {
			refuse("barrier %s is not barrier 0", operands[0])
		}
		k.stops++
		k.emit("return t.at = %d;", k.stops)
		k.emit("stop_%d:;", k.stops)
		return
	case "mov.b64":
		k.halves(opcode, operands)
		return
	case "ld.param.u32", "ld.param.u64":
		want(opcode, operands, 2)
		name := strings.TrimSuffix(strings.TrimPrefix(operands[1], "["), "]")
		i := slices.Index(k.params, name)
		if i < 0 || !strings.HasSuffix(opcode, k.types[i]) {
			refuse("%s is no parameter of this type", operands[1])
		}
		k.emit("%s = b.args[%d];", k.register(operands[0], map[string]string{"u32": "r", "u64": "d"}[k.types[i]]), i)
		return
	}
	if a, ok := accesses[opcode]; ok {
		k.access(line, opcode, a, operands)
		return
	}
	o, ok := ops[opcode]
	if !ok {
		refuse("unknown instruction %s", opcode)
	}
	want(opcode, operands, 1+len(o.src))
	expr := o.expr
	for i := range o.src {
		s, ok := k.special(operands[1+i], opcode)
		if !ok {
			s = k.source(operands[1+i], o.src[i:i+1])
		}
		expr = strings.ReplaceAll(expr, fmt.Sprintf("$%d", i+1), s)
	}
	k.emit("%s = %s;", k.register(operands[0], o.dst), expr)
}

// halves packs two words into 64 bits or takes them apart.
func (k *kernel) halves(opcode string, operands []string) {
	want(opcode, operands, 2)
	pair := func(s string) []string {
		inner, ok := strings.CutPrefix(s, "{")
		if !ok {
			return nil
		}
		parts := split(strings.TrimSuffix(inner, "}"))
		want(s, parts, 2)
		return parts
	}
	if p := pair(operands[0]); p != nil {
		v := k.register(operands[1], "d")
		k.emit("{ u64 v = %s; %s = v; %s = v >> 32; }", v, k.register(p[0], "r"), k.register(p[1], "r"))
	} else if p := pair(operands[1]); p != nil {
		k.emit("%s = (u64)%s << 32 | %s;", k.register(operands[0], "d"), k.source(p[1], "r"), k.source(p[0], "r"))
	} else {
		refuse("%s of something else than two words", opcode)
	}
}

func (k *kernel) access(line int, opcode string, a access, operands []string) {
	class := "d"
	if a.space == "in_shared" {
		class = "r"
	}
	// A register may be wider than what is loaded or stored.
	value := func(s string) string {
		r, text := k.find(s)
		if r.class == "p" || (r.class == "f") != a.float || sizes[r.class] < sizes[a.typ] {
			refuse("%s of register %s, which is of class %s", opcode, s, r.class)
		}
		return text
	}
	at := func(s string) string {
		memory := ""
		if a.space == "in_local" {
			memory = "local, "
		}
		return fmt.Sprintf("*%s<%s>(b, t, %s%s, %d)", a.space, a.typ, memory, k.address(s, class), line)
	}
	switch a.kind {
	case "load":
		want(opcode, operands, 2)
		k.emit("%s = %s;", value(operands[0]), at(operands[1]))
	case "store":
		want(opcode, operands, 2)
		k.emit("%s = %s;", at(operands[0]), value(operands[1]))
	default:
		want(opcode, operands, 3)
		k.emit("%s = add(&%s, %s);", k.register(operands[0], "r"), at(operands[1]), k.source(operands[2], "r"))
	}
}
