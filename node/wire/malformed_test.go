package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
)

// An outcome is what becomes of bytes in a stream that ends after them.
type outcome string

const (
	ok         outcome = "ok"
	ended      outcome = "ended"      // between packets
	cut        outcome = "cut"        // inside one
	tooLong    outcome = "too long"   // announced
	badCRC     outcome = "CRC"        // damaged
	badNetwork outcome = "network"    // meant
	badMark    outcome = "mark"       // meant
	badIDs     outcome = "ids"        // meant
	undecoded  outcome = "bad length" // of Decode only
)

const testID1, testID2 = 0x1234, 0xabcd

// secondReading judges a stream from docs/spec/network.md sections 2, 3 and 12
// alone.  It shares nothing with the codec: no offset, no table, no limit.
func secondReading(b []byte) outcome {
	if len(b) == 0 {
		return ended
	}
	if len(b) < 124 {
		return cut
	}
	number := func(at int) int { return int(b[at]) + 256*int(b[at+1]) }
	limits := map[int]int{3: 13628, 4: 8640, 7: 65535, 8: 256, 10: 1024, 12: 40, 13: 48, 17: 32, 19: 256}
	n := number(122)
	if n > limits[number(8)] {
		return tooLong
	}
	if len(b) < 128+n {
		return cut
	}
	crc := 0
	for _, v := range b[:124+n] {
		for bit := 7; bit >= 0; bit-- {
			in := int(v>>bit)&1 ^ crc>>15
			crc = crc << 1 & 0xffff
			if in == 1 {
				crc ^= 1<<12 | 1<<5 | 1
			}
		}
	}
	switch {
	case number(124+n) != crc:
		return badCRC
	case b[2] != 0x39 || b[3] != 0x05:
		return badNetwork
	case b[126+n] != 0xcd || b[127+n] != 0xab:
		return badMark
	case b[4] != 0x34 || b[5] != 0x12 || b[6] != 0xcd || b[7] != 0xab:
		return badIDs
	}
	return ok
}

// testLimit are the limits of secondReading, for Read.
func testLimit(o Op) int {
	switch o {
	case OpSendFile:
		return MaxData
	case OpSendIPL, OpIdentify:
		return 256
	case OpNack:
		return 1024
	case OpSendBal:
		return 48
	case OpHash:
		return 32
	default:
		return RequestLimit(o)
	}
}

// reading is what Read and CheckIDs make of the stream.
func reading(b []byte, r io.Reader) (outcome, error) {
	p, raw, err := Read(r, nil, testLimit)
	if !bytes.HasPrefix(b, raw) {
		return "", fmt.Errorf("raw bytes aren't those sent")
	}
	if err == nil {
		err = p.CheckIDs(testID1, testID2)
	}
	var e *Error
	switch {
	case err == nil:
		return ok, nil
	case err == io.EOF:
		return ended, nil
	case err == io.ErrUnexpectedEOF:
		return cut, nil
	case errors.As(err, &e):
		return outcomeOf(e), nil
	}
	return "", err
}

func outcomeOf(e *Error) outcome {
	return map[ErrorKind]outcome{
		CRC: badCRC, BadNetwork: badNetwork, BadMark: badMark, BadIDs: badIDs, TooLong: tooLong, BadLength: undecoded,
	}[e.Kind]
}

// malform spoils a good packet in one to three ways, and repairs the CRC of half.
func malform(rng *rand.Rand, b []byte) []byte {
	b = slices.Clone(b)
	for range 1 + rng.IntN(3) {
		if len(b) < Overhead {
			break // was cut: nothing else would show
		}
		switch end := len(b); rng.IntN(11) {
		case 0: // anywhere
			b[rng.IntN(end)] ^= 1 << rng.IntN(8)
		case 1: // in the header
			b[rng.IntN(HeaderLen)] ^= byte(1 + rng.IntN(255))
		case 2: // cut
			b = b[:rng.IntN(end)]
		case 3: // bytes behind it
			b = append(b, byte(rng.Uint32()), byte(rng.Uint32()))
		case 4: // the length a little off
			b[122] += byte(rng.IntN(5)) - 2
		case 5: // any length
			b[122], b[123] = byte(rng.Uint32()), byte(rng.Uint32())
		case 6: // network
			b[2+rng.IntN(2)] ^= byte(1 + rng.IntN(255))
		case 7: // end mark
			b[end-1-rng.IntN(2)] ^= byte(1 + rng.IntN(255))
		case 8: // ids
			b[4+rng.IntN(4)] ^= byte(1 + rng.IntN(255))
		case 9: // operation
			b[8], b[9] = byte(rng.IntN(22)), 0
		case 10: // what nobody checks
			b[[]int{0, 1, 10, 18, 26, 58, 90}[rng.IntN(7)]] ^= byte(1 + rng.IntN(255))
		}
	}
	if len(b) >= Overhead && rng.IntN(2) == 0 {
		repair(b)
	}
	return b
}

// Ten thousand malformed streams, each judged by a second reading that shares no
// code with the codec.
func TestMalformed(t *testing.T) {
	var packets [][]byte
	for _, g := range goldens(t) {
		if g.DataLen < MaxData || !testing.Short() {
			packets = append(packets, g.Packet)
		}
	}
	rng := rand.New(rand.NewPCG(2095, 1337))
	seen := map[outcome]int{}
	for i := range 10_000 {
		b := malform(rng, packets[rng.IntN(len(packets))])
		want := secondReading(b)
		seen[want]++
		got, err := reading(b, bytes.NewReader(b))
		if err != nil || got != want {
			t.Fatalf("stream %d: %q (%v), the second reading says %q:\n%.600x", i, got, err, want, b)
		}

		// Decode agrees wherever the bytes are one packet.
		p, err := Decode(b)
		if err == nil {
			err = p.CheckIDs(testID1, testID2)
		}
		decoded := ok
		if err != nil {
			decoded = outcomeOf(err.(*Error))
		}
		exact := len(b) >= 128 && len(b) == 128+int(b[122])+256*int(b[123])
		if (decoded == undecoded) == exact || exact && want != tooLong && decoded != want {
			t.Fatalf("stream %d: decoded %q, the second reading says %q (one packet: %v):\n%.600x", i, decoded, want, exact, b)
		}
	}
	for _, o := range []outcome{ok, cut, tooLong, badCRC, badNetwork, badMark, badIDs} {
		if seen[o] < 100 {
			t.Errorf("%q came out %d times only: the streams don't cover it", o, seen[o])
		}
	}
	t.Logf("outcomes: %v", seen)
}
