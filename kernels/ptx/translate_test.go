package ptx

import (
	"errors"
	"strings"
	"testing"
)

// TestRefuse gives the translator a line it must not accept.
func TestRefuse(t *testing.T) {
	const start = ".shared .align 4 .b8 block[16];\nmov.u32 %r1, 0;\n$L1:\n"
	for _, test := range []struct{ line, want string }{
		{"add.ftz.f32 %f1, %f2, %f3;", "unknown instruction add.ftz.f32"},
		{"div.full.f32 %f1, %f2, %f3;", "unknown instruction div.full.f32"},
		{"div.approx.f32 %f1, %f2, %f3;", "unknown instruction div.approx.f32"},
		{"div.rn.ftz.f32 %f1, %f2, %f3;", "unknown instruction div.rn.ftz.f32"},
		{"fma.rn.f32 %f1, %f2, %f3, %f4;", "unknown instruction fma.rn.f32"},
		{"dp4a.s32.u32 %r1, %r2, %r3, %r4;", "unknown instruction dp4a.s32.u32"},
		{"shf.r.clamp.b32 %r1, %r2, %r3, %r4;", "unknown instruction shf.r.clamp.b32"},
		{"ld.volatile.shared.u32 %r1, [%r2];", "unknown instruction ld.volatile.shared.u32"},
		{"ld.global.nc.u32 %r1, [%rd2];", "unknown instruction"},
		{"st.global.u32.x [%rd2], %r1;", "unknown instruction"},
		{"exit;", "unknown instruction exit"},

		{"add.s32 %r1, %r2;", "add.s32 has 2 operands, want 3"},
		{"add.s32 %r1, %r2, %r3, %r4;", "operands"},
		{"add.s32 %r1, %r2, ;", "source"},
		{"ret 1;", "operands"},
		{"bra;", "operands"},
		{"ld.shared.u32 %r1;", "operands"},
		{"st.shared.u32 [%r1], %r2, %r3;", "operands"},
		{"atom.shared.add.u32 %r1, [%r2];", "operands"},
		{"mov.b64 {%r1}, %rd1;", "operands"},
		{"mov.b64 {%r1, %r2, %r3}, %rd1;", "operands"},
		{"mov.b64 %rd1, %rd2;", "two words"},
		{"add.s32 %r1, %r2, %r3", "not understood"},
		{"add.s32 %r1 %r2 %r3;", "operands"},
		{"ADD.S32 %r1, %r2, %r3;", "not understood"},
		{"@%p1;", "not understood"},
		{"@%r1 bra $L1;", "not understood"},
		{"$L1:", "there twice"},
		{"$L2", "label"},
		{"bra L1;", "no label"},
		{".reg .b128 %q<4>;", "not understood"},
		{".reg .b32 %r<4>;", "declared twice"},
		{".shared .align 32 .b8 more[16];", "alignment"},
		{".pragma \"unroll\";", "not understood"},

		{"add.s32 %r1, %rd2, %r3;", "%rd2 is of class d, want r"},
		{"add.s32 %rd1, %r2, %r3;", "%rd1 is of class d, want r"},
		{"add.s64 %rd1, %rd2, %r3;", "%r3 is of class r, want d"},
		{"add.s32 %r1, %f2, %r3;", "%f2 is of class f, want r"},
		{"mov.b32 %rd1, %r2;", "%rd1 is of class d, want x"},
		{"cvt.u64.u32 %rd1, %rs1;", "class"},
		{"mov.b64 {%rd1, %r2}, %rd3;", "class"},
		{"add.s32 %r1, %r2, %r9;", "%r9 is not declared, only 9 are"},
		{"add.s32 %r1, %r2, %q3;", "not declared"},
		{"add.s32 %r, %r2, %r3;", "not declared"},
		{"add.s32 7, %r2, %r3;", "no register"},
		{"add.s32 %r1, %r2, 4294967296;", "source"},
		{"add.s32 %r1, %r2, -2147483649;", "source"},
		{"add.s16 %rs1, %rs2, 65536;", "source"},
		{"add.s32 %r1, %r2, 0f00000000;", "source"},
		{"add.rn.f32 %f1, %f2, 1;", "source"},
		{"add.rn.f32 %f1, %f2, 0f123;", "source"},
		{"mov.pred %p1, 1;", "source"},
		{"mov.u32 %r1, %tid.y;", "no register"},
		{"add.s32 %r1, %tid.x, 1;", "no register"},
		{"mov.u64 %rd1, block;", "source"},
		{"mov.u32 %r1, nothing;", "source"},

		{"ld.shared.u32 %rs1, [%r1];", "class h"},
		{"ld.global.u32 %f1, [%rd1];", "class f"},
		{"st.local.f32 [%rd1], %r1;", "class r"},
		{"ld.shared.u8 %p1, [%r1];", "class p"},
		{"ld.shared.u32 %r1, [%rd1];", "%rd1 is of class d, want r"},
		{"ld.global.u32 %r1, [%r1];", "%r1 is of class r, want d"},
		{"ld.shared.u32 %r1, %r2;", "no address"},
		{"ld.param.u32 %r1, [out];", "no parameter of this type"},
		{"ld.param.u64 %rd1, [in];", "no parameter of this type"},
		{"bar.sync 1;", "barrier 1"},
		{"@%p1 bar.sync 0;", "only some threads"},
	} {
		text := header + body("kernel", start+test.line, "ret;")
		_, err := Translate("test.ptx", text)
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(e.Reason, test.want) {
			t.Errorf("%s: got error %v, want %q", test.line, err, test.want)
			continue
		}
		if line := strings.Split(text, "\n")[e.Line-1]; line != test.line || e.File != "test.ptx" {
			t.Errorf("%s: the error is said to be in %s:%d, %q", test.line, e.File, e.Line, line)
		}
	}
}

