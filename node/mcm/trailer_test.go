package mcm

import (
	"bytes"
	"slices"
	"testing"
)

// numbered returns a trailer whose byte i is i.
func numbered() (t Trailer) {
	for i := range t {
		t[i] = byte(i)
	}
	return t
}

// little returns the n bytes from offset on as a little-endian number, for a
// trailer whose byte i is i.
func little(offset, n int) (v uint64) {
	for i := n - 1; i >= 0; i-- {
		v = v<<8 | uint64(offset+i)
	}
	return v
}

func TestFieldsAreWhereTheyBelong(t *testing.T) {
	tr := numbered()
	for _, c := range []struct {
		name      string
		got, want uint64
	}{
		{"bnum", uint64(tr.Num()), little(32, 8)},
		{"mfee", tr.MinFee(), little(40, 8)},
		{"tcount", uint64(tr.TxCount()), little(48, 4)},
		{"time0", uint64(tr.StartTime()), little(52, 4)},
		{"difficulty", uint64(tr.Difficulty()), little(56, 4)},
		{"difficulty for work", uint64(tr.WorkDifficulty()), 56},
		{"stime", uint64(tr.SolveTime()), little(124, 4)},
	} {
		if c.got != c.want {
			t.Errorf("%s is %#x, want %#x", c.name, c.got, c.want)
		}
	}
	for _, c := range []struct {
		name   string
		field  []byte
		offset int
	}{
		{"phash", tr.PrevHash()[:], 0},
		{"mroot", tr.MerkleRoot()[:], 60},
		{"nonce", tr.Nonce()[:], 92},
		{"bhash", tr.Hash()[:], 128},
	} {
		if len(c.field) != 32 || &c.field[0] != &tr[c.offset] {
			t.Errorf("%s is %x, want 32 bytes at %d", c.name, c.field, c.offset)
		}
	}
}

// TestSetters copies a trailer field by field: a setter that writes too much or
// elsewhere spoils another.
func TestSetters(t *testing.T) {
	from := numbered()
	var to Trailer
	*to.PrevHash() = *from.PrevHash()
	to.SetNum(from.Num())
	to.SetMinFee(from.MinFee())
	to.SetTxCount(from.TxCount())
	to.SetStartTime(from.StartTime())
	to.SetDifficulty(from.Difficulty())
	*to.MerkleRoot() = *from.MerkleRoot()
	*to.Nonce() = *from.Nonce()
	to.SetSolveTime(from.SolveTime())
	*to.Hash() = *from.Hash()
	if to != from {
		t.Errorf("got %x, want %x", to, from)
	}
}

func TestKinds(t *testing.T) {
	for _, c := range []struct {
		num   BlockNum
		count uint32
		want  Kind
		name  string
	}{
		{0, 0, Genesis, "genesis"},
		{0, 1, Genesis, "genesis"},
		{0x100, 0, Neogenesis, "neogenesis"},
		{0x100, 1, Neogenesis, "neogenesis"},
		{1 << 40, 1, Neogenesis, "neogenesis"},
		{1, 0, Pseudo, "pseudo"},
		{0xff, 0, Pseudo, "pseudo"},
		{1, 1, Standard, "standard"},
		{0x101, 1 << 31, Standard, "standard"},
	} {
		var tr Trailer
		tr.SetNum(c.num)
		tr.SetTxCount(c.count)
		if got := tr.Kind(); got != c.want || got.String() != c.name {
			t.Errorf("block %v with %d transactions is %v, want %s", c.num, c.count, got, c.name)
		}
	}
	if got := Kind(9).String(); got != "Kind(9)" {
		t.Errorf("an unknown kind is called %s", got)
	}
}

// TestHeights compares each height and limit with the number that
// docs/spec/chain.md section 1.2 gives in decimal.
func TestHeights(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want BlockNum
	}{
		{"V20Trigger", V20Trigger, 17185},
		{"V2001Patch", V2001Patch, 17697},
		{"V23Trigger", V23Trigger, 54321},
		{"V24Trigger", V24Trigger, 75857},
		{"BridgeException", BridgeException, 112383},
		{"AnomalyNum", AnomalyNum, 339260},
		{"MidTrigger", MidTrigger, 373761},
		{"V30Trigger", V30Trigger, 657152},
		{"MinFee", MinFee, 500},
		{"MaxTx", MaxTx, 32768},
		{"ClockLead", ClockLead, 3},
		{"ProofTrailers", ProofTrailers, 54},
	} {
		if c.got != c.want {
			t.Errorf("%s is %d, want %d", c.name, c.got, c.want)
		}
	}
	for n, want := range map[BlockNum]uint32{0: 949, 657151: 949, 657152: 238, 1 << 40: 238} {
		if got := n.Bridge(); got != want {
			t.Errorf("the bridge time of block %v is %d s, want %d", n, got, want)
		}
	}
}

func TestBlockNum(t *testing.T) {
	for _, c := range []struct {
		n    BlockNum
		low  byte
		neo  bool
		text string
	}{
		{0, 0, true, "0x0"},
		{0xff, 0xff, false, "0xff"},
		{0x100, 0, true, "0x100"},
		{0xfedcba9876543210, 0x10, false, "0xfedcba9876543210"},
	} {
		if c.n.Low() != c.low || c.n.IsNeogenesis() != c.neo || c.n.String() != c.text {
			t.Errorf("%d: low byte %#x, neogenesis %v, text %v; want %#x, %v, %s", uint64(c.n), c.n.Low(), c.n.IsNeogenesis(), c.n, c.low, c.neo, c.text)
		}
	}
}

func TestGenesisTrailer(t *testing.T) {
	tr := GenesisTrailer()
	if !bytes.Equal(tr[:128], make([]byte, 128)) {
		t.Errorf("%x: want zeros before the hash", tr[:128])
	}
	if got := tr.Hash().String(); got != "00170c6711b9dc3ca746c46cc281bc69e303dfad2f333ba397ba061eccefde03" {
		t.Errorf("the genesis hash is %s", got)
	}
}

func TestLeadingZeroBits(t *testing.T) {
	var h Hash
	if !h.IsZero() || h.LeadingZeroBits() != 256 {
		t.Errorf("a zero hash: IsZero %v, %d zero bits", h.IsZero(), h.LeadingZeroBits())
	}
	for bit := range 256 {
		h := Hash{}
		h[bit/8] = 0x80 >> (bit % 8)
		if got := h.LeadingZeroBits(); got != bit || h.IsZero() {
			t.Errorf("%v has %d zero bits, want %d", h, got, bit)
		}
		h[bit/8] |= 0x80>>(bit%8) - 1 // bits behind the first don't matter
		h[31] |= 1
		if got := h.LeadingZeroBits(); got != bit {
			t.Errorf("%v has %d zero bits, want %d", h, got, bit)
		}
	}
}

func TestTrailersShareTheirBytes(t *testing.T) {
	b := make([]byte, 3*TrailerLen)
	for i := range b {
		b[i] = byte(i / TrailerLen)
	}
	ts := Trailers(b)
	if len(ts) != 3 || ts[2][0] != 2 || &ts[1][0] != &b[TrailerLen] {
		t.Fatalf("%d trailers, want 3 over the same bytes", len(ts))
	}
	if back := Bytes(ts); !slices.Equal(back, b) || &back[0] != &b[0] {
		t.Error("Bytes does not give the bytes back")
	}
	if Trailers(nil) != nil || Bytes(nil) != nil {
		t.Error("nothing became something")
	}
	defer func() {
		if recover() == nil {
			t.Error("161 bytes became trailers")
		}
	}()
	Trailers(make([]byte, TrailerLen+1))
}
