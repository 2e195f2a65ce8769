package ptx

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kigo/node/verify/verifytest"
)

const quietNaN = 0x7fc00000

// opCases say what instructions make of their sources, after the PTX ISA
// reference.
var opCases = []struct {
	opcode string
	src    []uint64
	want   uint64
}{
	{"mov.pred", []uint64{1}, 1},
	{"mov.u16", []uint64{0xfedc}, 0xfedc},
	{"mov.u32", []uint64{0xfedcba98}, 0xfedcba98},
	{"mov.b32", []uint64{0x80000001}, 0x80000001},
	{"mov.f32", []uint64{0x7f800001}, 0x7f800001}, // a signalling NaN stays one
	{"mov.u64", []uint64{0xfedcba9876543210}, 0xfedcba9876543210},
	{"cvt.u16.u32", []uint64{0x12345678}, 0x5678},
	{"cvt.u32.u16", []uint64{0xffff}, 0xffff},
	{"cvt.u32.u64", []uint64{0x123456789abcdef0}, 0x9abcdef0},
	{"cvt.u64.u32", []uint64{0xffffffff}, 0xffffffff},
	{"cvt.s64.s32", []uint64{0xfffffffe}, 0xfffffffffffffffe},
	{"cvt.s64.s32", []uint64{0x7ffffffe}, 0x7ffffffe},
	{"cvt.rn.f32.s32", []uint64{0x80000040}, 0xcf000000}, // a tie goes to the even one
	{"cvt.rn.f32.s32", []uint64{0x80000041}, 0xceffffff},
	{"cvt.rn.f32.s32", []uint64{0x800000c0}, 0xcefffffe},
	{"cvta.to.global.u64", []uint64{0x123456789a}, 0x123456789a},
	{"add.s16", []uint64{0xffff, 3}, 2},
	{"add.s32", []uint64{0xffffffff, 3}, 2},
	{"add.s64", []uint64{0xffffffffffffffff, 3}, 2},
	{"add.u64", []uint64{0xffffffff, 3}, 0x100000002},
	{"sub.s32", []uint64{2, 3}, 0xffffffff},
	{"neg.s32", []uint64{5}, 0xfffffffb},
	{"mul.lo.s32", []uint64{0x10001, 0x10001}, 0x20001},
	{"mul.lo.s64", []uint64{0x100000001, 0x100000001}, 0x200000001},
	{"mul.wide.u16", []uint64{0xffff, 0xffff}, 0xfffe0001},
	{"mul.wide.u32", []uint64{0xffffffff, 0xffffffff}, 0xfffffffe00000001},
	{"mul.wide.s32", []uint64{0xffffffff, 5}, 0xfffffffffffffffb},
	{"min.u32", []uint64{0x80000000, 1}, 1},
	{"add.rn.f32", []uint64{0x00000001, 0x00000001}, 2},          // subnormals stay
	{"add.rn.f32", []uint64{0x4b800000, 0x3f800000}, 0x4b800000}, // 2^24 + 1: a tie
	{"mul.rn.f32", []uint64{0x00800000, 0x3f000000}, 0x00400000}, // becomes subnormal
	{"div.rn.f32", []uint64{0x3f800000, 0x40400000}, 0x3eaaaaab}, // 1/3
	{"div.rn.f32", []uint64{0x00000003, 0x40000000}, 2},          // 1.5 units: a tie
	{"div.rn.f32", []uint64{0xbf800000, 0x00000000}, 0xff800000}, // -1/0
	{"neg.f32", []uint64{0}, 0x80000000},
	{"and.pred", []uint64{1, 0}, 0},
	{"and.pred", []uint64{1, 1}, 1},
	{"or.pred", []uint64{1, 0}, 1},
	{"not.pred", []uint64{1}, 0},
	{"and.b16", []uint64{0x0ff0, 0x00ff}, 0x00f0},
	{"and.b32", []uint64{0x0ff00ff0, 0x00ffff00}, 0x00f00f00},
	{"and.b64", []uint64{0x0ff0000000000ff0, 0x00ff00000000ff00}, 0x00f0000000000f00},
	{"or.b32", []uint64{0x0ff00000, 0x00ff0001}, 0x0fff0001},
	{"or.b64", []uint64{0x0ff0000000000000, 0x00ff000000000001}, 0x0fff000000000001},
	{"xor.b16", []uint64{0x0ff0, 0x00ff}, 0x0f0f},
	{"xor.b32", []uint64{0x0ff00000, 0x00ff0001}, 0x0f0f0001},
	{"xor.b64", []uint64{0x0ff0000000000000, 0x00ff000000000001}, 0x0f0f000000000001},
	{"not.b16", []uint64{0x00ff}, 0xff00},
	{"not.b32", []uint64{0x00ff}, 0xffffff00},
	{"not.b64", []uint64{0x00ff}, 0xffffffffffffff00},
	{"shl.b32", []uint64{0x80000001, 1}, 2},
	{"shl.b32", []uint64{1, 32}, 0},
	{"shl.b32", []uint64{1, 0x80000001}, 0},
	{"shl.b64", []uint64{1, 63}, 1 << 63},
	{"shl.b64", []uint64{1, 64}, 0},
	{"shr.u32", []uint64{0x80000000, 31}, 1},
	{"shr.u32", []uint64{0x80000000, 33}, 0},
	{"shr.u64", []uint64{1 << 63, 63}, 1},
	{"shr.u64", []uint64{1 << 63, 64}, 0},
	{"shr.b64", []uint64{1 << 63, 62}, 2},
	{"shr.b64", []uint64{1 << 63, 127}, 0},
	{"shf.l.wrap.b32", []uint64{0x89abcdef, 0x01234567, 8}, 0x23456789},
	{"shf.l.wrap.b32", []uint64{0x89abcdef, 0x01234567, 32}, 0x01234567},
	{"shf.r.wrap.b32", []uint64{0x89abcdef, 0x01234567, 8}, 0x6789abcd},
	{"shf.r.wrap.b32", []uint64{0x89abcdef, 0x01234567, 40}, 0x6789abcd},
	{"prmt.b32", []uint64{0x44332211, 0x88776655, 0x7410}, 0x88552211},
	{"prmt.b32", []uint64{0x44332211, 0x88776655, 0xf7c6}, 0xff880077}, // signs of bytes 7 and 4
	{"dp4a.u32.u32", []uint64{0xff020304, 0xff010102, 0xffffffff}, 0xfe01 + 2 + 3 + 8 - 1},
	{"bfi.b32", []uint64{0xabcd, 0xffffffff, 8, 8}, 0xffffcdff},
	{"bfi.b32", []uint64{0xabcd, 0xffffffff, 24, 16}, 0xcdffffff},
	{"bfi.b32", []uint64{0xabcd, 0x12345678, 40, 8}, 0x12345678},
	{"bfi.b32", []uint64{0xabcd, 0x12345678, 8, 0}, 0x12345678},
	{"bfi.b64", []uint64{0xabcd, 0, 40, 8}, 0xcd0000000000},
	{"bfi.b64", []uint64{0xabcd, 1, 0, 64}, 0xabcd},
	{"setp.eq.s16", []uint64{0xffff, 0xffff}, 1},
	{"setp.ne.s16", []uint64{0xffff, 0xffff}, 0},
	{"setp.gt.s16", []uint64{0xffff, 1}, 0},
	{"setp.gt.s16", []uint64{1, 0xffff}, 1},
	{"setp.lt.u16", []uint64{1, 0xffff}, 1},
	{"setp.le.u16", []uint64{0xffff, 0xffff}, 1},
	{"setp.eq.b32", []uint64{7, 7}, 1},
	{"setp.eq.s32", []uint64{7, 8}, 0},
	{"setp.ne.s32", []uint64{7, 8}, 1},
	{"setp.gt.s32", []uint64{0, 0xffffffff}, 1},
	{"setp.lt.u32", []uint64{0, 0xffffffff}, 1},
	{"setp.gt.u32", []uint64{0, 0xffffffff}, 0},
	{"setp.ge.u32", []uint64{7, 7}, 1},
	{"setp.nan.f32", []uint64{0x3f800000, quietNaN}, 1},
	{"setp.nan.f32", []uint64{0xff800000, 0}, 0}, // infinity is none
	{"selp.b16", []uint64{5, 6, 1}, 5},
	{"selp.b32", []uint64{5, 6, 0}, 6},
	{"selp.u32", []uint64{5, 6, 1}, 5},
	{"selp.f32", []uint64{5, 6, 0}, 6},
	{"selp.b64", []uint64{5 << 40, 6, 1}, 5 << 40},
}

