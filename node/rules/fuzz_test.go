package rules

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"math/big"
	"os"
	"testing"

	"kigo/node/mcm"
)

// plain is a trailer taken apart without package mcm's accessors: numbers of any
// size, so that nothing wraps unless the text says so.
type plain struct {
	phash, mroot, nonce, bhash, covered          []byte
	bnum, mfee, tcount, time0, difficulty, stime *big.Int
}

func takeApart(t *mcm.Trailer) plain {
	number := func(from, to int) *big.Int {
		n := new(big.Int)
		for i := to - 1; i >= from; i-- {
			n.Add(n.Mul(n, big.NewInt(256)), big.NewInt(int64(t[i])))
		}
		return n
	}
	return plain{
		phash: t[0:32], mroot: t[60:92], nonce: t[92:124], bhash: t[128:160], covered: t[0:128],
		bnum: number(32, 40), mfee: number(40, 48), tcount: number(48, 52),
		time0: number(52, 56), difficulty: number(56, 60), stime: number(124, 128),
	}
}

// A clause is one "if this, then that error" of docs/spec/chain.md section 5.
type clause struct {
	broken bool
	rule   Rule
}

// bySpec is section 5 a second time, as the list that it is there.  It returns
// the number that the block must have and the rule that the first broken clause
// names, "" if none is broken.
func bySpec(prev, cur *mcm.Trailer, clock int64) (*big.Int, Rule) {
	t := takeApart(cur)
	if prev == nil {
		genesis, _ := hex.DecodeString("00170c6711b9dc3ca746c46cc281bc69e303dfad2f333ba397ba061eccefde03")
		return new(big.Int), firstBroken([]clause{
			{!zero(t.covered), "EMCM_NZGEN"},
			{!bytes.Equal(t.bhash, genesis), "EMCM_GENHASH"},
		})
	}
	p := takeApart(prev)
	n := new(big.Int).Add(p.bnum, big.NewInt(1))
	lo := new(big.Int).Mod(n, big.NewInt(256)).Int64()
	neogenesis := lo == 0
	empty := neogenesis || t.tcount.Sign() == 0
	pseudo := !neogenesis && t.tcount.Sign() == 0
	standard := !neogenesis && t.tcount.Sign() != 0
	v3 := n.Cmp(big.NewInt(657152)) >= 0
	bridge := big.NewInt(949)
	if v3 {
		bridge = big.NewInt(238)
	}
	btime := new(big.Int).Sub(t.stime, t.time0)
	btime.Mod(btime, big.NewInt(1<<32)) // Euclidean: never negative
	bridged := n.Cmp(big.NewInt(0x1b6ff)) > 0 || lo != 0xff && n.Cmp(big.NewInt(54321)) > 0
	latest := new(big.Int).Add(big.NewInt(clock), big.NewInt(3))
	sum := sha256.Sum256(t.covered)
	two64 := new(big.Int).Lsh(big.NewInt(1), 64)
	return n, firstBroken([]clause{
		{!bytes.Equal(t.phash, p.bhash), "EMCM_PHASH"},
		{n.Cmp(two64) == 0, "EMCM_MATH64_OVERFLOW"},
		{t.bnum.Cmp(n) != 0, "EMCM_BNUM"},

		{empty && t.mfee.Sign() != 0, "EMCM_MFEE"},
		{empty && t.tcount.Sign() != 0, "EMCM_TCOUNT"},
		{empty && !zero(t.nonce), "EMCM_NONCE"},
		{empty && !v3 && !zero(t.mroot), "EMCM_MROOT"},
		{!empty && t.mfee.Cmp(big.NewInt(500)) < 0, "EMCM_MFEE"},
		{!empty && t.tcount.Cmp(big.NewInt(32768)) > 0, "EMCM_TCOUNT"},

		{pseudo && btime.Cmp(bridge) != 0, "EMCM_STIME"},
		{standard && t.time0.Cmp(t.stime) == 0, "EMCM_STIME"},
		{standard && bridged && btime.Cmp(bridge) > 0, "EMCM_STIME"},
		{!neogenesis && n.Cmp(big.NewInt(17185)) > 0 && t.time0.Cmp(p.stime) != 0, "EMCM_TIME0"},
		{!neogenesis && t.difficulty.Int64() != nextBySpec(p), "EMCM_DIFF"},
		{!neogenesis && t.stime.Cmp(latest) > 0, "EMCM_STIME"},

		{neogenesis && t.time0.Cmp(p.time0) != 0, "EMCM_TIME0"},
		{neogenesis && t.difficulty.Cmp(p.difficulty) != 0, "EMCM_DIFF"},
		{neogenesis && t.stime.Cmp(p.stime) != 0, "EMCM_STIME"},

		{v3 && !bytes.Equal(t.bhash, sum[:]), "EMCM_BHASH"},
	})
}

