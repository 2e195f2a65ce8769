package evidence

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/rules"
	"kigo/node/synth"
	"kigo/node/verify"
	"kigo/node/wire"
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

// The tests' chain begins with block 0xa0700 at base.
const (
	base  = mcm.V30Trigger
	start = 1_800_000_000
	// clock is later than all blocks of a test.
	clock = start + 1_000_000
)

// A chain is trailers from base on, with what they weigh.
type chain struct {
	miner    *synth.Miner
	trailers []mcm.Trailer
	weights  []mcm.Weight
}

func newChain(tb testing.TB, n int) *chain {
	c := &chain{miner: synth.NewMiner(1, standIn{})}
	var first mcm.Trailer
	first.SetNum(base)
	first.SetDifficulty(5)
	first.SetStartTime(start - 100)
	first.SetSolveTime(start)
	first.PrevHash()[0] = 1
	c.add(tb, first, nil)
	for len(c.trailers) < n {
		c.grow(tb, len(c.trailers)%7 == 3, nil)
	}
	return c
}

// grow adds the next block, a pseudoblock or, where it can, a worked one, after
// change had its way with it.
func (c *chain) grow(tb testing.TB, pseudo bool, change func(t *mcm.Trailer)) {
	prev := &c.trailers[len(c.trailers)-1]
	var t mcm.Trailer
	*t.PrevHash() = *prev.Hash()
	n := prev.Num() + 1
	t.SetNum(n)
	t.SetStartTime(prev.SolveTime())
	t.SetDifficulty(rules.NextDifficulty(prev))
	switch {
	case n.IsNeogenesis():
		t.SetStartTime(prev.StartTime())
		t.SetSolveTime(prev.SolveTime())
		t.SetDifficulty(prev.Difficulty())
		t.MerkleRoot()[0] = byte(n >> 8)
	case pseudo:
		t.SetSolveTime(t.StartTime() + mcm.BridgeV3)
		*t.MerkleRoot() = rules.PseudoRoot(n)
	default:
		t.SetMinFee(mcm.MinFee)
		t.SetTxCount(1)
		// Quick enough to make up for the pseudoblocks.
		t.SetSolveTime(t.StartTime() + 60)
		if t.Difficulty() >= 5 {
			t.SetSolveTime(t.StartTime() + 100)
		}
		binary.LittleEndian.PutUint64(t.MerkleRoot()[:], uint64(n))
	}
	if change != nil {
		change(&t)
	}
	c.add(tb, t, change)
}

func (c *chain) add(tb testing.TB, t mcm.Trailer, change func(t *mcm.Trailer)) {
	tb.Helper()
	if err := c.miner.Mine(context.Background(), &t); err != nil {
		tb.Fatal(err)
	}
	var w mcm.Weight
	if n := len(c.weights); n > 0 {
		w = c.weights[n-1]
	}
	c.trailers = append(c.trailers, t)
	c.weights = append(c.weights, rules.AddWeight(w, &t))
}

// fork returns a chain that goes on from the first n trailers.
func (c *chain) fork(n int) *chain {
	return &chain{c.miner, append([]mcm.Trailer(nil), c.trailers[:n]...), append([]mcm.Weight(nil), c.weights[:n]...)}
}

func (c *chain) tip() *mcm.Trailer { return &c.trailers[len(c.trailers)-1] }

// state is what an honest node says that has all of the chain.
func (c *chain) state() wire.State {
	t := c.tip()
	return wire.State{Num: t.Num(), Hash: *t.Hash(), Prev: *t.PrevHash(), Weight: c.weights[len(c.weights)-1]}
}

func (c *chain) anchor(i int) *proof.Anchor {
	t := &c.trailers[i]
	return &proof.Anchor{Num: t.Num(), Hash: *t.Hash(), Weight: c.weights[i], Time: t.SolveTime(), Fixed: true}
}

// The ids of all connections here.
const id1, id2 = 0x1234, 0xabc0

