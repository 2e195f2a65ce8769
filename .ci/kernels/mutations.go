package main

// A mutation is a change of the device code, or of how it is compiled, that must
// not pass.
type mutation struct {
	name     string
	check    string // that must notice, of those in checks
	file     string // in kernels/src
	old, new string // old is there once
	always   bool   // also done where only some are
}

// What the emulation runs is the source with its few special instructions replaced
// by C++, so mistakes in those, in flags and in barriers are for the run of the
// PTX; what ptxas makes of it is for the limits.  -prec-div=false alone is no
// mutation: the source names the exact division.
var mutations = []mutation{
	{"no barrier before work", "ptx", "peach.cu",
		"__syncthreads();\n\twork(", "work(", true},
	{"no barrier after work", "ptx", "peach.cu",
		"__syncthreads();\n\treserve(", "reserve(", false},
	{"no barrier before append", "ptx", "peach.cu",
		"__syncthreads();\n\tappend(", "append(", false},
	{"a barrier for some threads", "ptx", "peach.cu",
		"__syncthreads();\n\tappend(", "if (l.queue != NO_QUEUE)\n\t\t__syncthreads();\n\tappend(", false},
	{"flush to zero", "ptx", "nvcc.flags", "-ftz=false", "-ftz=true", true},
	{"fast math", "ptx", "nvcc.flags", "-fmad=false -ftz=false -prec-div=true", "-use_fast_math", true},
	{"inexact division", "ptx", "word.cuh", "__fdiv_rn(a, b)", "__fdividef(a, b)", true},
	{"rounding towards zero", "ptx", "word.cuh", "__fadd_rn(", "__fadd_rz(", false},
	{"permute of swapped words", "ptx", "word.cuh", `"r"(a), "r"(b), "r"(sel)`, `"r"(b), "r"(a), "r"(sel)`, true},
	{"permute without sign", "host", "mix.cuh", "prmt(borrow, 0, 0xba98)", "prmt(borrow, 0, 0x3210)", false},
	{"signed dp4a", "ptx", "word.cuh", "dp4a.u32.u32", "dp4a.s32.u32", false},
	{"rotation the wrong way", "ptx", "word.cuh", "__funnelshift_r(", "__funnelshift_l(", false},
	{"rotation too short", "host", "word.cuh", "32 - n", "31 - n", false},
	{"append one place on", "host", "peach.cuh", "+ l->slot]", "+ l->slot + 1]", false},
	{"one more trailer than there are", "ptx", "peach.cuh",
		"if (at >= n)", "if (at > n)", false},
	{"no replacement of a NaN", "host", "mix.cuh", "q = (q & magnitude) > inf ? nan : q;", "", false},
	{"the first row mixed as others are", "host", "peach.cuh", "mix<9>(seed, index)", "mix<8>(seed, index)", false},
	{"an array with addresses", "limits", "peach.cuh",
		"u32 v = w[0];", "return w[i];\n\t\tu32 v = w[0];", false},
	{"too few registers", "limits", "peach.cu", "#define BLOCKS 2", "#define BLOCKS 4", false},
}
