package rules

import (
	"crypto/sha256"

	"kigo/node/mcm"
)

// Check reports whether cur may follow prev in a chain; prev is nil for the
// genesis block.  now is the wall clock in Unix seconds.  The first rule that
// fails, in the order of docs/spec/chain.md section 5, comes back as an *Error.
// Proof of work is not looked at.
func Check(prev, cur *mcm.Trailer, now int64) error {
	if prev == nil {
		return checkGenesis(cur)
	}
	n := prev.Num() + 1
	if *cur.PrevHash() != *prev.Hash() {
		return fail(PrevHash, n, "names %v as the block before it, expected %v", cur.PrevHash(), prev.Hash())
	}
	if n == 0 {
		return fail(Overflow, prev.Num(), "the block before has number %v, which nothing can follow", prev.Num())
	}
	if cur.Num() != n {
		return fail(Num, n, "has number %v, expected %v", cur.Num(), n)
	}
	if err := checkContents(cur, n); err != nil {
		return err
	}
	var err error
	if n.IsNeogenesis() {
		err = checkRepeated(prev, cur, n)
	} else {
		err = checkTimes(prev, cur, n, now)
	}
	if err != nil {
		return err
	}
	return checkHash(cur, n)
}

// CheckFirst checks of a trailer, whose predecessor nobody has, all that it shows
// by itself: contents, the time it took, our clock, and from V30Trigger on its
// hash.  A block that claims number 0 has to be the genesis block.  Links and
// difficulty are left open, and so are the times of a neogenesis block, which
// repeat those of the block before.
func CheckFirst(t *mcm.Trailer, now int64) error {
	n := t.Num()
	if n == 0 {
		return checkGenesis(t)
	}
	if err := checkContents(t, n); err != nil {
		return err
	}
	if !n.IsNeogenesis() {
		if err := checkElapsed(t, n); err != nil {
			return err
		}
		if err := checkClock(t, n, now); err != nil {
			return err
		}
	}
	return checkHash(t, n)
}

// Early reports whether t's solve time lies too far ahead of the clock, now in
// Unix seconds.  It is the one rule that time heals, and it shares its name,
// SolveTime, with others that nothing heals (docs/spec/sync.md section 8.4).
// Neogenesis blocks are not held against the clock, and so are never early.
func Early(t *mcm.Trailer, now int64) bool {
	// The lead is taken from the solve time, so that no clock overflows.
	return !t.Num().IsNeogenesis() && int64(t.SolveTime())-mcm.ClockLead > now
}

func checkHash(t *mcm.Trailer, n mcm.BlockNum) error {
	if n < mcm.V30Trigger {
		return nil
	}
	if sum := mcm.Hash(sha256.Sum256(t[:128])); *t.Hash() != sum {
		return fail(BlockHash, n, "claims hash %v, its trailer has %v", t.Hash(), sum)
	}
	return nil
}

func checkGenesis(t *mcm.Trailer) error {
	for i, b := range t[:128] {
		if b != 0 {
			return fail(NonZeroGenesis, 0, "byte %d is 0x%02x, expected 0", i, b)
		}
	}
	if *t.Hash() != mcm.GenesisHash {
		return fail(GenesisHash, 0, "genesis hash is %v, expected %v", t.Hash(), mcm.GenesisHash)
	}
	return nil
}

// checkContents is step 4: the fields that tell what a block holds.
func checkContents(t *mcm.Trailer, n mcm.BlockNum) error {
	if !n.IsNeogenesis() && t.TxCount() != 0 {
		if t.MinFee() < mcm.MinFee {
			return fail(MinFee, n, "minimum fee is %d, expected at least %d", t.MinFee(), mcm.MinFee)
		}
		if t.TxCount() > mcm.MaxTx {
			return fail(TxCount, n, "has %d transactions, expected at most %d", t.TxCount(), mcm.MaxTx)
		}
		return nil
	}
	switch {
	case t.MinFee() != 0:
		return fail(MinFee, n, "minimum fee is %d, expected 0 in a block without transactions", t.MinFee())
	case t.TxCount() != 0:
		return fail(TxCount, n, "has %d transactions, expected 0 in a neogenesis block", t.TxCount())
	case *t.Nonce() != mcm.Nonce{}:
		return fail(Nonce, n, "nonce is %x, expected zeros in a block without proof of work", t.Nonce()[:])
	case n < mcm.V30Trigger && !t.MerkleRoot().IsZero():
		return fail(MerkleRoot, n, "Merkle root is %v, expected zeros in a block without transactions before %v", t.MerkleRoot(), mcm.V30Trigger)
	}
	return nil
}

// checkTimes is step 5 for pseudo and standard blocks.
func checkTimes(prev, cur *mcm.Trailer, n mcm.BlockNum, now int64) error {
	if err := checkElapsed(cur, n); err != nil {
		return err
	}
	if n > mcm.V20Trigger && cur.StartTime() != prev.SolveTime() {
		return fail(StartTime, n, "start time is %d, expected %d, the solve time before", cur.StartTime(), prev.SolveTime())
	}
	if want := NextDifficulty(prev); cur.Difficulty() != want {
		return fail(Difficulty, n, "difficulty is %d, expected %d", cur.Difficulty(), want)
	}
	return checkClock(cur, n, now)
}

// checkClock holds a solve time against the clock.
func checkClock(t *mcm.Trailer, n mcm.BlockNum, now int64) error {
	if Early(t, now) {
		return fail(SolveTime, n, "solve time %d lies in the future, expected at most %d s after the clock's %d", t.SolveTime(), mcm.ClockLead, now)
	}
	return nil
}

// checkElapsed holds the time that a pseudo or standard block took against the
// bridge time.
func checkElapsed(t *mcm.Trailer, n mcm.BlockNum) error {
	bridge := n.Bridge()
	elapsed := t.SolveTime() - t.StartTime() // modulo 2^32, as the protocol has it
	switch {
	case t.TxCount() == 0:
		if elapsed != bridge {
			return fail(SolveTime, n, "pseudoblock took %d s, expected %d", elapsed, bridge)
		}
	case elapsed == 0:
		return fail(SolveTime, n, "solve time %d equals the start time", t.SolveTime())
	case elapsed > bridge && keepsBridge(n):
		return fail(SolveTime, n, "took %d s from start time %d to solve time %d, expected at most %d", elapsed, t.StartTime(), t.SolveTime(), bridge)
	}
	return nil
}

// keepsBridge reports whether a standard block n has to be solved within the
// bridge time.
func keepsBridge(n mcm.BlockNum) bool {
	return n > mcm.BridgeException || n > mcm.V23Trigger && n.Low() != 0xff
}

// checkRepeated is step 5 for neogenesis blocks, which repeat what the block
// before them has.  They are not held against the clock.
func checkRepeated(prev, cur *mcm.Trailer, n mcm.BlockNum) error {
	switch {
	case cur.StartTime() != prev.StartTime():
		return fail(StartTime, n, "start time is %d, expected %d as in the block before", cur.StartTime(), prev.StartTime())
	case cur.Difficulty() != prev.Difficulty():
		return fail(Difficulty, n, "difficulty is %d, expected %d as in the block before", cur.Difficulty(), prev.Difficulty())
	case cur.SolveTime() != prev.SolveTime():
		return fail(SolveTime, n, "solve time is %d, expected %d as in the block before", cur.SolveTime(), prev.SolveTime())
	}
	return nil
}