func firstBroken(list []clause) Rule {
	for _, c := range list {
		if c.broken {
			return c.rule
		}
	}
	return ""
}

func zero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

// nextBySpec is docs/spec/chain.md section 6 a second time, line by line and in
// numbers that have room for every step.
func nextBySpec(p plain) int64 {
	d, stime := p.difficulty.Int64(), p.stime.Int64()
	secs := stime - p.time0.Int64()
	for secs < -1<<31 {
		secs += 1 << 32
	}
	for secs >= 1<<31 {
		secs -= 1 << 32
	}
	if secs < 0 {
		return d
	}
	slow, fast, mix := int64(506), int64(253), int64(0)
	if p.bnum.Cmp(big.NewInt(0x4321)) >= 0 {
		slow, fast = 284, 143
		if p.bnum.Cmp(big.NewInt(0x4521)) <= 0 {
			mix = stime/64 ^ stime
		}
	}
	if p.bnum.Cmp(big.NewInt(0xa0700)) >= 0 {
		slow, fast = 138, 69
	}
	if secs > slow && d > 0 {
		d--
		if mix%2 == 1 {
			d--
		}
	} else if secs < fast && mix%4 == 0 && d < 255 {
		d++
	}
	return (d + 1<<32) % (1 << 32)
}

// compare holds Check against bySpec and returns the rule.
func compare(t *testing.T, prev, cur *mcm.Trailer, clock int64) Rule {
	t.Helper()
	n, want := bySpec(prev, cur, clock)
	err := Check(prev, cur, clock)
	if err == nil {
		if want != "" {
			t.Fatalf("accepted; the specification says %s\nprev %x\ncur  %x\nclock %d", want, prev, cur, clock)
		}
		return ""
	}
	var e *Error
	if !errors.As(err, &e) || e.Rule != want || e.Detail == "" {
		t.Fatalf("got %v; the specification says %q\nprev %x\ncur  %x\nclock %d", err, want, prev, cur, clock)
	}
	// Nothing can follow the last number: that error names the last number itself.
	if got := uint64(e.Num); got != new(big.Int).Mod(n, new(big.Int).Lsh(big.NewInt(1), 64)).Uint64() && e.Rule != Overflow {
		t.Fatalf("%v: at block %d, expected %v", err, got, n)
	}
	return e.Rule
}

// Repairs, one bit each: what of a trailer is made to fit the one before it, so
// that fuzzing reaches the rules behind.
const (
	fixPrevHash = 1 << iota
	fixNum
	fixContents
	fixStartTime
	fixSolveTime
	fixDifficulty
	fixClock
	fixHash
)

// repair makes what the bits of fix ask for fit prev, and returns the clock to
// use.
func repair(fix uint8, prev, cur *mcm.Trailer, clock int64) int64 {
	n := prev.Num() + 1
	if fix&fixPrevHash != 0 {
		*cur.PrevHash() = *prev.Hash()
	}
	if fix&fixNum != 0 {
		cur.SetNum(n)
	}
	if fix&fixContents != 0 {
		repairContents(cur, n)
	}
	if fix&fixStartTime != 0 {
		cur.SetStartTime(prev.SolveTime())
		if n.IsNeogenesis() {
			cur.SetStartTime(prev.StartTime())
		}
	}
	if fix&fixSolveTime != 0 {
		switch {
		case n.IsNeogenesis():
			cur.SetSolveTime(prev.SolveTime())
		case cur.TxCount() == 0:
			cur.SetSolveTime(cur.StartTime() + n.Bridge())
		default:
			cur.SetSolveTime(cur.StartTime() + 1 + cur.SolveTime()%n.Bridge())
		}
	}
	if fix&fixDifficulty != 0 {
		cur.SetDifficulty(NextDifficulty(prev))
		if n.IsNeogenesis() {
			cur.SetDifficulty(prev.Difficulty())
		}
	}
	if fix&fixClock != 0 { // at and around the last second that is allowed
		clock = int64(cur.SolveTime()) - mcm.ClockLead + clock%3
	}
	if fix&fixHash != 0 {
		*cur.Hash() = sha256.Sum256(cur[:128])
	}
	return clock
}

