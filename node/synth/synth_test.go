package synth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"kigo/node/mcm"
	"kigo/node/pow"
	"kigo/node/rules"
	"kigo/node/verify"
)

// startTime and now leave room for any chain of these tests in between.
const (
	startTime = 1530000000
	now       = 4000000000
)

// standIn is a Verifier whose Peach hash is the SHA-256 of what Peach covers, a
// thousand times quicker.
type standIn struct{}

func (standIn) VerifyPoW(_ context.Context, dst []verify.Result, batch []mcm.Trailer) error {
	for _, i := range verify.Prepare(dst, batch, nil) {
		hash := mcm.Hash(sha256.Sum256(batch[i][:124]))
		dst[i] = verify.JudgePeach(&batch[i], &hash)
	}
	return nil
}

// long skips a test of long chains under the race detector, which takes 20 times
// as long over them and has nothing to find: Generate runs on one goroutine.
func long(t *testing.T) {
	t.Helper()
	if underRace {
		t.Skip("long chains without concurrency: not under the race detector")
	}
}

func generate(t testing.TB, c Config) ([]byte, Stats) {
	t.Helper()
	if c.StartTime == 0 {
		c.StartTime = startTime
	}
	if c.Solver == nil {
		c.Solver = standIn{}
	}
	var out bytes.Buffer
	s, err := Generate(context.Background(), &out, c)
	if err != nil {
		t.Fatalf("%+v: %v", c, err)
	}
	return out.Bytes(), s
}

// A finding is a rule that a block of a file breaks.
type finding struct {
	block mcm.BlockNum
	rule  rules.Rule
}

// check returns all that is wrong with a trailer file.
func check(t testing.TB, file []byte) (found []finding) {
	t.Helper()
	if len(file) < mcm.TrailerLen {
		return []finding{{0, rules.FileData}}
	}
	whole := len(file) / mcm.TrailerLen * mcm.TrailerLen
	trailers := mcm.Trailers(file[:whole])
	results := make([]verify.Result, len(trailers))
	if err := (standIn{}).VerifyPoW(t.Context(), results, trailers); err != nil {
		t.Fatal(err)
	}
	var prev *mcm.Trailer
	for i := range trailers {
		cur := &trailers[i]
		err := rules.Check(prev, cur, now)
		if err == nil {
			err = rules.CheckPseudoRoot(cur)
		}
		if err != nil {
			var broken *rules.Error
			if !errors.As(err, &broken) {
				t.Fatal(err)
			}
			found = append(found, finding{mcm.BlockNum(i), broken.Rule})
		}
		if !results[i].Verdict.OK() {
			found = append(found, finding{mcm.BlockNum(i), rules.Rule(pow.RuleName(cur))})
		}
		prev = cur
	}
	if whole < len(file) {
		found = append(found, finding{mcm.BlockNum(len(trailers)), rules.FileLen})
	}
	return found
}

func TestSameConfigSameChain(t *testing.T) {
	c := Config{Blocks: 3000, Worked: 0.7, Difficulty: 4, Seed: 7, Faults: []Fault{{"pow-work", 700}, {"pow-flip", 701}, {"diff", 901}}}
	first, firstStats := generate(t, c)
	c.Faults = []Fault{c.Faults[2], c.Faults[0], c.Faults[1]}
	if again, stats := generate(t, c); !bytes.Equal(again, first) || stats != firstStats {
		t.Error("a second run, its faults in another order, makes another chain")
	}
	c.Seed++
	if other, _ := generate(t, c); bytes.Equal(other[mcm.TrailerLen:], first[mcm.TrailerLen:]) {
		t.Error("another seed makes the same chain")
	}
}

// TestGolden notices when chains change by accident.  When they change for a
// reason, files made before can't be made again: say so in the changelog.
func TestGolden(t *testing.T) {
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{Blocks: 600, Worked: 0.75, Difficulty: 3, Seed: 1}, "f4e08576a42309a8da26f34bc23cc9da59126a9fe73c11646a1d765150c5c95b"},
		{Config{Blocks: 600, Worked: 0.75, Difficulty: 3, Seed: 1, Faults: []Fault{{"phash", 10}, {"pow-flip", 300}, {"file-short", 580}}}, "cf98ad39300e94fd5e3683ead97ffff3cbe83de91785ea31ffca690135ba49e1"},
		{Config{Blocks: 80000, Worked: 0.05, Difficulty: 0, Seed: 2}, "7139552888e26724d34350635c7225335b728e23f85d783851f5732a71debbdf"},
	} {
		file, _ := generate(t, c.config)
		if got := fmt.Sprintf("%x", sha256.Sum256(file)); got != c.want {
			t.Errorf("%+v: the file has SHA-256 %s, want %s", c.config, got, c.want)
		}
	}
}

