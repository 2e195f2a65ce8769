package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/spf13/cobra"

	"kigo/node/mcm"
	"kigo/node/rules"
	"kigo/node/tfile"
)

// A verifyReport is what kigo verify --json prints (docs/commands.md).
type verifyReport struct {
	File         string        `json:"file"`
	Trailers     int64         `json:"trailers"`
	FirstBlock   uint64        `json:"first_block"`
	LastBlock    uint64        `json:"last_block"`
	Weight       mcm.Weight    `json:"weight"`
	ProvenWeight mcm.Weight    `json:"proven_weight"`
	PoW          powCounts     `json:"pow"`
	PoWChecked   bool          `json:"pow_checked"` // false: the verdict is on structure only
	Quick        *quickVerdict `json:"quick,omitempty"`
	Valid        bool          `json:"valid"`
	Errors       []verifyError `json:"errors"`
	MoreErrors   int64         `json:"more_errors,omitempty"`
	Engines      []string      `json:"engines"`
	Seconds      float64       `json:"seconds"`
	Rate         float64       `json:"trailers_per_second"`
}

// powCounts says of how many trailers the proof of work was looked at.
type powCounts struct {
	Checked int64 `json:"checked"`
	Exempt  int64 `json:"exempt"`
	Bad     int64 `json:"bad"`
	// Skipped proofs were not asked for, by --no-pow or --from-height; Known
	// ones were proven before, by --resume or --pin.
	Skipped int64 `json:"skipped"`
	Known   int64 `json:"known"`
}

type verifyError struct {
	Block  uint64 `json:"block"`
	Index  int64  `json:"index"`
	Rule   string `json:"rule"`
	Detail string `json:"detail"`
}

type verifyFlags struct {
	json, noPow, segment, all, resume, quick bool
	from                                     uint64
	now                                      int64
	pin                                      string
	engines                                  engineFlags
}

func newVerify(a *app) *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Judge a whole trailer file: structure, weight, proof of work",
		Long: `Verify reads a trailer file (tfile.dat: one 160-byte trailer for each block from
the genesis on) and checks every rule of every trailer and every proof of work.
It stops at the first bad trailer and says which rule it breaks, where, and what
was expected; with --all it goes on and lists every bad one.

FILE may be - for standard input.`,
		Example: `  kigo verify tfile.dat
  kigo verify --resume tfile.dat          an interrupted run goes on
  kigo verify --quick tfile.dat           first what a draw shows, then the rest
  kigo verify --segment proof.bin         a piece that begins anywhere
  kigo verify --no-pow --json tfile.dat   structure and weight only, for scripts`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("now") {
				f.now = time.Now().Unix()
			}
			return a.verify(cmd, args[0], &f)
		},
	}
	cmd.Flags().BoolVar(&f.json, "json", false, "print one JSON object")
	cmd.Flags().BoolVar(&f.noPow, "no-pow", false, "check structure and weight only; the verdict says so")
	cmd.Flags().BoolVar(&f.segment, "segment", false, "take a piece of a chain: the first trailer may be any block's")
	cmd.Flags().Uint64Var(&f.from, "from-height", 0, "check proof of work from block `N` on; structure is always checked whole")
	cmd.Flags().BoolVar(&f.all, "all", false, "go on after a bad trailer and list every one")
	cmd.Flags().Int64Var(&f.now, "now", 0, "take `UNIX` seconds as the time, for the rule about the future (default: the clock)")
	cmd.Flags().BoolVar(&f.resume, "resume", false, "go on where an earlier run was interrupted; FILE.kigo keeps how far proof of work is proven")
	cmd.Flags().BoolVar(&f.quick, "quick", false, "first draw trailers by weight, say what that establishes, then go on to certainty")
	cmd.Flags().StringVar(&f.pin, "pin", "", "skip proof of work up to the pin in `PINFILE`, if the file has the pinned bytes (see kigo pins)")
	f.engines.add(cmd)
	return cmd
}

