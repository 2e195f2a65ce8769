package main

import (
	"cmp"
	"encoding"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"kigo/node/evidence"
	"kigo/node/mcm"
	"kigo/node/memory"
	"kigo/node/proof"
	"kigo/node/verify"
	"kigo/node/wire"
)

func newEvidence(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "evidence",
		Short: "What peers were convicted of, and the bytes that prove it",
		Long: `Kigo keeps the packets by which it convicted a peer, and what it held them
against, in the data folder.  From these bytes alone the judgement can be
repeated, here or by anybody who is handed the record.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().String("data-dir", "", "`FOLDER` where it is kept (default: kigo in the user's state folder)")
	cmd.AddCommand(newEvidenceList(a), newEvidenceShow(a), newEvidenceVerify(a))
	return cmd
}

// readMemory has f read the memory; without a file there is nothing to read.
func (a *app) readMemory(f func(db *memory.DB) error) error {
	dir, err := a.dataDir()
	if err != nil {
		return err
	}
	path := filepath.Join(dir, memoryName)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return f(nil)
	}
	db, err := memory.OpenReadOnly(path, memory.Options{Log: a.log})
	if refusal(err) != nil {
		return usagef("data.dir: %v", refusal(err))
	}
	if err != nil {
		return err
	}
	return errors.Join(f(db), db.Close())
}

// allEvidence returns all records that are kept, the latest first.
func (a *app) allEvidence() (all []*evidence.Record, err error) {
	err = a.readMemory(func(db *memory.DB) error {
		if db == nil {
			return nil
		}
		all, err = db.Evidence()
		return err
	})
	slices.SortFunc(all, func(a, b *evidence.Record) int {
		return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(a.ID, b.ID))
	})
	return all, err
}

// recordID is what begins an ID, long enough to mean one record.
var recordID = regexp.MustCompile(`^[0-9a-fA-F]{4,64}$`)

// record returns the record that a word names: one that is kept, by the beginning
// of its ID, or one in a file.
func (a *app) record(cmd *cobra.Command, word string) (*evidence.Record, error) {
	if !recordID.MatchString(word) {
		return readRecord(cmd, word)
	}
	var r *evidence.Record
	err := a.readMemory(func(db *memory.DB) (err error) {
		if db == nil {
			return usagef("no evidence is kept, so none is named %s", word)
		}
		if r, err = db.EvidenceByID(word); err != nil {
			err = usagef("%v; kigo evidence list shows all", err)
		}
		return err
	})
	return r, err
}

// maxRecord is more than a record of all that may be kept of a call takes.
const maxRecord = 4 << 20

func readRecord(cmd *cobra.Command, name string) (*evidence.Record, error) {
	in, err := openInput(cmd, name)
	if _, missing := os.Stat(name); err != nil && errors.Is(missing, fs.ErrNotExist) {
		return nil, usagef("%q is no file, nor the first four hex digits or more of an ID; kigo evidence list shows all", name)
	}
	if err != nil {
		return nil, err
	}
	defer in.Close()
	b, err := io.ReadAll(io.LimitReader(in, maxRecord+1))
	if err != nil {
		return nil, err
	}
	r := new(evidence.Record)
	var into encoding.BinaryUnmarshaler = r
	if len(b) > maxRecord {
		err = fmt.Errorf("more than %s", bytesOf(maxRecord))
	} else {
		err = into.UnmarshalBinary(b)
	}
	if err != nil {
		return nil, &exitError{exitInvalid, fmt.Sprintf("%s is no evidence: %v", name, err)}
	}
	return r, nil
}

func newEvidenceList(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what is kept, the latest first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := a.allEvidence()
			if err != nil {
				return err
			}
			if asJSON {
				list := []recordLine{}
				for _, r := range all {
					list = append(list, newRecordLine(r))
				}
				return writeJSON(cmd.OutOrStdout(), list)
			}
			if len(all) == 0 {
				dir, err := a.dataDir()
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "no evidence in %s\n", dir)
				return err
			}
			g := &grid{columns: []column{{title: "ID"}, {title: "TIME"}, {title: "PEER"}, {title: "FAULT"}, {title: "BLOCK", right: true, spare: 2}, {title: "RULE", spare: 1}}}
			for _, r := range all {
				var block string
				if n := r.Block(); n != nil {
					block = claimedHeight(*n)
				}
				g.add("", r.ID[:12], r.Time.UTC().Format(time.DateTime), r.Peer.String(), string(r.Kind), block, string(r.Rule))
			}
			out := &printer{w: cmd.OutOrStdout()}
			width, _ := size(out.w)
			out.table(g, width, paletteFor(out.w))
			return out.err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON list")
	return cmd
}

// A recordLine is a record without the bytes.
type recordLine struct {
	ID     string        `json:"id"`
	Time   time.Time     `json:"time"`
	Peer   string        `json:"peer"`
	Kind   string        `json:"kind"`
	Rule   string        `json:"rule"`
	Block  *mcm.BlockNum `json:"block"` // null: of no block
	Detail string        `json:"detail"`
}

func newRecordLine(r *evidence.Record) recordLine {
	return recordLine{r.ID, r.Time.UTC(), r.Peer.String(), string(r.Kind), string(r.Rule), r.Block(), r.Detail}
}

func newEvidenceShow(a *app) *cobra.Command {
	var asJSON bool
	var out string
	cmd := &cobra.Command{
		Use:   "show ID|FILE",
		Short: "Show one record, or export it for others",
		Long: `Show prints a record, named by the beginning of its ID or by a file, in words or
as JSON; --out writes it to a file that kigo evidence verify takes anywhere.`,
		Example: `  kigo evidence show 3f2a81c0
  kigo evidence show 3f2a81c0 --out liar.kigo; kigo evidence verify liar.kigo`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if asJSON && out != "" {
				return usagef("--json and --out: which of them?")
			}
			r, err := a.record(cmd, args[0])
			if err != nil {
				return err
			}
			switch {
			case out != "":
				return writeFile(cmd, out, func(w io.Writer) error {
					b, err := r.MarshalBinary()
					if err == nil {
						_, err = w.Write(b)
					}
					return err
				})
			case asJSON:
				return writeJSON(cmd.OutOrStdout(), r)
			}
			return printRecord(cmd.OutOrStdout(), r, a.dataDirFlag())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.Flags().StringVar(&out, "out", "", "export to this `FILE`, - for standard output")
	return cmd
}

func printRecord(w io.Writer, r *evidence.Record, dataDir string) error {
	c := paletteFor(w)
	out := &printer{w: w}
	field := func(name, format string, args ...any) {
		out.line("  %s%-9s%s %s", c.dim, name, c.off, fmt.Sprintf(format, args...))
	}
	out.line("%sevidence %s%s", c.bold, r.ID, c.off)
	field("peer", "%v", r.Peer)
	field("time", "%s UTC", r.Time.UTC().Format(time.DateTime))
	field("fault", "%s (%v, %.0f points)", words(string(r.Kind)), r.Kind.Class(), r.Kind.Points())
	if r.Rule != "" {
		field("rule", "%s: %s", r.Rule, r.Rule.Meaning())
	}
	if n := r.Block(); n != nil {
		field("block", "%s (%v)", claimedHeight(*n), *n)
	}
	field("found", "%s", r.Detail)
	field("claimed", "block %s (%v), weight 0x%s", claimedHeight(r.Claim.Num), r.Claim.Num, shortWeight(r.Claim.Weight))
	field("", "tip %v", r.Claim.Hash)
	switch r.Op {
	case wire.OpGetTFile, wire.OpTF:
		field("asked", "%v: %s from block %s (%v) on", r.Op, plural(int64(r.Count), "trailer"), claimedHeight(r.First), r.First)
	default:
		field("asked", "%v", r.Op)
	}
	var bytes int64
	for _, p := range r.Packets {
		bytes += int64(len(p))
	}
	field("answered", "%s, %s bytes", plural(int64(len(r.Packets)), "packet"), count(bytes))
	if r.Anchor != nil {
		field("anchor", "block %d (%v), hash %v, weight 0x%s", r.Anchor.Num, r.Anchor.Num, r.Anchor.Hash, shortWeight(r.Anchor.Weight))
	}
	field("repeat", "kigo evidence verify %.12s%s", r.ID, dataDir)
	return out.err
}

// A recordVerdict is what repeating a judgement gave.
type recordVerdict struct {
	recordLine
	Confirmed bool     `json:"confirmed"`
	Found     string   `json:"found"` // what the bytes show; empty when no fault
	Steps     []string `json:"steps"`
}

func newEvidenceVerify(a *app) *cobra.Command {
	var asJSON, all bool
	cmd := &cobra.Command{
		Use:   "verify ID|FILE...",
		Short: "Repeat judgements from the stored bytes alone",
		Long: `Verify judges what a peer sent once more, offline: the packets' frames, the
rules, the proof of work.  Records are named by the beginning of their ID or by
a file that kigo evidence show --out has written, on whatever machine; --all
takes all that are kept.  Exit code 3 if one is not confirmed.`,
		Example: `  kigo evidence verify 3f2a81c0
  kigo evidence verify --all --json`,
		Args: func(_ *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return errors.New("name records, or all of them with --all")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var records []*evidence.Record
			for _, arg := range args {
				r, err := a.record(cmd, arg)
				if err != nil {
					return err
				}
				records = append(records, r)
			}
			if all {
				var err error
				if records, err = a.allEvidence(); err != nil {
					return err
				}
			}
			return a.verifyEvidence(cmd, records, !all && len(records) == 1, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.Flags().BoolVar(&all, "all", false, "all records that are kept")
	engineFlags{}.add(cmd)
	return cmd
}

// verifyEvidence judges records, with the steps of the judgement for people who
// want them.
func (a *app) verifyEvidence(cmd *cobra.Command, records []*evidence.Record, steps, asJSON bool) (err error) {
	engines, err := a.openEngines(cmd.Context())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engines.Close()) }()
	report := struct {
		Total     int             `json:"total"`
		Confirmed int             `json:"confirmed"`
		Records   []recordVerdict `json:"records"`
	}{len(records), 0, []recordVerdict{}}
	bar := newProgress(cmd.ErrOrStderr(), "records")
	defer bar.done()
	for i, r := range records {
		v, err := judgeRecord(cmd, r, engines)
		if err != nil {
			return fmt.Errorf("evidence %.12s: %w", r.ID, err)
		}
		if v.Confirmed {
			report.Confirmed++
		}
		report.Records = append(report.Records, v)
		bar.tell(int64(i+1), int64(len(records)), "")
	}
	bar.done()
	if asJSON {
		err = writeJSON(cmd.OutOrStdout(), report)
	} else {
		out, c := &printer{w: cmd.OutOrStdout()}, paletteFor(cmd.OutOrStdout())
		for i := range report.Records {
			report.Records[i].print(out, steps, c)
		}
		if !steps {
			out.line("%d of %s confirmed", report.Confirmed, plural(int64(report.Total), "record"))
		}
		err = out.err
	}
	if err == nil && report.Confirmed < report.Total {
		err = errInvalid
	}
	return err
}

func judgeRecord(cmd *cobra.Command, r *evidence.Record, v verify.Verifier) (recordVerdict, error) {
	o, err := r.Verify(cmd.Context(), v)
	if err != nil {
		return recordVerdict{}, err
	}
	return recordVerdict{newRecordLine(r), o.Confirmed, finding(o.Found), append([]string{}, o.Steps...)}, nil
}

// finding says in words what bytes show.
func finding(f *proof.Finding) string {
	if f == nil {
		return ""
	}
	return f.Error()
}

// print prints a verdict, with the steps that led to it if they are wanted.
func (v *recordVerdict) print(out *printer, steps bool, c palette) {
	if steps {
		for i, s := range v.Steps {
			out.line("%s%2d%s  %s", c.dim, i+1, c.off, s)
		}
		out.line("")
	}
	paint, word := c.good, "CONFIRMED"
	if !v.Confirmed {
		paint, word = c.bad, "NOT CONFIRMED"
	}
	what := v.Found
	if what == "" {
		what = "these bytes show no fault"
	}
	out.line("%s%s%s%s: %s, %s: %s", c.bold, paint, word, c.off, v.ID[:12], v.Peer, what)
}
