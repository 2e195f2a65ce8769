package lanes

import (
	"encoding/binary"
	"math"
)

// flopSelectors picks the bytes of a word that steer its step, by the low three
// bits of its first byte (docs/spec/pow.md section 9.1).  Multiplying the word
// by op or value puts the wanted byte at the top; by sign, the wanted byte's
// lowest bit.
var flopSelectors = func() (t [8]struct{ op, value, sign uint32 }) {
	op := [8]int{1, 3, 0, 0, 3, 2, 1, 2}
	value := [8]int{2, 1, 2, 1, 0, 0, 1, 1}
	sign := [8]int{3, 2, 3, 2, 1, 1, 3, 3}
	for k := range t {
		t[k].op = 1 << (24 - 8*op[k])
		t[k].value = 1 << (24 - 8*value[k])
		t[k].sign = 1 << (31 - 8*sign[k])
	}
	return t
}()

// Bits of float32 numbers.
const (
	signBit   = 1 << 31
	minNormal = 0x00800000 // the least positive number that is not subnormal
	infinity  = 0x7f800000
	nan       = 0x7fc00000
	// From 2^-95 on no quotient is subnormal: divisors don't exceed 2^31.
	safeDividend = 32 << 23
)

// dflops runs the floating-point step over data, whose length is a multiple of
// 4, and stores the results there when modify is set.  Of the op it returns only
// op mod 8 is right, which is all that is ever asked for (docs/spec/pow.md
// section 9.1).
//
// Which of the four operations a word takes hangs on all words before it, and no
// branch predictor guesses that.  So all four are carried out and one result is
// taken.  A NaN among them stands for "not here": such words are rare, and
// rareFlop does them.
func dflops(data []byte, index uint32, modify bool) (op uint32) {
	for i := 0; i <= len(data)-4; i += 4 {
		word := data[i : i+4]
		w := binary.LittleEndian.Uint32(word)
		sel := &flopSelectors[w%8]
		// v - 2^31 for a byte v is v with the top bit set.
		y := float32(int32(w*sel.value>>24 | w*sel.sign&signBit))
		x := math.Float32frombits(w)
		dividend := w
		if w&^signBit < safeDividend {
			dividend = nan
		}
		results := [4]uint32{
			math.Float32bits(x + y),
			math.Float32bits(x - y),
			math.Float32bits(x * y),
			math.Float32bits(math.Float32frombits(dividend) / y),
		}
		op += w * sel.op >> 24
		r := results[op%4]
		if r&^signBit > infinity {
			r = rareFlop(w, y, index, op)
		}
		op += (r & 0x07070707) * 0x01010101 >> 24 // the sum of r's bytes mod 8
		if modify {
			binary.LittleEndian.PutUint32(word, r)
		}
	}
	return op
}

// rareFlop returns the result of the step for word w where NaN is about, or a
// quotient that may be subnormal.
//
// Processors take a hundred cycles and more to make a subnormal float32.  All of
// this is in float64, where neither operands nor results are subnormal; rounding
// that to float32 gives the same bits (docs/spec/pow.md section 10).
func rareFlop(w uint32, y float32, index, op uint32) uint32 {
	var x float64
	switch magnitude := w &^ signBit; {
	case magnitude > infinity:
		x = float64(index)
	case magnitude < minNormal:
		x = math.Copysign(float64(magnitude)*0x1p-149, math.Float64frombits(uint64(w)<<32))
	default:
		x = float64(math.Float32frombits(w))
	}
	switch op % 4 {
	case 0:
		x += float64(y)
	case 1:
		x -= float64(y)
	case 2:
		x *= float64(y)
	case 3:
		x /= float64(y)
	}
	if x != x {
		x = float64(index)
	}
	if a := math.Abs(x); a < 0x1p-126 {
		// Adding 2^52 rounds to a whole multiple of 2^-149, to nearest, ties to
		// even, and leaves it in the low bits.
		bits := uint32(math.Float64bits(float64(a*0x1p149) + 0x1p52))
		return bits | uint32(math.Float64bits(x)>>32)&signBit
	}
	return math.Float32bits(float32(x))
}
