package fault_test

import (
	"errors"
	"io"
	"net/netip"
	"testing"

	"kigo/node/fault"
)

// TestScores repeats the table of docs/spec/sync.md section 8.8.
func TestScores(t *testing.T) {
	want := []struct {
		kind   fault.Kind
		class  fault.Class
		points float64
	}{
		{fault.InvalidTrailer, fault.Objective, 100},
		{fault.WrongNumbers, fault.Objective, 100},
		{fault.PinMismatch, fault.Objective, 100},
		{fault.BadBody, fault.Objective, 100},
		{fault.TooLong, fault.Objective, 50},
		{fault.BadList, fault.Objective, 50},
		{fault.BadFrame, fault.Objective, 50},
		{fault.FalseWeight, fault.Objective, 50},
		{fault.ForeignRange, fault.Objective, 50},
		{fault.BrokenLink, fault.Soft, 10},
		{fault.ClaimMismatch, fault.Soft, 10},
		{fault.NotMultiple, fault.Soft, 10},
		{fault.BadCRC, fault.Soft, 10},
		{fault.TooSlow, fault.Soft, 10},
		{fault.Timeout, fault.Soft, 5},
		{fault.Reset, fault.Soft, 2},
		{fault.Refused, fault.Soft, 1},
		{fault.ShortReply, fault.None, 0},
		{fault.OtherBlock, fault.None, 0},
		{fault.Early, fault.None, 0},
		{fault.TooHigh, fault.None, 0},
		{fault.TooOld, fault.None, 0},
	}
	kinds := fault.Kinds()
	if len(kinds) != len(want) {
		t.Fatalf("%d kinds, want %d", len(kinds), len(want))
	}
	for i, w := range want {
		if kinds[i] != w.kind {
			t.Errorf("kind %d is %s, want %s", i, kinds[i], w.kind)
		}
		if c, p := w.kind.Class(), w.kind.Points(); c != w.class || p != w.points {
			t.Errorf("%s is %s, %v points; want %s, %v", w.kind, c, p, w.class, w.points)
		}
	}
	if k := fault.Kind("no_such"); k.Class() != fault.None || k.Points() != 0 {
		t.Errorf("an unknown kind is %s, %v points", k.Class(), k.Points())
	}
}

func TestClassString(t *testing.T) {
	for c, want := range map[fault.Class]string{fault.None: "none", fault.Soft: "soft", fault.Objective: "objective"} {
		if c.String() != want {
			t.Errorf("%q, want %q", c, want)
		}
	}
}

func TestFault(t *testing.T) {
	peer := netip.MustParseAddr("192.0.2.1")
	for _, c := range []struct {
		fault fault.Fault
		want  string
	}{
		{fault.Fault{Kind: fault.Refused, Peer: peer}, "peer 192.0.2.1: refused"},
		{fault.Fault{Kind: fault.Refused, Peer: peer, Detail: "BUSY"}, "peer 192.0.2.1: refused: BUSY"},
		{fault.Fault{Kind: fault.Refused, Peer: peer, Err: io.EOF}, "peer 192.0.2.1: refused: EOF"},
		{fault.Fault{Kind: fault.Refused, Peer: peer, Detail: "TF", Err: io.EOF}, "peer 192.0.2.1: refused: TF: EOF"},
	} {
		if got := c.fault.Error(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
		if errors.Is(&c.fault, io.EOF) != (c.fault.Err != nil) {
			t.Errorf("%q doesn't unwrap to what it rests on", c.want)
		}
	}
}