func repairContents(cur *mcm.Trailer, n mcm.BlockNum) {
	if !n.IsNeogenesis() && cur.TxCount() != 0 {
		cur.SetTxCount(1 + cur.TxCount()%mcm.MaxTx)
		cur.SetMinFee(max(cur.MinFee(), mcm.MinFee))
		return
	}
	cur.SetTxCount(0)
	cur.SetMinFee(0)
	*cur.Nonce() = mcm.Nonce{}
	if n < mcm.V30Trigger {
		*cur.MerkleRoot() = mcm.Hash{}
	}
}

// A pair is a trailer of the vectors and the one before it, nil for none.
type pair struct {
	prev, cur *mcm.Trailer
	now       int64
	verdict   string
}

// vectorPairs returns the cases of trailers.json.
func vectorPairs(t testing.TB) (all []pair) {
	var v struct {
		Cases []struct {
			Now           int64
			Prev, Trailer hexBytes
			Error         string
		}
	}
	load(t, "trailers.json", &v)
	for _, c := range v.Cases {
		p := pair{nil, (*mcm.Trailer)(c.Trailer), c.Now, c.Error}
		if c.Prev != nil {
			p.prev = (*mcm.Trailer)(c.Prev)
		}
		all = append(all, p)
	}
	return all
}

// FuzzCheck holds Check against a second writing of the specification, for any
// two trailers and any clock.
func FuzzCheck(f *testing.F) {
	seen := map[string]int{}
	for _, p := range vectorPairs(f) {
		// Four of each verdict, and more of the common ones, spread over the file.
		if seen[p.verdict]++; seen[p.verdict] > 4 && seen[p.verdict]%150 != 0 {
			continue
		}
		var prev []byte
		if p.prev != nil {
			prev = p.prev[:]
		}
		f.Add(uint8(0), prev, p.cur[:], p.now)
		if p.verdict == "OK" {
			f.Add(uint8(255), prev, p.cur[:], int64(seen[p.verdict]))
			f.Add(uint8(0), prev, p.cur[:], int64(math.MaxInt64))
			f.Add(uint8(0), prev, p.cur[:], int64(math.MinInt64))
		}
	}
	f.Fuzz(func(t *testing.T, fix uint8, before, trailer []byte, clock int64) {
		var cur mcm.Trailer
		copy(cur[:], trailer)
		if len(before) == 0 {
			if fix&fixHash != 0 {
				*cur.Hash() = mcm.GenesisHash
			}
			compare(t, nil, &cur, clock)
			return
		}
		var prev mcm.Trailer
		copy(prev[:], before)
		clock = repair(fix, &prev, &cur, clock)
		got := compare(t, &prev, &cur, clock)
		// All repaired and on time, only what can't be repaired is left.
		const all = fixPrevHash | fixNum | fixContents | fixStartTime | fixSolveTime | fixDifficulty | fixHash
		if fix&all == all && got != "" && got != Overflow && got != SolveTime {
			t.Errorf("a repaired trailer breaks %s\nprev %x\ncur  %x", got, prev, cur)
		}
	})
}

