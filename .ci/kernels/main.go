// Command kernels checks the device code on machines without a GPU.
//
//	go run .ci/kernels/*.go limits LOG
//
// reads what nvcc said with -Xptxas -v and fails when a kernel has a stack, spills
// or too many registers on one of the chips, or isn't there.
//
//	go run .ci/kernels/*.go mutate [-only TEXT] [-every N -from K]
//
// breaks copies of the device code and of the flags it is compiled with, one place
// at a time, and fails when the check that should notice does not.  With -every it
// leaves out all but one in N of those mutations that don't always have to be done,
// beginning with the K-th.
package main

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"strings"

	"kigo/kernels/ptx"
)

var (
	targets = []string{"sm_75", "sm_80", "sm_86", "sm_89", "sm_90"}
	kernels = []string{"kigo_init", "kigo_row", "kigo_jump", "kigo_final"}
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("kernels: ")
	if err := run(os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "limits":
		return limits(args[1])
	case len(args) > 0 && args[0] == "mutate":
		flags := flag.NewFlagSet("mutate", flag.ExitOnError)
		only := flags.String("only", "", "do the mutations whose names contain `TEXT`")
		every := flags.Int("every", 1, "do one in `N` of those that don't always have to be done")
		from := flags.Int("from", 0, "beginning with the `K`-th")
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		if *every < 1 || *from < 0 {
			return fmt.Errorf("-every %d -from %d: want at least 1 and 0", *every, *from)
		}
		return mutate(func(i int, m *mutation) bool {
			return strings.Contains(m.name, *only) && (m.always || i%*every == *from%*every)
		})
	}
	return errors.New("want limits LOG, or mutate [-only TEXT] [-every N -from K]")
}

// limits checks a log of nvcc and prints what the kernels take.
func limits(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	all, err := ptx.ReadUsage(f)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	fmt.Printf("%-12s %-7s %9s %6s %6s %6s\n", "kernel", "target", "registers", "stack", "spills", "shared")
	for _, u := range all {
		fmt.Printf("%-12s %-7s %9d %6d %6d %6d\n", u.Kernel, u.Target, u.Registers, u.Stack, u.Spills, u.Shared)
	}
	var errs []error
	for _, wrong := range ptx.Check(all, targets, kernels) {
		errs = append(errs, errors.New(wrong))
	}
	return errors.Join(errs...)
}
