package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math"
	"strings"
	"testing"

	"kigo/cpu"
	"kigo/node/mcm"
	"kigo/node/rules"
	"kigo/node/tfile"
	"kigo/node/verify"
)

// chainOn returns n trailers that the rules accept, from first on: standard
// blocks with this nonce, or pseudoblocks if it is nil, each solved after elapsed
// seconds; neogenesis blocks where they belong.
func chainOn(first mcm.Trailer, n int, nonce *mcm.Nonce, elapsed uint32) []mcm.Trailer {
	ts := append(make([]mcm.Trailer, 0, n), first)
	for len(ts) < n {
		ts = append(ts, following(&ts[len(ts)-1], nonce, elapsed))
	}
	return ts
}

// following returns a trailer that may follow prev.
func following(prev *mcm.Trailer, nonce *mcm.Nonce, elapsed uint32) mcm.Trailer {
	var t mcm.Trailer
	n := prev.Num() + 1
	*t.PrevHash() = *prev.Hash()
	t.SetNum(n)
	if n.IsNeogenesis() {
		t.SetStartTime(prev.StartTime())
		t.SetDifficulty(prev.Difficulty())
		t.SetSolveTime(prev.SolveTime())
		return sealed(t)
	}
	t.SetStartTime(prev.SolveTime())
	t.SetDifficulty(rules.NextDifficulty(prev))
	t.SetSolveTime(prev.SolveTime() + elapsed)
	if nonce != nil {
		t.SetMinFee(mcm.MinFee)
		t.SetTxCount(1)
		*t.Nonce() = *nonce
	}
	return sealed(t)
}

// sealed returns t with the hash that version 3 asks for.
func sealed(t mcm.Trailer) mcm.Trailer {
	*t.Hash() = sha256.Sum256(t[:128])
	return t
}

// firstOf returns a trailer that a segment can begin with.
func firstOf(num mcm.BlockNum, difficulty uint32, nonce *mcm.Nonce, elapsed uint32) mcm.Trailer {
	var before mcm.Trailer
	before.SetNum(num - 1)
	before.SetSolveTime(1_600_000_000)
	t := following(&before, nonce, elapsed)
	t.SetDifficulty(difficulty)
	return sealed(t)
}

// mainnetTrailers returns the shipped run, blocks 0x94701 to 0x947ff.
func mainnetTrailers(t testing.TB) []mcm.Trailer { return mcm.Trailers(readFile(t, segment255)) }

func TestNumbersAtTheirEnd(t *testing.T) {
	t.Setenv("KIGO_VERIFY_ENGINE", "portable")
	const last = math.MaxUint64
	chain := chainOn(firstOf(last-3, 10, nil, mcm.BridgeV3), 4, nil, mcm.BridgeV3)
	file := writeTemp(t, "end.bin", mcm.Bytes(chain))
	r := verifyJSON(t, exitOK, "--segment", file)
	if !r.Valid || r.FirstBlock != last-3 || r.LastBlock != last {
		t.Errorf("got %+v", r)
	}
	const words = "18,446,744,073,709,551,615"
	contains(t, "the report", kigo(t, "verify", "--segment", file).want(t, exitOK), words, "0xffffffffffffffff")
	contains(t, "the trailer", kigo(t, "show", file, fmt.Sprint(uint64(last))).want(t, exitOK), words)
	contains(t, "the line", kigo(t, "show", "--jsonl", file).want(t, exitOK), `"block":18446744073709551615`)
	kigo(t, "verify", "--segment", "--from-height", fmt.Sprint(uint64(last)), file).want(t, exitOK)

	beyond := writeTemp(t, "beyond.bin", mcm.Bytes(append(chain, following(&chain[3], nil, 0))))
	r = verifyJSON(t, exitInvalid, "--segment", beyond)
	if r.Valid || len(r.Errors) != 1 || r.Errors[0].Rule != "EMCM_MATH64_OVERFLOW" || r.Errors[0].Index != 4 {
		t.Errorf("got %+v", r)
	}

	whole := writeTemp(t, "tfile.dat", readFile(t, genesis))
	for _, height := range []string{"1", "115292150460684697", "9223372036854775807", "18446744073709551615", "18446744073709551616", "-2"} {
		if o := kigo(t, "pins", "derive", "--height", height, whole); o.code != exitUsage || o.stdout != "" {
			t.Errorf("--height %s: %+v", height, o)
		}
	}
}