func encode(tb testing.TB, p wire.Packet) []byte {
	tb.Helper()
	b, err := p.AppendTo(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func helloAck(tb testing.TB, st wire.State) []byte {
	return encode(tb, wire.Packet{ID1: id1, ID2: id2, Op: wire.OpHelloAck, State: st})
}

// answer is a HELLO_ACK and a reply, in as many packets as it takes.
func answer(tb testing.TB, st wire.State, op wire.Op, data []byte) [][]byte {
	packets := [][]byte{helloAck(tb, st)}
	for {
		piece := data[:min(len(data), wire.FileChunk)]
		data = data[len(piece):]
		packets = append(packets, encode(tb, wire.Packet{ID1: id1, ID2: id2, Op: op, State: st, Data: piece}))
		if len(piece) < wire.FileChunk {
			return packets
		}
	}
}

// seal puts a new CRC under a changed packet.
func seal(raw []byte) []byte {
	raw = bytes.Clone(raw)
	binary.LittleEndian.PutUint16(raw[len(raw)-4:], wire.CRC16(raw[:len(raw)-4]))
	return raw
}

// options are those of a test network that begins at base.
func options() proof.Options { return proof.Options{Base: base} }

// template is a record of a peer with a claim that was asked for its proof.
func template(st wire.State, packets [][]byte) Record {
	first, count := proof.Want(st, options())
	return Record{
		Time: time.Unix(clock, 5), Peer: netip.MustParseAddr("127.3.2.1"), Detail: "as seen",
		Claim: st, Op: wire.OpTF, First: first, Count: count, ID1: id1, ID2: id2, Packets: packets,
		Options: options(), RuleSet: rules.Version,
	}
}

// segment is the proof of the chain's tip.
func (c *chain) segment() []mcm.Trailer {
	return c.trailers[max(0, len(c.trailers)-proof.Segment):]
}

// A sample is a record that has to be confirmed.
type sample struct {
	name   string
	record Record
	// loose says that the last packet is a bare header, of which not every byte
	// matters.
	loose bool
}

// samples has each kind in each form.
func samples(tb testing.TB) []sample {
	honest := newChain(tb, 90)
	var all []sample
	add := func(name string, r Record, kind fault.Kind, rule rules.Rule, num mcm.BlockNum) {
		r.Kind, r.Rule, r.Num = kind, rule, num
		all = append(all, sample{name: name, record: r})
	}
	proofOf := func(c *chain) Record {
		return template(c.state(), answer(tb, c.state(), wire.OpSendFile, mcm.Bytes(c.segment())))
	}

	// Trailers.
	broken := honest.fork(80)
	broken.grow(tb, false, func(t *mcm.Trailer) { t.SetDifficulty(t.Difficulty() + 1) })
	broken.grow(tb, false, nil)
	add("rule/difficulty", proofOf(broken), fault.InvalidTrailer, rules.Difficulty, base+80)

	hash := honest.fork(80)
	hash.tip().Hash()[3] ^= 1
	add("rule/hash", proofOf(hash), fault.InvalidTrailer, rules.BlockHash, base+79)

	pseudo := honest.fork(80)
	pseudo.grow(tb, true, func(t *mcm.Trailer) { t.MerkleRoot()[9] ^= 1 })
	add("rule/pseudo root", proofOf(pseudo), fault.InvalidTrailer, rules.MerkleRoot, base+80)

	missed := honest.fork(70)
	miss := *missed.tip()
	if err := missed.miner.Miss(context.Background(), &miss); err != nil {
		tb.Fatal(err)
	}
	*missed.tip() = miss
	for range 9 {
		missed.grow(tb, false, nil)
	}
	add("work", proofOf(missed), fault.InvalidTrailer, rules.PowPeach, base+69)

	// A range that was asked for in front of a thin proof.
	rng := proofOf(honest)
	rng.First, rng.Count = base, len(honest.trailers)-proof.Segment
	rng.Next = &honest.segment()[0]
	bad := append([]mcm.Trailer(nil), honest.trailers[:rng.Count]...)
	bad[rng.Count-1].SetMinFee(1)
	*bad[rng.Count-1].Hash() = sha256.Sum256(bad[rng.Count-1][:128])
	rng.Packets = answer(tb, honest.state(), wire.OpSendFile, mcm.Bytes(bad))
	add("range/rule", rng, fault.InvalidTrailer, rules.MinFee, base+mcm.BlockNum(rng.Count)-1)

	rng.Packets = answer(tb, broken.state(), wire.OpSendFile, mcm.Bytes(broken.trailers[:80]))
	rng.Claim, rng.Count, rng.Next = broken.state(), 80, &broken.trailers[80]
	add("range/trailer behind it", rng, fault.InvalidTrailer, rules.Difficulty, base+80)

	// The same range with a seam, once deep below the tip.
	far := newChain(tb, 160)
	seam := proofOf(far)
	seam.First, seam.Count = base, len(far.trailers)-proof.Segment
	seam.Next = &far.segment()[0]
	torn := append([]mcm.Trailer(nil), far.trailers[:seam.Count]...)
	torn[50].PrevHash()[0] ^= 1
	*torn[50].Hash() = sha256.Sum256(torn[50][:128])
	seam.Packets = answer(tb, far.state(), wire.OpSendFile, mcm.Bytes(torn))
	add("range/foreign", seam, fault.ForeignRange, "", base+50)

	// Numbers and lengths.
	shifted := proofOf(honest)
	shifted.Packets = answer(tb, honest.state(), wire.OpSendFile, mcm.Bytes(honest.trailers[len(honest.trailers)-proof.Segment-1:len(honest.trailers)-1]))
	add("numbers", shifted, fault.WrongNumbers, "", shifted.First)

	long := proofOf(honest)
	long.Packets = answer(tb, honest.state(), wire.OpSendFile, mcm.Bytes(honest.trailers[:proof.Segment+1]))
	long.Packets[1] = long.Packets[1][:wire.HeaderLen]
	add("too long", long, fault.TooLong, "", 0)
	all[len(all)-1].loose = true

	many := proofOf(honest)
	zeros := make([]mcm.Trailer, 1000)
	many.First, many.Count = base-1000, 500
	for i := range zeros {
		zeros[i].SetNum(many.First + mcm.BlockNum(i))
	}
	many.Packets = answer(tb, honest.state(), wire.OpSendFile, mcm.Bytes(zeros))[:3]
	many.Packets[2] = many.Packets[2][:wire.HeaderLen]
	add("too long/second packet", many, fault.TooLong, "", 0)
	all[len(all)-1].loose = true

	// Lists.
	list := proofOf(honest)
	list.Op, list.First, list.Count = wire.OpGetIPL, 0, 0
	list.Packets = answer(tb, honest.state(), wire.OpSendIPL, []byte{8, 8, 8, 8, 1})
	add("list/uneven", list, fault.BadList, "", 0)
	list.Packets = answer(tb, honest.state(), wire.OpSendIPL, make([]byte, 260))
	list.Packets[1] = list.Packets[1][:wire.HeaderLen]
	add("list/long", list, fault.BadList, "", 0)
	all[len(all)-1].loose = true

	// Frames.
	frame := func(name string, i int, change func(raw []byte)) {
		r := proofOf(honest)
		r.Packets[i] = bytes.Clone(r.Packets[i])
		change(r.Packets[i])
		r.Packets[i] = seal(r.Packets[i])
		r.Packets = r.Packets[:i+1]
		if i == 0 {
			r.Op, r.ID2, r.First, r.Count = wire.OpHello, 0, 0, 0
		}
		add(name, r, fault.BadFrame, "", 0)
	}
	frame("frame/network", 0, func(raw []byte) { raw[2] ^= 1 })
	frame("frame/mark", 1, func(raw []byte) { raw[len(raw)-1] ^= 1 })
	frame("frame/id1", 0, func(raw []byte) { raw[4] ^= 1 })
	frame("frame/id2", 1, func(raw []byte) { raw[6] ^= 1 })

	// Weights.
	weight := func(name string, c *chain, anchor int, wrong mcm.Weight) {
		st := c.state()
		st.Weight = wrong
		r := template(st, answer(tb, st, wire.OpSendFile, mcm.Bytes(c.segment())))
		r.Anchor = c.anchor(anchor)
		r.Chain = c.trailers[anchor+1:]
		add(name, r, fault.FalseWeight, "", st.Num)
	}
	one := mcm.Weight{1}
	more, _ := honest.state().Weight.Add(one)
	weight("weight", honest, 60, more)
	weight("weight/of the anchor", honest, len(honest.trailers)-1, more)
	weight("weight/0xff", newChain(tb, 256), 200, one)
	weight("weight/neogenesis", newChain(tb, 257), 200, more)
	return all
}
