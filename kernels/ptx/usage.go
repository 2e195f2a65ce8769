package ptx

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
)

// A Usage is what ptxas -v says that a kernel takes on a target.
type Usage struct {
	Target, Kernel string // "sm_75", "kigo_row"
	Stack          int    // bytes a thread
	Spills         int    // bytes stored and loaded a thread, for lack of registers
	Registers      int    // a thread
	Shared         int    // bytes a block
}

var (
	compiling  = regexp.MustCompile(`Compiling entry function '(\w+)' for '(sm_\w+)'`)
	frame      = regexp.MustCompile(`(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads`)
	used       = regexp.MustCompile(`Used (\d+) registers`)
	usedShared = regexp.MustCompile(`(\d+) bytes smem`)
)

// ReadUsage reads what nvcc prints with -Xptxas -v, and returns the usage of each
// kernel on each target in that order.  It is an error when a kernel's numbers
// aren't all there.
func ReadUsage(r io.Reader) (all []Usage, err error) {
	const stack, registers = 1, 2
	missing := 0
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := lines.Text()
		if m := compiling.FindStringSubmatch(line); m != nil {
			if missing != 0 {
				break
			}
			all, missing = append(all, Usage{Kernel: m[1], Target: m[2]}), stack|registers
			continue
		}
		if missing == 0 { // of a function that is no kernel, or of none
			continue
		}
		u := &all[len(all)-1]
		if m := frame.FindStringSubmatch(line); m != nil {
			u.Stack, u.Spills = atoi(m[1]), atoi(m[2])+atoi(m[3])
			missing &^= stack
		}
		if m := used.FindStringSubmatch(line); m != nil {
			u.Registers = atoi(m[1])
			if m := usedShared.FindStringSubmatch(line); m != nil {
				u.Shared = atoi(m[1])
			}
			missing &^= registers
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if missing != 0 {
		u := all[len(all)-1]
		return nil, fmt.Errorf("kernel %s for %s: ptxas has not said what it takes", u.Kernel, u.Target)
	}
	return all, nil
}

func atoi(s string) int {
	n, _ := strconv.Atoi(s) // digits, and few
	return n
}

// MaxRegisters is what two blocks of 256 threads on a multiprocessor leave to a
// thread.
const MaxRegisters = 128

// Check returns what is wrong: a kernel with a stack or spills or more than
// MaxRegisters, or one that is missing on a target.
func Check(all []Usage, targets, kernels []string) (wrong []string) {
	for _, target := range targets {
		for _, kernel := range kernels {
			i := slices.IndexFunc(all, func(u Usage) bool { return u.Target == target && u.Kernel == kernel })
			if i < 0 {
				wrong = append(wrong, fmt.Sprintf("%s for %s: not compiled", kernel, target))
			}
		}
	}
	for _, u := range all {
		complain := func(what string, n, most int) {
			if n > most {
				wrong = append(wrong, fmt.Sprintf("%s for %s: %d %s, at most %d are allowed", u.Kernel, u.Target, n, what, most))
			}
		}
		complain("bytes of stack", u.Stack, 0)
		complain("bytes of spills", u.Spills, 0)
		complain("registers", u.Registers, MaxRegisters)
	}
	return wrong
}
