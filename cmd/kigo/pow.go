package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/spf13/cobra"

	"kigo/node/mcm"
	"kigo/node/pow"
	"kigo/node/rules"
	"kigo/node/verify"
)

// powBatch is how many trailers kigo pow checks at a time at most without a GPU:
// enough for all engines to be near their best, and some seconds' work for the
// slowest, so that progress shows.
const powBatch = 8192

// A powLine is what kigo pow --jsonl prints for one trailer.
type powLine struct {
	Index     int64     `json:"index"`
	Block     uint64    `json:"block"`
	Algorithm string    `json:"algorithm"`
	Verdict   string    `json:"verdict"`
	Hash      *mcm.Hash `json:"hash"`
}

// A powReport is what kigo pow --json prints.
type powReport struct {
	Trailers int64    `json:"trailers"`
	Valid    int64    `json:"valid"`
	Exempt   int64    `json:"exempt"`
	Bad      int64    `json:"bad"`
	Engines  []string `json:"engines"`
	Seconds  float64  `json:"seconds"`
	Rate     float64  `json:"trailers_per_second"`
}

func newPow(a *app) *cobra.Command {
	var asJSON, lines bool
	var engines engineFlags
	cmd := &cobra.Command{
		Use:   "pow FILE|-",
		Short: "Check the proof of work of raw trailers, without chain rules",
		Long: `Pow takes any number of 160-byte trailers, which need not belong together, and
gives the verdict and the final hash of each: valid, bad_nonce (the nonce is no
haiku), bad_work (the hash falls short of the difficulty) or exempt.`,
		Example: `  kigo pow --jsonl trailers.bin
  head -c 8640 segment.bin | kigo pow -`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if asJSON && lines {
				return usagef("--json prints one object and --jsonl a line for each trailer; take one")
			}
			in, err := openInput(cmd, args[0])
			if err != nil {
				return err
			}
			defer in.Close()
			return a.pow(cmd, args[0], in, asJSON, lines)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.Flags().BoolVar(&lines, "jsonl", false, "print a JSON line for each trailer, in order")
	engines.add(cmd)
	return cmd
}

func (a *app) pow(cmd *cobra.Command, name string, in io.Reader, asJSON, lines bool) error {
	engines, err := a.openEngines(cmd.Context())
	if err != nil {
		return err
	}
	defer engines.Close()
	out := bufio.NewWriter(cmd.OutOrStdout())

	var each func(index int64, t *mcm.Trailer, r *verify.Result) error
	switch {
	case lines:
		enc := json.NewEncoder(out)
		each = func(index int64, t *mcm.Trailer, r *verify.Result) error {
			return enc.Encode(newPowLine(index, t, r))
		}
	case !asJSON:
		each = func(index int64, t *mcm.Trailer, r *verify.Result) error {
			if !r.Verdict.Bad() {
				return nil
			}
			_, err := fmt.Fprintf(out, "trailer %d, block %d (%v): %s: %s\n", index, uint64(t.Num()), t.Num(), pow.RuleName(t), verify.Explain(t, r))
			return err
		}
	}
	start := time.Now()
	bar := newProgress(cmd.ErrOrStderr(), "trailers")
	report, rest, err := powStream(cmd, engines, max(powBatch, engines.batch()), in, each, func(done int64) {
		bar.tell(done, -1, engines.used())
		out.Flush() // a reader of our pipe sees what is known; its error shows at the end
	})
	bar.done()
	if err != nil {
		return err
	}
	elapsed := time.Since(start)
	report.Engines = engines.names()
	report.Seconds = round3(elapsed.Seconds())
	report.Rate = math.Round(float64(report.Trailers) / elapsed.Seconds())
	switch {
	case asJSON:
		err = writeJSON(out, report)
	case !lines:
		_, err = fmt.Fprintf(out, "%s trailers: %s valid, %s exempt, %s bad; %s on %s\n", count(report.Trailers), count(report.Valid), count(report.Exempt), count(report.Bad), perSecond(report.Trailers, elapsed), list(report.Engines))
	}
	if err := errors.Join(err, out.Flush()); err != nil {
		return err
	}
	if rest > 0 {
		return &exitError{exitInvalid, fmt.Sprintf("%s: %s: ends with %d bytes of a trailer, expected whole trailers of %d bytes", name, rules.FileLen, rest, mcm.TrailerLen)}
	}
	if report.Trailers == 0 {
		return &exitError{exitInvalid, fmt.Sprintf("%s: %s: is empty, expected at least one trailer of %d bytes", name, rules.FileData, mcm.TrailerLen)}
	}
	if report.Bad > 0 {
		return errInvalid
	}
	return nil
}

// powStream checks all whole trailers of in, so many at a time at most, tells each
// (unless it is nil), and returns the counts and how many bytes of a broken trailer were left.
func powStream(cmd *cobra.Command, v verify.Verifier, most int, in io.Reader, each func(int64, *mcm.Trailer, *verify.Result) error, tell func(int64)) (*powReport, int, error) {
	report := &powReport{}
	batch := make([]mcm.Trailer, most)
	results := make([]verify.Result, most)
	g := gather(in)
	defer close(g.stop)
	for {
		n, rest, err := g.next(batch)
		if err != nil || n == 0 {
			return report, rest, err
		}
		if err := v.VerifyPoW(cmd.Context(), results[:n], batch[:n]); err != nil {
			return nil, 0, err
		}
		for i := range n {
			if err := report.add(results[i].Verdict); err != nil {
				return nil, 0, fmt.Errorf("trailer %d: %w", report.Trailers, err)
			}
			if each != nil {
				if err := each(report.Trailers-1, &batch[i], &results[i]); err != nil {
					return nil, 0, err
				}
			}
		}
		tell(report.Trailers)
	}
}

func (r *powReport) add(v verify.Verdict) error {
	switch v {
	case verify.Valid:
		r.Valid++
	case verify.Exempt:
		r.Exempt++
	case verify.BadNonce, verify.BadWork:
		r.Bad++
	default:
		return fmt.Errorf("the engine left it %v", v)
	}
	r.Trailers++
	return nil
}

func newPowLine(index int64, t *mcm.Trailer, r *verify.Result) powLine {
	line := powLine{
		Index:     index,
		Block:     uint64(t.Num()),
		Algorithm: pow.AlgorithmOf(t).String(),
		Verdict:   r.Verdict.String(),
	}
	if !r.Hash.IsZero() {
		line.Hash = &r.Hash
	}
	return line
}