func TestLongerChainBeginsWithShorter(t *testing.T) {
	long(t)
	c := Config{Blocks: 76400, Worked: 0.6, Difficulty: 2, Seed: 99, Faults: []Fault{{"stime-future", 254}, {"pow-work", 76001}}}
	whole, _ := generate(t, c)
	for _, blocks := range []int64{1, 2, 255, 256, 257, 1024, 17186, 17700, 75859, 76002} {
		c := c
		c.Blocks = blocks
		c.Faults = slices.DeleteFunc(slices.Clone(c.Faults), func(f Fault) bool { return int64(f.Block) >= blocks })
		if short, _ := generate(t, c); blocks > 254 && !bytes.Equal(short, whole[:len(short)]) || int64(len(short)) != blocks*mcm.TrailerLen {
			t.Errorf("%d blocks are not the beginning of %d", blocks, len(whole)/mcm.TrailerLen)
		}
	}
}

// TestBatchesDontMatter gives the Solver candidates in different numbers.
func TestBatchesDontMatter(t *testing.T) {
	finish := func(most int) (done []mcm.Trailer, tries uint64) {
		p := newProver(Config{Seed: 5, Solver: standIn{}})
		p.maxBatch = most
		works := []string{"", "pow-work", "pow-flip", ""}
		for i := mcm.BlockNum(0x12860); i < 0x12890; i++ {
			var cur mcm.Trailer
			cur.SetNum(i)
			cur.SetTxCount(1)
			cur.SetDifficulty(uint32(1 + i%8))
			k, _ := lookUp(works[i%4])
			if err := p.finish(t.Context(), &cur, i, k); err != nil {
				t.Fatal(err)
			}
			done = append(done, cur)
		}
		return done, p.tries
	}
	want, wantTries := finish(maxBatch)
	for _, most := range []int{1, 3, 17, 100} {
		if got, tries := finish(most); !slices.Equal(got, want) || tries != wantTries {
			t.Errorf("batches of at most %d make other trailers; %d tries, want %d", most, tries, wantTries)
		}
	}
}

func TestAllErasKeepTheRules(t *testing.T) {
	long(t)
	const blocks = 660000
	for _, c := range []Config{
		{Blocks: blocks, Worked: 0.02, Difficulty: 5, Seed: 3},
		{Blocks: 18000, Worked: 0, Difficulty: 5, Seed: 4},
		{Blocks: 78000, Worked: 0.5, Difficulty: 1, Seed: 5},
		{Blocks: 78000, Worked: 1, Difficulty: 0, Seed: 6},
		{Blocks: 2000, Worked: 1, Difficulty: 8, Seed: 7},
	} {
		file, s := generate(t, c)
		if found := check(t, file); found != nil {
			t.Errorf("%+v breaks rules: %v", c, found)
		}
		checkStats(t, c, file, s)
	}
}

func checkStats(t *testing.T, c Config, file []byte, s Stats) {
	t.Helper()
	trailers := mcm.Trailers(file)
	want := Stats{Trailers: c.Blocks, Bytes: c.Blocks * mcm.TrailerLen, Tries: s.Tries}
	for i := range trailers {
		switch trailers[i].Kind() {
		case mcm.Neogenesis:
			want.Neogenesis++
		case mcm.Pseudo:
			want.Pseudo++
		case mcm.Standard:
			want.Worked++
		}
		want.Weight = rules.AddWeight(want.Weight, &trailers[i])
	}
	tip := &trailers[len(trailers)-1]
	want.Last, want.LastTime, want.Difficulty, want.Tip = tip.Num(), tip.SolveTime(), tip.Difficulty(), *tip.Hash()
	if s != want {
		t.Errorf("%+v: stats are\n%+v, want\n%+v", c, s, want)
	}
	if share := float64(s.Worked) / float64(s.Worked+s.Pseudo); share < c.Worked-0.02 || share > c.Worked+0.02 {
		t.Errorf("%+v: %v of the blocks are worked", c, share)
	}
}

