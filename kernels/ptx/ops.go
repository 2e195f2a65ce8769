package ptx

// An op is an instruction that computes: its operands, one letter each, and the
// C++ for its result, with $1, $2 and so on for its sources.
//
//	p  predicate
//	h  16 bits
//	r  32 bits
//	f  32 bits that hold a float
//	x  either of the two
//	d  64 bits
//
// All registers are unsigned integers in C++, those of floats too.
type op struct{ dst, src, expr string }

var ops = map[string]op{
	"mov.pred": {"p", "p", "$1"},
	"mov.u16":  {"h", "h", "$1"},
	"mov.u32":  {"r", "r", "$1"},
	"mov.b32":  {"x", "x", "$1"},
	"mov.f32":  {"f", "f", "$1"},
	"mov.u64":  {"d", "d", "$1"},

	"cvt.u16.u32":    {"h", "r", "$1"},
	"cvt.u32.u16":    {"r", "h", "$1"},
	"cvt.u32.u64":    {"r", "d", "$1"},
	"cvt.u64.u32":    {"d", "r", "$1"},
	"cvt.s64.s32":    {"d", "r", "(s64)(s32)$1"},
	"cvt.rn.f32.s32": {"f", "r", "bits((float)(s32)$1)"},

	// Addresses are the same in all spaces.
	"cvta.to.global.u64": {"d", "d", "$1"},

	"add.s16":      {"h", "hh", "$1 + $2"},
	"add.s32":      {"r", "rr", "$1 + $2"},
	"add.s64":      {"d", "dd", "$1 + $2"},
	"add.u64":      {"d", "dd", "$1 + $2"},
	"sub.s32":      {"r", "rr", "$1 - $2"},
	"neg.s32":      {"r", "r", "0 - $1"},
	"mul.lo.s32":   {"r", "rr", "$1 * $2"},
	"mul.lo.s64":   {"d", "dd", "$1 * $2"},
	"mul.wide.u16": {"r", "hh", "(u32)$1 * $2"},
	"mul.wide.u32": {"d", "rr", "(u64)$1 * $2"},
	"mul.wide.s32": {"d", "rr", "(s64)(s32)$1 * (s32)$2"},
	"min.u32":      {"r", "rr", "$1 < $2 ? $1 : $2"},

	"add.rn.f32": {"f", "ff", "bits(value($1) + value($2))"},
	"mul.rn.f32": {"f", "ff", "bits(value($1) * value($2))"},
	"div.rn.f32": {"f", "ff", "bits(value($1) / value($2))"},
	"neg.f32":    {"f", "f", "$1 ^ 0x80000000"},

	"and.pred": {"p", "pp", "$1 & $2"},
	"or.pred":  {"p", "pp", "$1 | $2"},
	"not.pred": {"p", "p", "!$1"},
	"and.b16":  {"h", "hh", "$1 & $2"},
	"and.b32":  {"r", "rr", "$1 & $2"},
	"and.b64":  {"d", "dd", "$1 & $2"},
	"or.b32":   {"r", "rr", "$1 | $2"},
	"or.b64":   {"d", "dd", "$1 | $2"},
	"xor.b16":  {"h", "hh", "$1 ^ $2"},
	"xor.b32":  {"r", "rr", "$1 ^ $2"},
	"xor.b64":  {"d", "dd", "$1 ^ $2"},
	"not.b16":  {"h", "h", "~$1"},
	"not.b32":  {"r", "r", "~$1"},
	"not.b64":  {"d", "d", "~$1"},

	// Shifts by more than the width leave nothing; those that wrap take the amount
	// modulo 32.
	"shl.b32":        {"r", "rr", "$2 > 31 ? 0 : $1 << ($2 & 31)"},
	"shl.b64":        {"d", "dr", "$2 > 63 ? 0 : $1 << ($2 & 63)"},
	"shr.u32":        {"r", "rr", "$2 > 31 ? 0 : $1 >> ($2 & 31)"},
	"shr.u64":        {"d", "dr", "$2 > 63 ? 0 : $1 >> ($2 & 63)"},
	"shr.b64":        {"d", "dr", "$2 > 63 ? 0 : $1 >> ($2 & 63)"},
	"shf.l.wrap.b32": {"r", "rrr", "((u64)$2 << 32 | $1) << ($3 & 31) >> 32"},
	"shf.r.wrap.b32": {"r", "rrr", "((u64)$2 << 32 | $1) >> ($3 & 31)"},

	"prmt.b32":     {"r", "rrr", "prmt($1, $2, $3)"},
	"dp4a.u32.u32": {"r", "rrr", "dp4a($1, $2, $3)"},
	"bfi.b32":      {"r", "rrrr", "insert<u32>($1, $2, $3, $4)"},
	"bfi.b64":      {"d", "ddrr", "insert<u64>($1, $2, $3, $4)"},

	"setp.eq.s16":  {"p", "hh", "$1 == $2"},
	"setp.ne.s16":  {"p", "hh", "$1 != $2"},
	"setp.gt.s16":  {"p", "hh", "(s16)$1 > (s16)$2"},
	"setp.lt.u16":  {"p", "hh", "$1 < $2"},
	"setp.le.u16":  {"p", "hh", "$1 <= $2"},
	"setp.eq.b32":  {"p", "rr", "$1 == $2"},
	"setp.eq.s32":  {"p", "rr", "$1 == $2"},
	"setp.ne.s32":  {"p", "rr", "$1 != $2"},
	"setp.gt.s32":  {"p", "rr", "(s32)$1 > (s32)$2"},
	"setp.lt.u32":  {"p", "rr", "$1 < $2"},
	"setp.gt.u32":  {"p", "rr", "$1 > $2"},
	"setp.ge.u32":  {"p", "rr", "$1 >= $2"},
	"setp.nan.f32": {"p", "ff", "is_nan($1) | is_nan($2)"},

	"selp.b16": {"h", "hhp", "$3 ? $1 : $2"},
	"selp.b32": {"r", "rrp", "$3 ? $1 : $2"},
	"selp.u32": {"r", "rrp", "$3 ? $1 : $2"},
	"selp.f32": {"f", "ffp", "$3 ? $1 : $2"},
	"selp.b64": {"d", "ddp", "$3 ? $1 : $2"},
}

