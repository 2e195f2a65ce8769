package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"kigo/node/mcm"
	"kigo/testdata"
)

// goldenState is the fixed state that packets.json was recorded with.
func goldenState() (s State) {
	s.Num = 0xa1069
	for i := range s.Hash {
		s.Hash[i], s.Prev[i] = byte(0x40+i), byte(0x80+i)
	}
	s.Weight = mcm.Weight{0xa0924}
	return s
}

func TestPacketVectors(t *testing.T) {
	ops := map[Op]bool{}
	for _, g := range goldens(t) {
		p, err := Decode(g.Packet)
		if err != nil {
			t.Errorf("%s: %v", g.Name, err)
			continue
		}
		ops[p.Op] = true
		state := goldenState()
		if p.Op == OpTX {
			state.Weight = p.State.Weight // the address map
		}
		want := Packet{
			Caps: CapOptIn, ID1: g.ID1, ID2: g.ID2, Op: g.Opcode, State: state,
			Arg: p.Arg, Data: g.Packet[124 : 124+g.DataLen], Version: 5, Network: 1337,
		}
		if !reflect.DeepEqual(p, want) {
			t.Errorf("%s: read as %+v, want %+v", g.Name, head(p), head(want))
		}
		// Into memory that holds other bytes, which must not show.
		dirty := bytes.Repeat([]byte{0xee}, Overhead+MaxData+7)
		again, err := p.AppendTo(dirty[:7])
		if err != nil || !bytes.Equal(again[7:], g.Packet) {
			t.Errorf("%s: written again as %.300x, %v", g.Name, again[7:], err)
		}
	}
	if len(ops) != int(OpIdentify) {
		t.Errorf("%d operations recorded, want all %d", len(ops), OpIdentify)
	}
}

func TestPacketArgs(t *testing.T) {
	want := map[string]uint64{
		"get_block": 0xa0702, "hash_request": 0xa0702, "get_tfile": 0xa1069, "tf_request": TFArg(0xa1034, 54),
	}
	for _, g := range goldens(t) {
		arg, ok := want[g.Name]
		if !ok {
			continue
		}
		if p, err := Decode(g.Packet); err != nil || p.Arg != arg {
			t.Errorf("%s: %#x, %v, want %#x", g.Name, p.Arg, err, arg)
		}
		delete(want, g.Name)
	}
	if len(want) > 0 {
		t.Errorf("not recorded: %v", want)
	}
}

// head is a packet without its data, for messages.
func head(p Packet) string {
	n := len(p.Data)
	p.Data = nil
	return fmt.Sprintf("%+v with %d bytes", p, n)
}

// Each field at its limits, alone: what is read is what was written, and only
// its own bytes and the CRC differ from a packet of zeroes.
func TestFieldLimits(t *testing.T) {
	all := [32]byte(bytes.Repeat([]byte{0xff}, 32))
	empty, err := new(Packet).AppendTo(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		packet   Packet
		from, to int
	}{
		{"nothing", Packet{}, 0, 0},
		{"caps 255", Packet{Caps: math.MaxUint8}, 1, 2},
		{"id1 1", Packet{ID1: 1}, 4, 6},
		{"id1 65535", Packet{ID1: math.MaxUint16}, 4, 6},
		{"id2 65535", Packet{ID2: math.MaxUint16}, 6, 8},
		{"op 65535", Packet{Op: math.MaxUint16}, 8, 10},
		{"number 2^63", Packet{State: State{Num: 1 << 63}}, 10, 18},
		{"number 2^64-1", Packet{State: State{Num: math.MaxUint64}}, 10, 18},
		{"arg 2^64-1", Packet{Arg: math.MaxUint64}, 18, 26},
		{"hash", Packet{State: State{Hash: all}}, 26, 58},
		{"previous hash", Packet{State: State{Prev: all}}, 58, 90},
		{"weight 2^256-1", Packet{State: State{Weight: mcm.WeightFromLE(&all)}}, 90, 122},
		{"weight 1", Packet{State: State{Weight: mcm.Weight{1}}}, 90, 122},
		{"1 byte", Packet{Data: []byte{0}}, 122, 125},
		{"65535 bytes", Packet{Data: bytes.Repeat([]byte{0xff}, MaxData)}, 122, 124 + MaxData},
	} {
		b, err := c.packet.AppendTo(nil)
		if err != nil || len(b) != Overhead+len(c.packet.Data) {
			t.Errorf("%s: %d bytes, %v", c.name, len(b), err)
			continue
		}
		want := c.packet
		want.Version, want.Network = 5, 1337
		got, err := Decode(b)
		if err != nil || head(got) != head(want) || !bytes.Equal(got.Data, want.Data) {
			t.Errorf("%s: read as %s, %v, want %s", c.name, head(got), err, head(want))
		}
		for i := range HeaderLen {
			if inside := c.from <= i && i < c.to; !inside && b[i] != empty[i] {
				t.Errorf("%s: byte %d is %#x, want %#x", c.name, i, b[i], empty[i])
			}
		}
	}
}