func TestDifficultyReachesItsGoalAndStays(t *testing.T) {
	long(t)
	for _, c := range []struct {
		target uint8
		blocks int64
	}{{0, 19000}, {1, 19000}, {3, 19000}, {9, 800}} {
		target := c.target
		file, _ := generate(t, Config{Blocks: c.blocks, Worked: 1, Difficulty: target, Seed: 11})
		trailers := mcm.Trailers(file)
		times := map[uint32]bool{}
		for i := range trailers[20:] {
			cur := &trailers[20+i]
			if cur.Difficulty() != uint32(target) {
				t.Errorf("goal %d: block %v has difficulty %d", target, cur.Num(), cur.Difficulty())
				break
			}
			times[cur.SolveTime()-cur.StartTime()] = true
		}
		if len(times) < 100 {
			t.Errorf("goal %d: only %d different block times", target, len(times))
		}
	}
	file, _ := generate(t, Config{Blocks: 5000, Worked: 0.9, Difficulty: 5, Seed: 12})
	sum := 0
	for _, cur := range mcm.Trailers(file)[100:] {
		sum += int(cur.Difficulty())
	}
	if mean := float64(sum) / 4900; mean < 4.5 || mean >= 5 {
		t.Errorf("with a tenth pseudoblocks the mean difficulty is %v, want just below 5", mean)
	}
}

// TestMixingNeverWraps passes 0x4321 to 0x4521 with difficulties around 1, where
// they could wrap to 0xffffffff.
func TestMixingNeverWraps(t *testing.T) {
	long(t)
	for seed := range uint64(10) {
		file, _ := generate(t, Config{Blocks: 0x4600, Worked: 0.5, Difficulty: 2, Seed: seed})
		trailers := mcm.Trailers(file)
		for i := range trailers {
			if d := trailers[i].Difficulty(); d > 3 {
				t.Fatalf("seed %d: block %v has difficulty %d", seed, trailers[i].Num(), d)
			}
		}
		if found := check(t, file); found != nil {
			t.Errorf("seed %d: %v", seed, found)
		}
	}
}

func TestContentsAreVaried(t *testing.T) {
	file, _ := generate(t, Config{Blocks: 20000, Worked: 0.8, Difficulty: 1, Seed: 21})
	roots, nonces, fees, most := map[mcm.Hash]bool{}, map[mcm.Nonce]bool{}, map[uint64]bool{}, uint32(0)
	worked := 0
	for _, cur := range mcm.Trailers(file) {
		if cur.Kind() == mcm.Standard {
			worked++
			roots[*cur.MerkleRoot()] = true
			nonces[*cur.Nonce()] = true
			fees[cur.MinFee()] = true
			most = max(most, cur.TxCount())
		}
	}
	if len(roots) != worked || len(nonces) != worked || len(fees) < 100 || most < 30000 {
		t.Errorf("%d worked blocks have %d roots, %d nonces, %d fees and at most %d transactions", worked, len(roots), len(nonces), len(fees), most)
	}
}

func TestNoSolverNoWork(t *testing.T) {
	forbid := Config{Blocks: 78000, Worked: 0.3, Difficulty: 0, Seed: 31, StartTime: startTime}
	if _, err := Generate(t.Context(), bytes.NewBuffer(nil), forbid); err != nil {
		t.Errorf("difficulty 0 without a Solver: %v", err)
	}
	forbid.Worked, forbid.Difficulty = 1, 2
	var out bytes.Buffer
	_, err := Generate(t.Context(), &out, forbid)
	if want := "solver: none is given, want one for the Peach work of difficulty 2 of block 75858"; err == nil || err.Error() != want || out.Len() != 0 {
		t.Errorf("got %v and %d bytes, want %q and none", err, out.Len(), want)
	}
}

// failing is a Verifier that breaks down.
type failing struct {
	result verify.Verdict
	err    error
}

func (f failing) VerifyPoW(_ context.Context, dst []verify.Result, _ []mcm.Trailer) error {
	for i := range dst {
		dst[i] = verify.Result{Verdict: f.result}
	}
	return f.err
}

type fullDisk struct{ room int }

func (f *fullDisk) Write(p []byte) (int, error) {
	n := min(len(p), f.room)
	f.room -= n
	if n < len(p) {
		return n, errFull
	}
	return n, nil
}

var errFull = errors.New("disk full")

