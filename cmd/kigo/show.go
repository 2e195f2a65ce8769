package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"kigo/node/mcm"
	"kigo/node/pow"
	"kigo/node/rules"
)

// A shownTrailer is a trailer as kigo show --jsonl prints it.
type shownTrailer struct {
	Block      uint64   `json:"block"`
	Kind       string   `json:"kind"`
	Hash       mcm.Hash `json:"hash"`
	PrevHash   mcm.Hash `json:"previous"`
	MerkleRoot mcm.Hash `json:"merkle_root"`
	TxCount    uint32   `json:"transactions"`
	MinFee     uint64   `json:"minimum_fee"`
	Difficulty uint32   `json:"difficulty"`
	Algorithm  string   `json:"algorithm"`
	StartTime  uint32   `json:"start_time"`
	SolveTime  uint32   `json:"solve_time"`
	Reward     uint64   `json:"reward"`
	Nonce      string   `json:"nonce"`
	Haiku      []string `json:"haiku"`
	Second     []string `json:"second_haiku"`
}

func newShow(a *app) *cobra.Command {
	var lines bool
	cmd := &cobra.Command{
		Use:   "show FILE|- [N|N..M]",
		Short: "Print trailers in words, with their haiku",
		Long: `Show prints the trailers of blocks N to M, or of block N; the last one of the
file when no block is named.  Numbers are decimal or 0x hex; N.. means to the
end and ..M from the start.  Nothing is judged: verify does that.

A solved block's nonce is two haikus, made of words from a dictionary of 256.`,
		Example: `  kigo show tfile.dat               the tip
  kigo show tfile.dat 0x94701..0x94703
  kigo show --jsonl tfile.dat 0.. | jq .difficulty`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			var blocks blockRange
			if len(args) == 2 {
				var err error
				if blocks, err = parseRange(args[1]); err != nil {
					return err
				}
			}
			in, err := openInput(cmd, args[0])
			if err != nil {
				return err
			}
			defer in.Close()
			return show(cmd, args[0], in, blocks, len(args) == 1, lines)
		},
	}
	cmd.Flags().BoolVar(&lines, "jsonl", false, "print a JSON line for each trailer")
	return cmd
}

// A blockRange is the block numbers from first to last, both included.
type blockRange struct{ first, last mcm.BlockNum }

func parseRange(s string) (blockRange, error) {
	first, last, isRange := strings.Cut(s, "..")
	r := blockRange{0, math.MaxUint64}
	parse := func(word string, into *mcm.BlockNum) error {
		n, err := strconv.ParseUint(word, 0, 64)
		if err != nil {
			return usagef("blocks %q: %q is not a block number; want N, N..M, N.. or ..M, decimal or 0x hex", s, word)
		}
		*into = mcm.BlockNum(n)
		return nil
	}
	if first != "" || !isRange {
		if err := parse(first, &r.first); err != nil {
			return r, err
		}
		if !isRange {
			r.last = r.first
		}
	}
	if last != "" {
		if err := parse(last, &r.last); err != nil {
			return r, err
		}
	}
	if r.first > r.last {
		return r, usagef("blocks %q: %d comes after %d", s, r.first, r.last)
	}
	return r, nil
}

// show prints the trailers of in whose own number lies in blocks, or the last
// one only.
func show(cmd *cobra.Command, name string, in io.Reader, blocks blockRange, lastOnly, lines bool) error {
	out := bufio.NewWriter(cmd.OutOrStdout())
	err := showTo(out, cmd, name, in, blocks, lastOnly, lines)
	return errors.Join(err, out.Flush())
}

func showTo(out *bufio.Writer, cmd *cobra.Command, name string, in io.Reader, blocks blockRange, lastOnly, lines bool) error {
	c := paletteFor(cmd.OutOrStdout())
	shown := 0
	print := func(t *mcm.Trailer) error {
		shown++
		if lines {
			return json.NewEncoder(out).Encode(newShownTrailer(t))
		}
		if shown > 1 {
			fmt.Fprintln(out)
		}
		return printTrailer(out, t, c)
	}
	r := bufio.NewReaderSize(in, 1<<20)
	var t mcm.Trailer
	var first, last mcm.BlockNum
	for index := int64(0); ; index++ {
		n, err := io.ReadFull(r, t[:])
		if errors.Is(err, io.EOF) && index > 0 {
			break
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return &exitError{exitInvalid, fmt.Sprintf("%s: ends with %d bytes of trailer %d, expected whole trailers of %d bytes", name, n, index, mcm.TrailerLen)}
		}
		if err != nil {
			return err
		}
		if last = t.Num(); index == 0 {
			first = last
		}
		if !lastOnly && blocks.first <= last && last <= blocks.last {
			if err := print(&t); err != nil {
				return err
			}
		}
		if cmd.Context().Err() != nil {
			return cmd.Context().Err()
		}
	}
	if lastOnly {
		return print(&t)
	}
	if shown == 0 {
		return usagef("%s has no such block; it holds blocks %d to %d", name, first, last)
	}
	return nil
}