// What a packet was received with isn't passed on.
func TestAppendToSetsItsOwn(t *testing.T) {
	p := Packet{Version: 9, Network: 1, Op: OpHello}
	b, err := p.AppendTo(nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Decode(b); err != nil || got.Version != Version || got.Network != Network {
		t.Errorf("version %d, network %d, %v", got.Version, got.Network, err)
	}
	p.Data = make([]byte, MaxData+1)
	if b, err := p.AppendTo([]byte("x")); kind(t, err) != TooLong || string(b) != "x" {
		t.Errorf("65536 bytes of data: %d bytes, %v", len(b), err)
	}
}

func TestAppendToAllocatesNothing(t *testing.T) {
	p := Packet{Op: OpSendFile, Data: make([]byte, MaxData)}
	buf := make([]byte, 0, Overhead+MaxData)
	if n := testing.AllocsPerRun(10, func() { _, _ = p.AppendTo(buf) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestDecodeLengths(t *testing.T) {
	p := Packet{Op: OpBalance, Data: make([]byte, 40)}
	good, err := p.AppendTo(nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(good) {
		if _, err := Decode(good[:n]); kind(t, err) != BadLength {
			t.Errorf("first %d bytes: %v", n, err)
		}
	}
	if _, err := Decode(append(slices.Clone(good), 0)); kind(t, err) != BadLength {
		t.Errorf("one byte more: %v", err)
	}
	// The data can't be grown into the CRC behind them.
	got, err := Decode(good)
	if err != nil || cap(got.Data) != 40 {
		t.Errorf("capacity of the data %d, %v, want 40", cap(got.Data), err)
	}
}

// The verdicts of the reference, and Kigo's where it differs: it compares the
// ids whatever the operation.
func TestReceiveVerdicts(t *testing.T) {
	var v struct {
		Cases []struct {
			Name    string
			ID1     uint16       `json:"expected_id1"`
			ID2     uint16       `json:"expected_id2"`
			Then    string       `json:"peer_then"`
			Input   testdata.Hex `json:"input_hex"`
			Verdict string       `json:"receiver_verdict"`
		}
	}
	load(t, "receive-verdicts.json", &v)
	if len(v.Cases) != 21 {
		t.Errorf("%d cases, want 21", len(v.Cases))
	}
	differs := map[string]string{"low_opcode_ids": "bad"}
	kinds := map[string]ErrorKind{ // which of the bad ones
		"crc_bit": CRC, "header_bit": CRC, "network": BadNetwork, "trailer": BadMark, "id1": BadIDs, "id2": BadIDs,
		"low_opcode_ids": BadIDs, "data_bit": CRC, "data65535_bit": CRC, "len_one_less": CRC, "order_crc_first": CRC,
	}
	silent := errors.New("deadline passed")
	for _, c := range v.Cases {
		var r io.Reader = bytes.NewReader(c.Input)
		if strings.HasPrefix(c.Then, "stays open") {
			r = io.MultiReader(r, iotest.ErrReader(silent))
		}
		p, raw, err := Read(r, nil, nil)
		if !bytes.HasPrefix(c.Input, raw) {
			t.Errorf("%s: raw bytes aren't those sent", c.Name)
		}
		if err == nil {
			err = p.CheckIDs(c.ID1, c.ID2)
		}
		want := c.Verdict
		if d, ok := differs[c.Name]; ok {
			want = d
		}
		got := "ok"
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			got = "error"
		case errors.Is(err, silent):
			got = "timeout"
		case err != nil:
			got = "bad"
			if k := kind(t, err); k != kinds[c.Name] {
				t.Errorf("%s: %v, want kind %v", c.Name, err, kinds[c.Name])
			}
		}
		if got != want {
			t.Errorf("%s: %s (%v), want %s", c.Name, got, err, want)
		}
	}
}

func TestCheckIDs(t *testing.T) {
	p := Packet{ID1: 1, ID2: 2}
	for _, c := range []struct {
		id1, id2 uint16
		want     ErrorKind
	}{{1, 2, 0}, {0, 2, BadIDs}, {1, 0, BadIDs}, {2, 1, BadIDs}} {
		if err := p.CheckIDs(c.id1, c.id2); kind(t, err) != c.want {
			t.Errorf("%d, %d: %v, want kind %d", c.id1, c.id2, err, c.want)
		}
	}
}

func TestRead(t *testing.T) {
	p := Packet{Op: OpBalance, ID1: 1, ID2: 2, Data: []byte("0123456789")}
	good, err := p.AppendTo(nil)
	if err != nil {
		t.Fatal(err)
	}

	t.Run("not a byte more", func(t *testing.T) {
		r := bytes.NewReader(append(slices.Clone(good), good...))
		buf := make([]byte, 0, len(good))
		for range 2 {
			got, raw, err := Read(r, buf, RequestLimit)
			if err != nil || !bytes.Equal(raw, good) || string(got.Data) != "0123456789" {
				t.Fatalf("%s, %v", head(got), err)
			}
			if &raw[0] != &buf[:1][0] || &got.Data[0] != &raw[HeaderLen] {
				t.Error("a buffer that is large enough wasn't used")
			}
		}
		if _, raw, err := Read(r, buf, RequestLimit); err != io.EOF || len(raw) != 0 {
			t.Errorf("after the last: %d bytes, %v, want io.EOF", len(raw), err)
		}
	})

	t.Run("byte by byte", func(t *testing.T) {
		got, raw, err := Read(iotest.OneByteReader(bytes.NewReader(good)), nil, RequestLimit)
		if err != nil || !bytes.Equal(raw, good) {
			t.Errorf("%s, %v", head(got), err)
		}
	})

	t.Run("cut anywhere", func(t *testing.T) {
		broken := errors.New("connection reset")
		for n := 1; n < len(good); n++ {
			got, raw, err := Read(bytes.NewReader(good[:n]), nil, nil)
			if err != io.ErrUnexpectedEOF || !bytes.Equal(raw, good[:n]) || got.Data != nil {
				t.Fatalf("after %d bytes: %d bytes, %v", n, len(raw), err)
			}
			if (n >= HeaderLen) != (got.Op == OpBalance) {
				t.Errorf("after %d bytes the operation is %s", n, got.Op)
			}
			_, raw, err = Read(io.MultiReader(bytes.NewReader(good[:n]), iotest.ErrReader(broken)), nil, nil)
			if err != broken || !bytes.Equal(raw, good[:n]) {
				t.Fatalf("broken after %d bytes: %d bytes, %v", n, len(raw), err)
			}
		}
	})
}

// A packet above its limit costs a header: nothing behind it is read.  At the
// limit it is read.
func TestReadLimit(t *testing.T) {
	for _, c := range []struct {
		op    Op
		bytes int
		want  ErrorKind
	}{
		{OpHello, 0, 0},
		{OpHello, 1, TooLong},
		{OpGetIPL, 1, TooLong},
		{OpBalance, 40, 0},
		{OpBalance, 41, TooLong},
		{OpFound, 8640, 0},
		{OpFound, 8641, TooLong},
		{OpTX, 13628, 0},
		{OpTX, 13629, TooLong},
		{OpSendFile, MaxData, TooLong},
		{999, MaxData, TooLong},
	} {
		p := Packet{Op: c.op, Data: make([]byte, c.bytes)}
		b, err := p.AppendTo(nil)
		if err != nil {
			t.Fatal(err)
		}
		r := bytes.NewReader(b)
		got, raw, err := Read(r, nil, RequestLimit)
		if kind(t, err) != c.want || got.Op != c.op {
			t.Errorf("%s with %d bytes: %s, %v, want kind %v", c.op, c.bytes, head(got), err, c.want)
		}
		if c.want == TooLong && (r.Len() != len(b)-HeaderLen || len(raw) != HeaderLen || cap(raw) > 2*HeaderLen || got.Data != nil) {
			t.Errorf("%s with %d bytes: %d unread, %d raw in %d", c.op, c.bytes, r.Len(), len(raw), cap(raw))
		}
	}
}

// A damaged byte must not look like a deed: whatever else is wrong, a wrong CRC
// is all that is told.
func TestCRCFirst(t *testing.T) {
	p := Packet{Op: OpGetIPL}
	good, err := p.AppendTo(nil)
	if err != nil {
		t.Fatal(err)
	}
	network := func(b []byte) { b[2] ^= 1 }
	mark := func(b []byte) { b[len(b)-1] ^= 1 }
	both := func(b []byte) { network(b); mark(b) }
	for _, c := range []struct {
		name         string
		spoil        func([]byte)
		meant, blame ErrorKind
	}{
		{"network", network, BadNetwork, CRC},
		{"end mark", mark, BadMark, BadMark}, // not under the CRC; a damaged mark is told too
		{"network and end mark", both, BadNetwork, CRC},
	} {
		b := slices.Clone(good)
		c.spoil(b)
		if _, err := Decode(b); kind(t, err) != c.blame {
			t.Errorf("%s, damaged: %v, want kind %v", c.name, err, c.blame)
		}
		repair(b)
		if _, err := Decode(b); kind(t, err) != c.meant {
			t.Errorf("%s, meant: %v, want kind %v", c.name, err, c.meant)
		}
	}
	binary.LittleEndian.PutUint16(good[len(good)-4:], ^slowCRC(good[:len(good)-4]))
	mark(good)
	if _, err := Decode(good); kind(t, err) != CRC {
		t.Errorf("wrong CRC and end mark: %v", err)
	}
}