func TestFailuresEndTheChain(t *testing.T) {
	// The first block that needs the Solver has difficulty 1 by the fault before
	// it, which makes that one a standard block.
	c := Config{Blocks: 75900, Difficulty: 1, StartTime: startTime, Faults: []Fault{{"pow-nonce", 75857}, {"pow-work", 75858}}}
	var out bytes.Buffer
	broken := errors.New("device lost")
	for _, solver := range []failing{{verify.Unchecked, broken}, {verify.Unchecked, nil}, {verify.BadNonce, nil}} {
		out.Reset()
		c.Solver = solver
		s, err := Generate(t.Context(), &out, c)
		if err == nil || solver.err != nil && !errors.Is(err, broken) || !strings.Contains(err.Error(), "0x12852") {
			t.Errorf("%+v: error %v, want one that names block 0x12852 and wraps the cause", solver, err)
		}
		if s.Trailers != 75858 || out.Len() != 75858*mcm.TrailerLen {
			t.Errorf("%+v: %d trailers and %d bytes, want the 75858 before", solver, s.Trailers, out.Len())
		}
	}

	c.Solver = failing{verify.BadWork, nil} // never solves
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stopped")
	c.Progress = func(done, _ int64) {
		if done == 74*1024 { // the last report before block 75858
			cancel(stop)
		}
	}
	if _, err := Generate(ctx, &out, c); !errors.Is(err, stop) {
		t.Errorf("after cancelling: %v, want %v", err, stop)
	}

	for _, room := range []int{0, 159, 1 << 18, 1 << 20} {
		if _, err := Generate(t.Context(), &fullDisk{room}, Config{Blocks: 10000, StartTime: startTime}); !errors.Is(err, errFull) {
			t.Errorf("%d bytes of room: %v, want %v", room, err, errFull)
		}
	}
}

func TestProgress(t *testing.T) {
	var seen []int64
	c := Config{Blocks: 5000, StartTime: startTime, Progress: func(done, total int64) {
		if total != 5000 {
			t.Errorf("total is %d, want 5000", total)
		}
		seen = append(seen, done)
	}}
	generate(t, c)
	if want := []int64{1024, 2048, 3072, 4096, 5000}; !slices.Equal(seen, want) {
		t.Errorf("progress at %v, want %v", seen, want)
	}
}

func TestTimeEnds(t *testing.T) {
	c := Config{Blocks: 1000, StartTime: lastTime - 949*500, Seed: 1}
	var out bytes.Buffer
	if _, err := Generate(t.Context(), &out, c); err == nil || out.Len() != 0 || !strings.Contains(err.Error(), "start-time") {
		t.Errorf("a chain past 2^32 seconds: error %v and %d bytes", err, out.Len())
	}
	c.Blocks = 500
	if file, s := generate(t, c); s.LastTime < c.StartTime || len(file) != 500*mcm.TrailerLen {
		t.Errorf("a chain that ends in time: %+v", s)
	}
}

func TestFirstBlockStartsAtStartTime(t *testing.T) {
	for _, worked := range []float64{0, 1} {
		file, _ := generate(t, Config{Blocks: 2, Worked: worked, StartTime: 1234567890})
		if got := mcm.Trailers(file)[1].StartTime(); got != 1234567890 {
			t.Errorf("block 1 starts at %d", got)
		}
	}
}

// TestRandomSettings tries settings at random, faults included.
func TestRandomSettings(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	for round := range 60 {
		c := Config{Blocks: 300 + r.Int64N(2000), Worked: r.Float64(), Difficulty: uint8(1 + r.IntN(4)), Seed: r.Uint64(), StartTime: startTime, Solver: standIn{}}
		for range r.IntN(12) {
			f := Fault{kinds[r.IntN(len(kinds))].Name, mcm.BlockNum(r.Int64N(c.Blocks))}
			if r.IntN(4) == 0 {
				f.Block &^= 0xff
			}
			with := c
			with.Faults = append(slices.Clone(c.Faults), f)
			if with.Validate() == nil && with.rehearse(t.Context()) == nil {
				c = with
			}
		}
		file, _ := generate(t, c)
		if got, want := check(t, file), wanted(c); !reflect.DeepEqual(got, want) {
			t.Errorf("seed %d, round %d: %+v has %v, want %v", seed, round, c, got, want)
		}
	}
}

// wanted returns what check finds in a chain of c.
func wanted(c Config) (found []finding) {
	for _, f := range c.faultsByBlock() {
		found = append(found, finding{f.Block, f.Rule()})
	}
	return found
}

func BenchmarkGenerate(b *testing.B) {
	for _, c := range []Config{
		{Worked: 0.01, Difficulty: 1},
		{Worked: 1, Difficulty: 0},
		{Worked: 1, Difficulty: 4},
	} {
		c.Blocks, c.Seed, c.StartTime = 70000, 1, startTime
		b.Run(fmt.Sprintf("worked=%v/difficulty=%d", c.Worked, c.Difficulty), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Generate(b.Context(), discard{}, c); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*float64(c.Blocks)/b.Elapsed().Seconds(), "trailers/s")
		})
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