func newShownTrailer(t *mcm.Trailer) shownTrailer {
	s := shownTrailer{
		Block:      uint64(t.Num()),
		Kind:       t.Kind().String(),
		Hash:       *t.Hash(),
		PrevHash:   *t.PrevHash(),
		MerkleRoot: *t.MerkleRoot(),
		TxCount:    t.TxCount(),
		MinFee:     t.MinFee(),
		Difficulty: t.Difficulty(),
		Algorithm:  pow.AlgorithmOf(t).String(),
		StartTime:  t.StartTime(),
		SolveTime:  t.SolveTime(),
		Nonce:      fmt.Sprintf("%x", *t.Nonce()),
	}
	if rules.PaysReward(t) {
		s.Reward = rules.Reward(t.Num())
	}
	if t.Kind() == mcm.Standard {
		first, second := pow.Halves(t)
		s.Haiku, s.Second = first.Lines(), second.Lines()
	}
	return s
}

// printTrailer sets a trailer in words: a heading, the two haikus side by side,
// and the fields.
func printTrailer(w *bufio.Writer, t *mcm.Trailer, c palette) error {
	s := newShownTrailer(t)
	fmt.Fprintf(w, "%sblock %s%s  %s%v%s  %s  %s\n", c.bold, count(s.Block), c.off, c.dim, t.Num(), c.off, s.Kind, utc(s.SolveTime))
	if s.Haiku != nil {
		fmt.Fprintln(w)
		width := 0
		for _, line := range s.Haiku {
			width = max(width, utf8.RuneCountInString(line))
		}
		for i := range max(len(s.Haiku), len(s.Second)) {
			left, right := at(s.Haiku, i), at(s.Second, i)
			row := fmt.Sprintf("    %s%s%s", c.accent, left, c.off)
			if right != "" {
				row += fmt.Sprintf("%*s%s%s%s", width-utf8.RuneCountInString(left)+6, "", c.dim, right, c.off)
			}
			fmt.Fprintln(w, row)
		}
		fmt.Fprintln(w)
	}
	field := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %s%-12s%s %s\n", c.dim, name, c.off, fmt.Sprintf(format, args...))
	}
	field("hash", "%v", s.Hash)
	field("previous", "%v", s.PrevHash)
	if !s.MerkleRoot.IsZero() {
		field("Merkle root", "%v", s.MerkleRoot)
	}
	switch t.Kind() {
	case mcm.Standard:
		field("difficulty", "%d, proven with %s", s.Difficulty, titled(s.Algorithm))
		field("contents", "%s, minimum fee %s", plural(int64(s.TxCount), "transaction"), count(s.MinFee))
	case mcm.Pseudo:
		field("difficulty", "%d, no proof: a pseudoblock, nobody solved it in %d s", s.Difficulty, t.Num().Bridge())
	case mcm.Neogenesis:
		field("difficulty", "%d, no proof: a neogenesis block, it carries the whole ledger", s.Difficulty)
	case mcm.Genesis:
		field("contents", "the genesis ledger, %s", coins(rules.GenesisAmount))
	}
	if t.Num() != 0 {
		field("solved in", "%s, from %s", time.Duration(int64(s.SolveTime)-int64(s.StartTime))*time.Second, utc(s.StartTime))
	}
	if s.Reward > 0 {
		field("reward", "%s", coins(s.Reward))
	}
	if s.Haiku != nil {
		field("nonce", "%s", s.Nonce)
	}
	_, err := w.Write(nil) // the first error of all that was written
	return err
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return ""
}

func utc(seconds uint32) string {
	if seconds == 0 {
		return "at the beginning"
	}
	return time.Unix(int64(seconds), 0).UTC().Format("2006-01-02 15:04:05 UTC")
}

// coins writes an amount of the smallest unit in coins of 10^9.
func coins(amount uint64) string {
	const coin = 1_000_000_000
	return fmt.Sprintf("%s.%09d MCM", humanize.Comma(int64(amount/coin)), amount%coin)
}

func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return count(n) + " " + what + "s"
}

func titled(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