func (a *app) verify(cmd *cobra.Command, name string, f *verifyFlags) error {
	opts := tfile.Options{
		Now:     f.now,
		Segment: f.segment,
		PowFrom: mcm.BlockNum(f.from),
		All:     f.all,
	}
	if f.segment && f.pin != "" {
		return usagef("--pin vouches for a file from the genesis on, so it doesn't go with --segment")
	}
	if f.noPow && (f.resume || f.quick || f.pin != "" || f.from != 0) {
		return usagef("--no-pow checks no proof of work, so it doesn't go with --resume, --quick, --pin or --from-height")
	}
	if f.resume {
		if name == "-" {
			return usagef("--resume needs a file that it can keep notes beside, not standard input")
		}
		opts.Resume = name + ".kigo"
	}
	if f.pin != "" {
		pin, err := tfile.ReadPin(f.pin)
		if err != nil {
			return usagef("%v", err)
		}
		opts.Pin = pin
	}
	in, err := openInput(cmd, name)
	if err != nil {
		return err
	}
	defer in.Close()
	if f.resume && in.file == nil {
		return usagef("--resume needs a regular file that it can keep notes beside, and %s is none", name)
	}
	var engines *engines
	if !f.noPow {
		if engines, err = a.openEngines(cmd.Context()); err != nil {
			return err
		}
		defer engines.Close()
		opts.Verifier = engines
		opts.Distrust = engines.distrusted
		opts.Batch = engines.batch()
	}
	var sampled *quickVerdict
	if f.quick {
		if in.file == nil {
			return usagef("--quick draws from all over the file, so it needs a regular one, and %s is none", name)
		}
		from := opts.PowFrom
		if opts.Pin != nil {
			from = max(from, opts.Pin.Height+1)
		}
		if sampled, err = quick(cmd.Context(), in.file, in.size, from, engines); err != nil {
			return err
		}
		if sampled != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "quick verdict: %s\n", sampled.text())
		}
	}
	bar := newProgress(cmd.ErrOrStderr(), "trailers")
	opts.Progress = func(p tfile.Progress) {
		note := engines.used()
		switch {
		case f.noPow:
			note = "structure only"
		case p.Fault != nil:
			note += fmt.Sprintf("; invalid for sure: block %v breaks %s", p.Fault.Num, p.Fault.Rule)
		}
		bar.tell(p.Proven, p.Total, note)
	}
	report, err := tfile.Verify(cmd.Context(), in.Reader, in.size, opts)
	bar.done()
	for _, notice := range report.Notices {
		a.log.Warn("note on the run", "detail", notice)
	}
	if pinErr := (*tfile.PinError)(nil); errors.As(err, &pinErr) {
		report.Problems = append(report.Problems, pinProblem(pinErr))
	} else if err != nil {
		if f.resume && cmd.Context().Err() != nil && len(report.Notices) == 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "what is proven is kept in %s, the same command goes on from there\n", opts.Resume)
		}
		return err
	}
	out := newVerifyReport(name, report, engines.names())
	out.Quick = sampled
	if f.json {
		err = writeJSON(cmd.OutOrStdout(), out)
	} else {
		err = printVerify(cmd.OutOrStdout(), out, report, f)
	}
	if err == nil && !out.Valid {
		err = errInvalid
	}
	return err
}

// pinRule is the rule of a file that contradicts a pin; the protocol has no name
// for it.
const pinRule rules.Rule = "PIN"

func pinProblem(e *tfile.PinError) tfile.Problem {
	p := tfile.Problem{Num: e.Height, Rule: pinRule, Detail: e.Error()}
	if e.Piece >= 0 {
		p.Index = e.Piece * tfile.PieceTrailers
		p.Offset = p.Index * mcm.TrailerLen
	}
	return p
}

func newVerifyReport(name string, r *tfile.Report, engines []string) *verifyReport {
	out := &verifyReport{
		File:         name,
		Trailers:     r.Trailers,
		FirstBlock:   uint64(r.First),
		LastBlock:    uint64(r.Last),
		Weight:       r.Weight,
		ProvenWeight: r.Proven,
		PoWChecked:   r.Checked+r.Pinned+r.Resumed > 0 || r.PowChecked && r.Skipped == 0,
		PoW:          powCounts{Checked: r.Checked, Exempt: r.Exempt, Bad: r.Bad, Skipped: r.Skipped, Known: r.Pinned + r.Resumed},
		Valid:        r.Valid(),
		Errors:       []verifyError{},
		MoreErrors:   r.Omitted,
		Engines:      engines,
		Seconds:      round3(r.Elapsed.Seconds()),
		Rate:         math.Round(float64(r.Trailers) / max(r.Elapsed.Seconds(), 1e-9)),
	}
	for _, p := range r.Problems {
		out.Errors = append(out.Errors, verifyError{uint64(p.Num), p.Index, string(p.Rule), p.Detail})
	}
	return out
}