func TestWeightsAtTheirEnd(t *testing.T) {
	t.Setenv("KIGO_VERIFY_ENGINE", "portable")
	nonce := *mainnetTrailers(t)[0].Nonce()
	top := func(limbs ...uint64) (w mcm.Weight) { copy(w[4-len(limbs):], limbs); return w }
	for _, c := range []struct {
		name       string
		difficulty uint32
		nonce      *mcm.Nonce
		elapsed    uint32
		trailers   int
		want       mcm.Weight
	}{
		{"one", 255, &nonce, 100, 1, top(1 << 63)},
		{"two wrap to nothing", 255, &nonce, 100, 2, mcm.Weight{}},
		{"three", 255, &nonce, 100, 3, top(1 << 63)},
		{"pseudoblocks on the way down", 255, nil, mcm.BridgeV3, 3, top(1<<63 | 1<<62 | 1<<61)},
		{"all bits of difficulty", math.MaxUint32, nil, mcm.BridgeV3, 2, top(1<<63 | 1<<62)},
		{"low byte nil", 0x100, &nonce, 100, 3, mcm.Weight{3}},
		{"nothing", 0, nil, mcm.BridgeV3, 3, mcm.Weight{3}},
	} {
		chain := chainOn(firstOf(0xb0001, c.difficulty, c.nonce, c.elapsed), c.trailers, c.nonce, c.elapsed)
		file := writeTemp(t, "weight.bin", mcm.Bytes(chain))
		r := verifyJSON(t, exitOK, "--segment", "--no-pow", file)
		if !r.Valid || r.Weight != c.want || r.ProvenWeight != (mcm.Weight{}) {
			t.Errorf("%s: got %+v, want weight %v", c.name, r, c.want)
		}
		kigo(t, "verify", "--segment", "--no-pow", file).want(t, exitOK)
		kigo(t, "show", file, "0..").want(t, exitOK)
		if c.nonce == nil || c.difficulty != 255 {
			continue
		}
		r = verifyJSON(t, exitInvalid, "--segment", file)
		if r.Valid || len(r.Errors) != 1 || r.Errors[0].Rule != "EMCM_POWPEACH" || r.Errors[0].Index != 0 {
			t.Errorf("%s: got %+v, want its work to be missed", c.name, r)
		}
	}
}

func TestClocksAtTheirEnd(t *testing.T) {
	for _, now := range []int64{math.MinInt64, math.MinInt64 + 3, -1, 0} {
		r := verifyJSON(t, exitInvalid, "--segment", "--no-pow", fmt.Sprintf("--now=%d", now), segment255)
		if r.Valid || len(r.Errors) != 1 || r.Errors[0].Rule != "EMCM_STIME" || r.Errors[0].Index > 1 {
			t.Errorf("--now %d: got %+v", now, r.Errors)
		}
	}
	for _, now := range []int64{math.MaxUint32, math.MaxInt64 - 3, math.MaxInt64} {
		verifyJSON(t, exitOK, "--segment", "--no-pow", fmt.Sprintf("--now=%d", now), segment255)
	}
	kigo(t, "verify", "--now", "9223372036854775808", genesis).want(t, exitUsage)
}

