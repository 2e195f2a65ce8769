package wire

import (
	"math"
	"testing"
)

func TestOpNames(t *testing.T) {
	seen := map[string]Op{}
	for o := OpNull; o <= OpIdentify; o++ {
		if other, ok := seen[o.String()]; ok || o.String() == "" {
			t.Errorf("operations %d and %d are both %q", other, o, o)
		}
		seen[o.String()] = o
	}
	for o, want := range map[Op]string{
		OpNull: "NULL", OpHelloAck: "HELLO_ACK", OpGetIPL: "GET_IPL", OpTF: "TF",
		OpIdentify: "IDENTIFY", OpIdentify + 1: "20", math.MaxUint16: "65535",
	} {
		if o.String() != want {
			t.Errorf("operation %d is %q, want %q", uint16(o), o, want)
		}
	}
}

// The numbers are those of docs/spec/network.md section 12.
func TestRequestLimit(t *testing.T) {
	limits := map[Op]int{OpTX: 13628, OpFound: 8640, OpBalance: 40}
	for o := range Op(math.MaxUint16) {
		if got := RequestLimit(o); got != limits[o] {
			t.Fatalf("%s: %d bytes, want %d", o, got, limits[o])
		}
	}
}

// The numbers that both ends of a connection must agree on.
func TestProtocolNumbers(t *testing.T) {
	for name, c := range map[string]struct{ got, want int }{
		"header":     {HeaderLen, 124},
		"overhead":   {Overhead, 128},
		"data":       {MaxData, 65535},
		"version":    {Version, 5},
		"network":    {Network, 1337},
		"end mark":   {EndMark, 0xabcd},
		"port":       {DefaultPort, 2095},
		"file chunk": {FileChunk, 65535},
		"proof":      {ProofTrailers, 54},
		"TF":         {MaxTF, 1000},
		"addresses":  {MaxAddrs, 64},
		"push":       {int(CapPush), 1},
		"opt-in":     {int(CapOptIn), 2},
		"sanctuary":  {int(CapSanctuary), 4},
		"fee":        {int(CapMinFee), 8},
		"logging":    {int(CapLogging), 16},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d, want %d", name, c.got, c.want)
		}
	}
}

func TestTFArg(t *testing.T) {
	for _, c := range []struct {
		first, count uint32
		arg          uint64
	}{
		{0, 0, 0},
		{0xa1034, 54, 0x36_000a1034},
		{math.MaxUint32, 0, math.MaxUint32},
		{0, math.MaxUint32, math.MaxUint32 << 32},
		{math.MaxUint32, math.MaxUint32, math.MaxUint64},
	} {
		if got := TFArg(c.first, c.count); got != c.arg {
			t.Errorf("TFArg(%d, %d) = %#x, want %#x", c.first, c.count, got, c.arg)
		}
		if first, count := SplitTFArg(c.arg); first != c.first || count != c.count {
			t.Errorf("SplitTFArg(%#x) = %d, %d, want %d, %d", c.arg, first, count, c.first, c.count)
		}
	}
}
