package ptx_test

import (
	"reflect"
	"strings"
	"testing"

	"kigo/kernels/ptx"
)

const said = `ptxas info    : 0 bytes gmem, 1024 bytes cmem[3]
ptxas info    : Compiling entry function 'kigo_row' for 'sm_75'
ptxas info    : Function properties for kigo_row
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 85 registers, 32832 bytes smem, 400 bytes cmem[0]
ptxas info    : Compiling entry function 'kigo_final' for 'sm_90'
ptxas info    : Function properties for kigo_final
    8 bytes stack frame, 12 bytes spill stores, 16 bytes spill loads
ptxas info    : Used 129 registers, 372 bytes cmem[0]
ptxas info    : Function properties for helper
    64 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
`

func TestReadUsage(t *testing.T) {
	all, err := ptx.ReadUsage(strings.NewReader(said))
	want := []ptx.Usage{
		{Target: "sm_75", Kernel: "kigo_row", Registers: 85, Shared: 32832},
		{Target: "sm_90", Kernel: "kigo_final", Stack: 8, Spills: 28, Registers: 129},
	}
	if err != nil || !reflect.DeepEqual(all, want) {
		t.Errorf("got %+v, %v; want %+v", all, err, want)
	}

	lines := strings.SplitAfter(said, "\n")
	for _, at := range []int{3, 4} { // the two lines with numbers of kigo_row
		cut := strings.Join(append(append([]string{}, lines[:at]...), lines[at+1:]...), "")
		if all, err := ptx.ReadUsage(strings.NewReader(cut)); err == nil {
			t.Errorf("without line %q: got %+v, want an error", lines[at], all)
		}
	}
	if all, err := ptx.ReadUsage(strings.NewReader(strings.Join(lines[:3], ""))); err == nil {
		t.Errorf("cut short: got %+v, want an error", all)
	}
}

func TestCheck(t *testing.T) {
	good := ptx.Usage{Target: "sm_75", Kernel: "kigo_row", Registers: ptx.MaxRegisters, Shared: 32832}
	with := func(change func(*ptx.Usage)) []ptx.Usage {
		u := good
		change(&u)
		return []ptx.Usage{u}
	}
	for _, test := range []struct {
		all  []ptx.Usage
		want []string
	}{
		{[]ptx.Usage{good}, nil},
		{nil, []string{"kigo_row for sm_75: not compiled"}},
		{with(func(u *ptx.Usage) { u.Target = "sm_80" }), []string{"kigo_row for sm_75: not compiled"}},
		{with(func(u *ptx.Usage) { u.Stack = 8 }), []string{"kigo_row for sm_75: 8 bytes of stack, at most 0 are allowed"}},
		{with(func(u *ptx.Usage) { u.Spills = 4 }), []string{"kigo_row for sm_75: 4 bytes of spills, at most 0 are allowed"}},
		{with(func(u *ptx.Usage) { u.Registers++ }), []string{"kigo_row for sm_75: 129 registers, at most 128 are allowed"}},
	} {
		if got := ptx.Check(test.all, []string{"sm_75"}, []string{"kigo_row"}); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%+v: got %q, want %q", test.all, got, test.want)
		}
	}
}