// FuzzNextDifficulty holds NextDifficulty against a second writing of the
// specification.
func FuzzNextDifficulty(f *testing.F) {
	for _, n := range []uint64{0, 0x4320, 0x4321, 0x4521, 0x4522, 0xa06ff, 0xa0700, math.MaxUint64} {
		for _, secs := range []uint32{0, 68, 69, 138, 139, 142, 143, 252, 253, 284, 285, 506, 507, 1 << 31, math.MaxUint32} {
			for i, d := range []uint32{0, 1, 2, 254, 255, 256, math.MaxUint32} {
				time0 := uint32(1531000000 + i)
				f.Add(n, time0, time0+secs, d)
			}
		}
	}
	f.Fuzz(func(t *testing.T, n uint64, time0, stime, d uint32) {
		var p mcm.Trailer
		binary.LittleEndian.PutUint64(p[32:], n)
		binary.LittleEndian.PutUint32(p[52:], time0)
		binary.LittleEndian.PutUint32(p[56:], d)
		binary.LittleEndian.PutUint32(p[124:], stime)
		if got, want := int64(NextDifficulty(&p)), nextBySpec(takeApart(&p)); got != want {
			t.Errorf("after block %#x with difficulty %d and times %d to %d: got %d, the specification says %d", n, d, time0, stime, got, want)
		}
	})
}

// TestMutatedTrailers spoils every field of good trailers in several ways, the
// hash left alone or made to fit, and expects what the specification says.
func TestMutatedTrailers(t *testing.T) {
	data, err := os.ReadFile("../../testdata/mainnet/trailers-0x94701-0x947ff.bin")
	if err != nil {
		t.Fatal(err)
	}
	var good []pair
	mainnet := mcm.Trailers(data)
	for i := 1; i < len(mainnet); i++ {
		good = append(good, pair{&mainnet[i-1], &mainnet[i], 1800000000, "OK"})
	}
	for _, p := range vectorPairs(t) { // all eras and kinds of block
		if p.verdict == "OK" && p.prev != nil {
			good = append(good, p)
		}
	}
	fields := []struct {
		name     string
		from, to int
		always   Rule // whatever else the trailer is, "" where it depends
	}{
		{"phash", 0, 32, PrevHash},
		{"bnum", 32, 40, Num},
		{"mfee", 40, 48, ""},
		{"tcount", 48, 52, ""},
		{"time0", 52, 56, ""},
		{"difficulty", 56, 60, Difficulty},
		{"mroot", 60, 92, ""},
		{"nonce", 92, 124, ""},
		{"stime", 124, 128, ""},
		{"bhash", 128, 160, ""},
	}
	spoil := []func(field []byte){
		func(b []byte) { b[0] ^= 1 },
		func(b []byte) { b[len(b)-1] ^= 0x80 },
		func(b []byte) { b[len(b)/2] ^= 0x10 },
		func(b []byte) { clear(b) },
		func(b []byte) { copy(b, bytes.Repeat([]byte{0xff}, len(b))) },
		func(b []byte) { b[0]++ },
	}
	mutated, found := 0, map[Rule]int{}
	for i, p := range good {
		if got := compare(t, p.prev, p.cur, p.now); got != "" {
			t.Fatalf("pair %d: breaks %s before anything is spoiled", i, got)
		}
		for _, field := range fields {
			for way, f := range spoil {
				for _, rehash := range []bool{false, true} {
					bad := *p.cur
					f(bad[field.from:field.to])
					if bad == *p.cur || rehash && (p.cur.Num() < mcm.V30Trigger || field.name == "bhash") {
						continue
					}
					if rehash {
						*bad.Hash() = sha256.Sum256(bad[:128])
					}
					got := compare(t, p.prev, &bad, p.now)
					if field.always != "" && got != field.always {
						t.Fatalf("pair %d, %s spoiled in way %d: got %q, want %s", i, field.name, way, got, field.always)
					}
					mutated++
					found[got]++
				}
			}
		}
	}
	broken := mutated - found[""]
	t.Logf("%d mutated trailers, %d of them break a rule: %v", mutated, broken, found)
	if broken < 2000 {
		t.Errorf("%d mutated trailers break a rule, want at least 2000", broken)
	}
	for _, r := range []Rule{PrevHash, Num, MinFee, TxCount, Nonce, MerkleRoot, SolveTime, StartTime, Difficulty, BlockHash} {
		if found[r] < 20 {
			t.Errorf("%d mutated trailers break %s, want at least 20", found[r], r)
		}
	}
}
