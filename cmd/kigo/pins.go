package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"kigo/node/mcm"
	"kigo/node/tfile"
)

func newPins(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pins",
		Short: "Make pins: prefixes of the chain that are known to be good",
		Long: `A pin names a height, the block hash, the weight and the SHA-256 of the trailer
file up to there and of each 1,000 trailers of it.  kigo verify --pin takes the
proof of work of such a prefix as known when the bytes are the pinned ones.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var f pinFlags
	derive := &cobra.Command{
		Use:   "derive FILE",
		Short: "Verify a trailer file and print its pin",
		Long: `Derive verifies the whole trailer file, proof of work included, and prints the
pin of the block at --height, or of its last one.  A file that is not valid up
to there gives no pin.`,
		Example: `  kigo pins derive tfile.dat --out pin.json
  kigo verify --pin pin.json tfile.dat`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.last = !cmd.Flags().Changed("height")
			if !cmd.Flags().Changed("now") {
				f.now = time.Now().Unix()
			}
			return a.derivePin(cmd, args[0], &f)
		},
	}
	derive.Flags().Uint64Var(&f.height, "height", 0, "block to pin (default: the last)")
	derive.Flags().Int64Var(&f.now, "now", 0, "take `UNIX` seconds as the time, for the rule about the future (default: the clock)")
	derive.Flags().BoolVar(&f.noPow, "no-pow", false, "trust the file's proofs of work, check structure only")
	derive.Flags().StringVar(&f.out, "out", "-", "`FILE` to write, - for standard output")
	engineFlags{}.add(derive)
	cmd.AddCommand(derive)
	return cmd
}

type pinFlags struct {
	height uint64
	last   bool // pin the last block
	now    int64
	noPow  bool
	out    string
}

func (a *app) derivePin(cmd *cobra.Command, name string, f *pinFlags) error {
	in, err := openInput(cmd, name)
	if err != nil {
		return err
	}
	defer in.Close()
	if in.file == nil {
		return usagef("a pin is derived from a regular file, and %s is none", name)
	}
	if err := differ(in.file, f.out); err != nil {
		return err
	}
	size := in.size
	if !f.last {
		if trailers := size / mcm.TrailerLen; f.height >= uint64(trailers) {
			return usagef("--height %d: %s holds %d trailers, so the last block is %d", f.height, name, trailers, trailers-1)
		}
		size = int64(f.height+1) * mcm.TrailerLen
	}
	opts := tfile.Options{Now: f.now, DerivePin: true}
	var engines *engines
	if !f.noPow {
		if engines, err = a.openEngines(cmd.Context()); err != nil {
			return err
		}
		defer engines.Close()
		opts.Verifier = engines
	}
	bar := newProgress(cmd.ErrOrStderr(), "trailers")
	opts.Progress = func(p tfile.Progress) { bar.tell(p.Proven, p.Total, engines.used()) }
	report, err := tfile.Verify(cmd.Context(), in.Reader, size, opts)
	bar.done()
	if err != nil {
		return err
	}
	if !report.Valid() {
		p := report.Problems[0]
		return &exitError{exitInvalid, fmt.Sprintf("%s: block %v: %s: %s; no pin was made", name, p.Num, p.Rule, p.Detail)}
	}
	return writeFile(cmd, f.out, func(w io.Writer) error { return writeJSON(w, report.Pin) })
}

// differ refuses to write to the file that is read.
func differ(in *os.File, out string) error {
	read, err := in.Stat()
	if err != nil {
		return err
	}
	if written, err := os.Stat(out); err == nil && os.SameFile(read, written) {
		return usagef("--out %s is the file that is read", out)
	}
	return nil
}