// The names of registers and how one gets its value, by class.
var (
	prefix = map[byte]string{'p': "%p", 'h': "%rs", 'r': "%r", 'x': "%r", 'f': "%f", 'd': "%rd"}
	load   = map[byte]string{'p': "mov.pred", 'h': "mov.u16", 'r': "mov.u32", 'x': "mov.u32", 'f': "mov.f32", 'd': "mov.u64"}
)

const header = ".version 7.8\n.target sm_75\n.address_size 64\n"

// body wraps lines into a kernel with plenty of registers and one parameter.
func body(name string, lines ...string) string {
	return ".visible .entry " + name + "(\n.param .u64 out\n)\n.maxntid 256, 1, 1\n{\n" +
		".reg .pred %p<9>;\n.reg .b16 %rs<9>;\n.reg .f32 %f<9>;\n.reg .b32 %r<9>;\n.reg .b64 %rd<9>;\n" +
		strings.Join(lines, "\n") + "\n}\n"
}

// program translates PTX and makes a program of it.
func program(t *testing.T, text string) string {
	t.Helper()
	kernels, err := Translate("test.ptx", text)
	if err != nil {
		t.Fatal(err)
	}
	cxx, err := exec.LookPath("g++")
	verifytest.Require(t, "emulator", err == nil, "translated code needs g++")
	folder := t.TempDir()
	source := filepath.Join(folder, "kernels.cpp")
	var all strings.Builder
	for _, k := range kernels {
		all.WriteString(k.Cpp)
	}
	if err := os.WriteFile(source, []byte(all.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-std=c++17", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", "-Wno-unused", "-I../src",
		"-o", filepath.Join(folder, "run"), "testdata/run.cpp", source}
	if out, err := exec.Command(cxx, args...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return filepath.Join(folder, "run")
}

func TestOps(t *testing.T) {
	lines := []string{"ld.param.u64 %rd8, [out];"}
	untested := maps.Clone(ops)
	for i, c := range opCases {
		o := ops[c.opcode]
		delete(untested, c.opcode)
		operands := []string{prefix[o.dst[0]] + "0"}
		for j, v := range c.src {
			class, value := o.src[j], fmt.Sprint(v)
			switch {
			case class == 'f':
				value = fmt.Sprintf("0f%08X", v)
			case class == 'p':
				value = fmt.Sprint(-int64(v))
			}
			operands = append(operands, fmt.Sprint(prefix[class], j+1))
			lines = append(lines, fmt.Sprintf("%s %s%d, %s;", load[class], prefix[class], j+1, value))
		}
		lines = append(lines, c.opcode+" "+strings.Join(operands, ", ")+";", "mov.u32 %r1, 0;")
		lines = append(lines, map[byte]string{
			'p': "selp.u32 %r0, 1, 0, %p0;",
			'h': "cvt.u32.u16 %r0, %rs0;",
			'f': "mov.b32 %r0, %f0;",
			'd': "mov.b64 {%r0, %r1}, %rd0;",
		}[o.dst[0]])
		lines = append(lines, fmt.Sprintf("st.global.u32 [%%rd8+%d], %%r0;", 8*i), fmt.Sprintf("st.global.u32 [%%rd8+%d], %%r1;", 8*i+4))
	}
	for _, opcode := range slices.Sorted(maps.Keys(untested)) {
		t.Errorf("%s has no case", opcode)
	}
	out, err := exec.Command(program(t, header+body("kernel", append(lines, "ret;")...)), "kernel").Output()
	if err != nil || len(out) < 8*len(opCases) {
		t.Fatalf("%d bytes, %v", len(out), err)
	}
	for i, c := range opCases {
		if got := binary.LittleEndian.Uint64(out[8*i:]); got != c.want {
			t.Errorf("%s of %#x: got %#x, want %#x", c.opcode, c.src, got, c.want)
		}
	}
}

// TestMemory runs accesses that are good and such that are not.
func TestMemory(t *testing.T) {
	const declared = ".shared .align 4 .b8 block[16];\n.local .align 4 .b8 mine[8];\nld.param.u64 %rd1, [out];\nmov.u64 %rd2, mine;\n" +
		"mov.u32 %r1, block;\nmov.u64 %rd3, table;\nmov.u32 %r2, 258;\n"
	cases := []struct {
		name, lines string
		want        uint32 // the first word of global memory
		fails       string
	}{
		{"shared", "st.shared.u32 [%r1+12], %r2;\nld.shared.u32 %r3, [%r1+12];\nst.global.u32 [%rd1], %r3;", 258, ""},
		{"shared_byte", "st.shared.u32 [%r1], %r2;\nld.shared.u8 %r3, [block+1];\nst.global.u32 [%rd1], %r3;", 1, ""},
		{"store_byte", "st.shared.u32 [%r1], %r2;\nmov.u16 %rs1, 772;\nst.shared.u8 [%r1+1], %rs1;\nld.shared.u32 %r3, [%r1];\nst.global.u32 [%rd1], %r3;", 0x0402, ""},
		{"shared_end", "st.shared.u32 [%r1+16], %r2;", 0, "shared memory"},
		{"shared_below", "st.shared.u32 [%r1+-4], %r2;", 0, "shared memory"},
		{"shared_odd", "ld.shared.u32 %r3, [%r1+2];", 0, "shared memory"},
		{"shared_add", "st.shared.u32 [%r1], %r2;\natom.shared.add.u32 %r3, [%r1], 5;\nld.shared.u32 %r4, [%r1];\nsub.s32 %r5, %r4, %r3;\nst.global.u32 [%rd1], %r5;", 5, ""},
		{"local", "st.local.u32 [%rd2+4], %r2;\nld.local.u8 %r3, [%rd2+5];\nst.global.u32 [%rd1], %r3;", 1, ""},
		{"local_half", "st.local.u32 [%rd2+4], %r2;\nld.local.u16 %rs3, [%rd2+4];\ncvt.u32.u16 %r3, %rs3;\nst.global.u32 [%rd1], %r3;", 258, ""},
		{"local_float", "mov.f32 %f1, 0f3F800000;\nst.local.f32 [%rd2], %f1;\nld.local.u32 %r3, [%rd2];\nst.global.u32 [%rd1], %r3;", 0x3f800000, ""},
		{"local_byte", "mov.u16 %rs1, 260;\nmov.u32 %r4, 0;\nst.local.u32 [%rd2], %r4;\nst.local.u8 [%rd2], %rs1;\nld.local.u32 %r3, [%rd2];\nst.global.u32 [%rd1], %r3;", 4, ""},
		{"local_end", "st.local.u32 [%rd2+8], %r2;", 0, "local memory"},
		{"constant", "ld.const.u8 %rs1, [%rd3+2];\ncvt.u32.u16 %r3, %rs1;\nst.global.u32 [%rd1], %r3;", 30, ""},
		{"constant_wide", "ld.const.u64 %rd4, [%rd3];\ncvt.u32.u64 %r3, %rd4;\nst.global.u32 [%rd1], %r3;", 0x281e140a, ""},
		{"constant_end", "ld.const.u8 %rs1, [%rd3+8];", 0, "constant memory"},
		{"constant_odd", "ld.const.u64 %rd4, [%rd3+4];", 0, "constant memory"},
		{"global", "st.global.u32 [%rd1+4092], %r2;\nld.global.u32 %rd4, [%rd1+4092];\ncvt.u32.u64 %r3, %rd4;\nst.global.u32 [%rd1], %r3;", 258, ""},
		{"global_add", "st.global.u32 [%rd1], %r2;\natom.global.add.u32 %r3, [%rd1], %r2;", 516, ""},
		{"global_end", "st.global.u32 [%rd1+4096], %r2;", 0, "global memory"},
		{"global_below", "ld.global.u32 %r3, [%rd1+-4];", 0, "global memory"},
		{"global_odd", "ld.global.u32 %r3, [%rd1+1];", 0, "global memory"},
		{"who", "mov.u32 %r3, %tid.x;\nmov.u32 %r4, %ctaid.x;\nmul.lo.s32 %r5, %r3, %r4;\nst.global.u32 [%rd1], %r5;", 21, ""},
		{"words", "mov.b64 %rd4, {%r2, %r1};\n{\n.reg .b32 %dummy;\nmov.b64 {%r3, %dummy}, %rd4;\n}\nst.global.u32 [%rd1], %r3;", 258, ""},
		// A loop around a barrier, written so that the text before it runs last.
		{"loop", "mov.u32 %r4, 0;\nbra.uni $B;\n$A:\nadd.s32 %r4, %r4, 10;\nsetp.gt.u32 %p1, %r4, 25;\n@%p1 bra $C;\n$B:\nbar.sync 0;\n@!%p2 bra $A;\nbra $A;\n$C:\nst.global.u32 [%rd1], %r4;", 30, ""},
	}
	text := header + ".const .align 8 .b8 table[8] = {10, 20, 30, 40, 50, 60, 70, 80};\n"
	for _, c := range cases {
		text += body(c.name, declared+c.lines, "ret;")
	}
	run := program(t, text)
	for _, c := range cases {
		cmd := exec.Command(run, c.name)
		var said bytes.Buffer
		cmd.Stderr = &said
		out, err := cmd.Output()
		if c.fails != "" {
			if err == nil || !strings.Contains(said.String(), c.fails) || !strings.Contains(said.String(), c.name+": line ") {
				t.Errorf("%s: got %v and %q, want the program to end with %q", c.name, err, said.String(), c.fails)
			}
		} else if err != nil || binary.LittleEndian.Uint32(out) != c.want {
			t.Errorf("%s: got %x, %v, %s; want %#x", c.name, out[:min(4, len(out))], err, said.String(), c.want)
		}
	}
	for opcode := range accesses {
		if !strings.Contains(text, opcode+" ") {
			t.Errorf("%s has no case", opcode)
		}
	}
}