func round3(x float64) float64 { return math.Round(x*1000) / 1000 }

func printVerify(w io.Writer, out *verifyReport, r *tfile.Report, f *verifyFlags) error {
	c := paletteFor(w)
	t := newTable(w)
	fmt.Fprintf(t, "file\t%s\n", out.File)
	if r.Good == 0 {
		fmt.Fprintf(t, "trailers\t%s judged, none good\n", count(out.Trailers))
	} else {
		fmt.Fprintf(t, "trailers\t%s good, blocks %v to %v (%s to %s)\n", count(r.Good), r.First, r.Last, count(out.FirstBlock), count(out.LastBlock))
		fmt.Fprintf(t, "tip\t%v\n", r.Tip)
	}
	fmt.Fprintf(t, "weight\t0x%s\n", shortWeight(out.Weight))
	if f.noPow {
		fmt.Fprintf(t, "work\tnot checked (--no-pow): %s trailers carry a proof that nobody looked at\n", count(out.PoW.Skipped))
	} else {
		fmt.Fprintf(t, "proven\t0x%s, by the blocks whose work is checked\n", shortWeight(out.ProvenWeight))
		fmt.Fprintf(t, "work\t%s checked, %s exempt, %s bad", count(out.PoW.Checked), count(out.PoW.Exempt), count(out.PoW.Bad))
		if out.PoW.Known > 0 {
			fmt.Fprintf(t, ", %s known from before", count(out.PoW.Known))
		}
		if out.PoW.Skipped > 0 {
			fmt.Fprintf(t, ", %s before block %d skipped", count(out.PoW.Skipped), f.from)
		}
		fmt.Fprintf(t, "\nengine\t%s\n", list(out.Engines))
		if out.Quick != nil {
			fmt.Fprintf(t, "quick\t%s\n", out.Quick.text())
		}
	}
	fmt.Fprintf(t, "time\t%s, %s trailers/s\n", r.Elapsed.Round(time.Millisecond), count(int64(out.Rate)))
	if err := t.Flush(); err != nil {
		return err
	}
	for _, p := range r.Problems {
		fmt.Fprintf(w, "\n%sblock %d (%v), byte %s: %s%s\n", c.bad, uint64(p.Num), p.Num, count(p.Offset), p.Rule, c.off)
		if meaning := p.Rule.Meaning(); meaning != "" {
			fmt.Fprintf(w, "  rule   %s\n", meaning)
		}
		fmt.Fprintf(w, "  found  %s\n", p.Detail)
	}
	if out.MoreErrors > 0 {
		fmt.Fprintf(w, "\nand %s more\n", count(out.MoreErrors))
	}
	verdict := fmt.Sprintf("%s%sVALID%s: every rule and every proof of work holds", c.bold, c.good, c.off)
	if f.segment {
		verdict += "; what the first trailer builds on is not known"
	}
	switch {
	case !out.Valid:
		verdict = fmt.Sprintf("%s%sINVALID%s: %s", c.bold, c.bad, c.off, advice(&r.Problems[0]))
	case f.noPow:
		verdict = fmt.Sprintf("%sSTRUCTURE VALID%s: every rule holds; proof of work was not checked, so anybody could have made this", c.bold, c.off)
	case !out.PoWChecked:
		verdict = fmt.Sprintf("%sSTRUCTURE VALID%s: every rule holds; no block from %d on has a proof of work, so none was checked", c.bold, c.off, f.from)
	case out.PoW.Skipped > 0:
		verdict = fmt.Sprintf("%s%sVALID%s from block %d on; work before it was not checked", c.bold, c.good, c.off, f.from)
	}
	_, err := fmt.Fprintf(w, "\n%s\n", verdict)
	return err
}

// advice says what to do about a file whose first problem is p.
func advice(p *tfile.Problem) string {
	switch p.Rule {
	case rules.FileData:
		return "there is nothing to judge; fetch the file again"
	case rules.FileLen:
		return "the file was cut or is being written; fetch it again, or judge its whole trailers with --all"
	case pinRule:
		return "this file and the pin belong to different chains; find out which of them you trust"
	}
	return fmt.Sprintf("don't use this file; fetch it from another peer, or keep what comes before the first bad trailer, %s bytes", count(p.Offset))
}

// shortWeight is a weight without leading zeros, for people.
func shortWeight(w mcm.Weight) string {
	s := w.String()
	for len(s) > 1 && s[0] == '0' {
		s = s[1:]
	}
	return s
}