// TestEveryByteCounts changes each byte of a trailer of every kind, in main-net
// trailers whose difficulty of 35 and more no changed trailer meets by chance.
// What is found, and what nothing can find:
//
//   - phash, bnum, mfee, tcount, time0, difficulty, mroot and nonce of a worked
//     trailer are hashed by its proof of work, or held against the block before;
//     of blocks without work every one has a fixed value.
//   - stime is the time0 of the block after.  The last trailer has none after it:
//     its solve time may be any that the bridge time allows.
//   - bhash is the phash of the block after.  Before version 3 it is the hash of
//     the whole block, so a trailer says nothing about its own, and the last one's
//     is free.  From version 3 on it covers all other bytes.
func TestEveryByteCounts(t *testing.T) {
	ts := mainnetTrailers(t)
	neogenesis := following(&ts[254], nil, 0)
	after := following(&neogenesis, nil, mcm.BridgeV2)
	v3 := mcm.Trailer(readFile(t, mainnet+"trailer-0xa1219.bin"))
	none := func(*mcm.Trailer, int) bool { return false }
	hash := func(_ *mcm.Trailer, at int) bool { return at >= 128 }
	hashAndTime := func(t *mcm.Trailer, at int) bool {
		took := t.SolveTime() - t.StartTime()
		return at >= 128 || at >= 124 && took > 0 && took <= mcm.BridgeV2
	}
	engine := cpuEngine(t, "portable")
	for _, c := range []struct {
		name string
		file []mcm.Trailer
		at   int                                    // index of the changed trailer
		free func(changed *mcm.Trailer, i int) bool // whether nothing covers byte i
	}{
		{"worked", ts[9:12], 1, none},
		{"worked, the last", ts[9:11], 1, hashAndTime},
		{"pseudo", ts[23:26], 1, none},
		{"pseudo, the last", ts[23:25], 1, hash},
		{"neogenesis", []mcm.Trailer{ts[254], neogenesis, after}, 1, none},
		{"neogenesis, the last", []mcm.Trailer{ts[254], neogenesis}, 1, hash},
		{"version 3", []mcm.Trailer{v3}, 0, none},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			judge := func(ts []mcm.Trailer) *tfile.Report {
				data := mcm.Bytes(ts)
				r, err := tfile.Verify(t.Context(), bytes.NewReader(data), int64(len(data)), tfile.Options{Now: 1_800_000_000, Segment: true, Verifier: engine})
				if err != nil {
					t.Fatal(err)
				}
				return r
			}
			if r := judge(c.file); !r.Valid() {
				t.Fatalf("invalid before anything is changed: %+v", r.Problems)
			}
			free := 0
			for i := range mcm.TrailerLen {
				bits := []byte{1 << (i % 8)}
				if i >= 124 && i < 128 {
					bits = []byte{1, 2, 4, 8, 16, 32, 64, 128}
				}
				for _, bit := range bits {
					changed := append([]mcm.Trailer{}, c.file...)
					changed[c.at][i] ^= bit
					r := judge(changed)
					if c.free(&changed[c.at], i) {
						free++
						if !r.Valid() {
							t.Errorf("byte %d, bit %#x: %+v, but nothing covers it", i, bit, r.Problems)
						}
						continue
					}
					if r.Valid() {
						t.Errorf("byte %d, bit %#x: still valid", i, bit)
					} else if p := r.Problems[0]; p.Index < int64(c.at) || p.Index > int64(c.at)+1 || p.Rule == "" {
						t.Errorf("byte %d, bit %#x: found %+v, want the changed trailer or the next", i, bit, p)
					}
				}
			}
			if last := strings.Contains(c.name, "last"); last != (free >= 32) || !last && free != 0 {
				t.Errorf("%d changes went unseen", free)
			}
		})
	}
}

// cpuEngine opens an engine that every machine can run.
func cpuEngine(t testing.TB, name string) verify.Backend {
	t.Helper()
	for _, e := range cpu.Engines() {
		if e.Name == name {
			backend := e.Open(cpu.NewCores(2))
			t.Cleanup(func() { backend.Close() })
			return backend
		}
	}
	t.Fatalf("no engine %s", name)
	return nil
}