// An access is an instruction that reads or writes memory.
type access struct {
	space string // the C++ function that checks an address
	kind  string // "load", "store" or "add"
	typ   string // in memory
	float bool   // the register is one of floats
}

var accesses = map[string]access{
	"ld.const.u8":         {"in_const", "load", "u8", false},
	"ld.const.u64":        {"in_const", "load", "u64", false},
	"ld.global.u32":       {"in_global", "load", "u32", false},
	"ld.shared.u8":        {"in_shared", "load", "u8", false},
	"ld.shared.u32":       {"in_shared", "load", "u32", false},
	"ld.local.u8":         {"in_local", "load", "u8", false},
	"ld.local.u16":        {"in_local", "load", "u16", false},
	"ld.local.u32":        {"in_local", "load", "u32", false},
	"st.global.u32":       {"in_global", "store", "u32", false},
	"st.shared.u8":        {"in_shared", "store", "u8", false},
	"st.shared.u32":       {"in_shared", "store", "u32", false},
	"st.local.u8":         {"in_local", "store", "u8", false},
	"st.local.u32":        {"in_local", "store", "u32", false},
	"st.local.f32":        {"in_local", "store", "u32", true},
	"atom.shared.add.u32": {"in_shared", "add", "u32", false},
	"atom.global.add.u32": {"in_global", "add", "u32", false},
}

// sizes are the bytes of a type in memory, or of a class of registers.
var sizes = map[string]int{"u8": 1, "u16": 2, "u32": 4, "u64": 8, "h": 2, "r": 4, "f": 4, "x": 4, "d": 8}
