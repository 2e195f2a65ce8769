package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kigo/node/synth"
	"kigo/node/tfile"
)

// defaultStart is 2000-01-01: early enough that a chain of main-net length lies
// in the past even if it is all pseudoblocks.
const defaultStart = 946684800

func newSynth(a *app) *cobra.Command {
	c := synth.Config{Blocks: 1000, Worked: 1, Difficulty: 1, Seed: 1, StartTime: defaultStart}
	var faults []string
	var out string
	var engines engineFlags
	cmd := &cobra.Command{
		Use:   "synth --out FILE",
		Short: "Make a synthetic trailer file, with faults on request",
		Long: `Synth makes the first N trailers of a chain that the rules accept, deterministic
from a seed, with real proofs of work: for tests, benchmarks and demonstrations.
A longer chain begins with the shorter one of the same settings.

--fault KIND@BLOCK breaks one rule at one block and goes on from there, so that
nothing else is wrong.  Kinds:

` + faultKinds(),
		Example: `  kigo synth --blocks 1100000 --worked 0.99 --difficulty 0 --out big.dat
  kigo synth --blocks 1000 --fault pow-work@700 --out bad.dat`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, s := range faults {
				f, err := synth.ParseFault(s)
				if err != nil {
					return usagef("--fault %v", err)
				}
				c.Faults = append(c.Faults, f)
			}
			if out == "" {
				return usagef("--out: name the file to write, or - for standard output")
			}
			engines, err := a.openEngines(cmd.Context())
			if err != nil {
				return err
			}
			defer engines.Close()
			c.Solver = engines
			return a.synth(cmd, c, out)
		},
	}
	cmd.Flags().Int64Var(&c.Blocks, "blocks", c.Blocks, "how many trailers to make, the genesis included")
	cmd.Flags().Float64Var(&c.Worked, "worked", c.Worked, "which `FRACTION` of the blocks carries a proof of work; the rest are pseudoblocks")
	cmd.Flags().Uint8Var(&c.Difficulty, "difficulty", c.Difficulty, "difficulty that solve times steer towards; each step doubles the work")
	cmd.Flags().Uint64Var(&c.Seed, "seed", c.Seed, "the same seed makes the same chain")
	cmd.Flags().Uint32Var(&c.StartTime, "start-time", c.StartTime, "start time of block 1 in Unix seconds")
	cmd.Flags().StringArrayVar(&faults, "fault", nil, "break a rule: `KIND@BLOCK`; may be given again")
	cmd.Flags().StringVar(&out, "out", "", "`FILE` to write, - for standard output")
	engines.add(cmd)
	return cmd
}

// faultKinds lists the kinds of fault for the help text.
func faultKinds() string {
	var b strings.Builder
	t := newTable(&b)
	for _, k := range synth.Kinds() {
		fmt.Fprintf(t, "  %s\t%s\t%s\n", k.Name, k.Rule, k.Summary)
	}
	t.Flush()
	return strings.TrimRight(b.String(), "\n")
}

func (a *app) synth(cmd *cobra.Command, c synth.Config, out string) error {
	bar := newProgress(cmd.ErrOrStderr(), "trailers")
	c.Progress = func(done, total int64) { bar.tell(done, total, "") }
	start := time.Now()
	var stats synth.Stats
	err := writeFile(cmd, out, func(w io.Writer) (err error) {
		stats, err = synth.Generate(cmd.Context(), w, c)
		return err
	})
	bar.done()
	if config := (*synth.ConfigError)(nil); errors.As(err, &config) {
		return usagef("%v", err)
	}
	if err != nil {
		return err
	}
	elapsed := time.Since(start)
	fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s trailers (%s worked, %s pseudo, %s neogenesis), last at %s, in %s (%s)\n",
		out, count(stats.Trailers), count(stats.Worked), count(stats.Pseudo), count(stats.Neogenesis),
		utc(stats.LastTime), elapsed.Round(time.Millisecond), perSecond(stats.Trailers, elapsed))
	if lead := int64(stats.LastTime) - time.Now().Unix(); lead > 0 && stats.LastTime < math.MaxUint32 {
		fmt.Fprintf(cmd.ErrOrStderr(), "note: the chain ends in the future; verify it with --now %d\n", stats.LastTime)
	}
	return nil
}

// writeFile has fill write a file, or standard output for -.  An old file is only
// replaced by a whole one.
func writeFile(cmd *cobra.Command, name string, fill func(io.Writer) error) error {
	if name == "-" {
		return fill(cmd.OutOrStdout())
	}
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return usagef("%s is a directory, want the name of a file to write", name)
	}
	err := tfile.WriteFile(name, fill)
	if path := (*fs.PathError)(nil); errors.As(err, &path) && path.Op == "open" {
		return usagef("%s can't be written: %v", name, path.Err)
	}
	return err
}
