package main

import (
	"encoding/json"
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
	var height int64
	var noPow bool
	var out string
	var engines engineFlags
	derive := &cobra.Command{
		Use:   "derive FILE",
		Short: "Verify a trailer file and print its pin",
		Long: `Derive verifies the whole trailer file, proof of work included, and prints the
pin of the block at --height, or of its last one.  A file that is not valid up
to there gives no pin.`,
		Example: "  kigo pins derive tfile.dat --out pin.json; kigo verify --pin pin.json tfile.dat",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.derivePin(cmd, args[0], height, noPow, out)
		},
	}
	derive.Flags().Int64Var(&height, "height", -1, "block to pin (default: the last)")
	derive.Flags().BoolVar(&noPow, "no-pow", false, "trust the file's proofs of work, check structure only")
	derive.Flags().StringVar(&out, "out", "-", "`FILE` to write, - for standard output")
	engines.add(derive)
	cmd.AddCommand(derive)
	return cmd
}

func (a *app) derivePin(cmd *cobra.Command, name string, height int64, noPow bool, out string) error {
	f, err := os.Open(name)
	if err != nil {
		return usagef("%v", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	if height >= 0 {
		end := (height + 1) * mcm.TrailerLen
		if end > size {
			return usagef("--height %d: %s holds %d trailers, so the last block is %d", height, name, size/mcm.TrailerLen, size/mcm.TrailerLen-1)
		}
		size = end
	}
	opts := tfile.Options{Now: time.Now().Unix()}
	var engines *engines
	if !noPow {
		if engines, err = a.openEngines(cmd.Context()); err != nil {
			return err
		}
		defer engines.Close()
		opts.Verifier = engines
	}
	bar := newProgress(cmd.ErrOrStderr(), "trailers")
	opts.Progress = func(p tfile.Progress) { bar.tell(p.Proven, p.Total, engines.used()) }
	report, err := tfile.Verify(cmd.Context(), io.NewSectionReader(f, 0, size), size, opts)
	bar.done()
	if err != nil {
		return err
	}
	if !report.Valid() {
		p := report.Problems[0]
		return &exitError{exitInvalid, fmt.Sprintf("%s: block %v: %s: %s; no pin was made", name, p.Num, p.Rule, p.Detail)}
	}
	pin, err := tfile.DerivePin(io.NewSectionReader(f, 0, size), report.Last)
	if err != nil {
		return err
	}
	return writeFile(cmd, out, func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetIndent("", " ")
		return enc.Encode(pin)
	})
}