func TestRefuseFile(t *testing.T) {
	good := body("kernel", "ret;")
	for _, test := range []struct{ name, text, want string }{
		{"nothing", header, "no kernel"},
		{"version", strings.Replace(header, "7.8", "9.0", 1) + good, "not understood: .version 9.0"},
		{"texture mode", strings.Replace(header, "sm_75", "sm_75, texmode_independent", 1) + good, "not understood"},
		{"32 bits", strings.Replace(header, "64", "32", 1) + good, "not understood"},
		{"variable", header + ".global .align 4 .u32 n;\n" + good, "not understood"},
		{"function", header + ".func f()\n" + good, "not understood"},
		{"constant of words", header + ".const .align 4 .b32 k[2] = {1, 2};\n" + good, "not understood"},
		{"constant too short", header + ".const .align 4 .b8 k[2] = {1};\n" + good, "k has 1 values in 2 bytes"},
		{"constant twice", header + ".const .align 4 .b8 k[1];\n.const .align 4 .b8 k[1];\n" + good, "twice"},
		{"constant of a gigabyte", header + ".const .align 4 .b8 k[1073741824];\n" + good, "number"},
		{"two dimensions", header + strings.Replace(good, "256, 1, 1", "16, 16, 1", 1), "not understood"},
		{"parameter by value", header + strings.Replace(good, ".u64 out", ".align 8 .b8 out[16]", 1), "not understood"},
		{"label nowhere", header + body("kernel", "bra $L9;"), "label L9 of kernel kernel is nowhere"},
		{"cut short", header + strings.TrimSuffix(good, "}\n"), "ends inside kernel kernel"},
		{"cut in the head", header + ".visible .entry kernel(\n", "ends inside kernel kernel"},
	} {
		if kernels, err := Translate("test.ptx", test.text); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, error %v, want %q", test.name, kernels, err, test.want)
		}
	}
}

// TestKept looks at which registers are kept at a barrier.
func TestKept(t *testing.T) {
	kernels, err := Translate("test.ptx", header+body("kernel",
		"mov.u32 %r1, 1;", // needed after the barrier
		"mov.u32 %r2, 2;", // before it only
		"add.s32 %r3, %r2, %r2;",
		"@%p1 bra $out;",
		"bar.sync 0;",
		"add.s32 %r4, %r1, 4;", // after it only
		"ret;",
		"$out:", // stands behind the barrier, never runs after it
		"add.s32 %r5, %r2, %r3;",
		"ret;"))
	if err != nil || len(kernels) != 1 {
		t.Fatal(kernels, err)
	}
	state, _, _ := strings.Cut(kernels[0].Cpp, "local[")
	for name, want := range map[string]bool{"r_1": true, "r_2": false, "r_3": false, "r_4": false, "r_5": false} {
		if got := strings.Contains(state, " "+name+";"); got != want {
			t.Errorf("%s is kept: %t, want %t", name, got, want)
		}
	}
}
