package wire

import (
	"bytes"
	"fmt"
	"testing"
)

// The sizes that come: a request, a FOUND, a piece of a file.
func benchPackets(b *testing.B, run func(b *testing.B, p *Packet, raw []byte)) {
	for _, n := range []int{0, ProofTrailers * 160, FileChunk} {
		p := Packet{Op: OpSendFile, ID1: 1, ID2: 2, State: goldenState(), Data: make([]byte, n)}
		for i := range p.Data {
			p.Data[i] = byte(7*i + 3)
		}
		raw, err := p.AppendTo(nil)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("data=%d", n), func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			run(b, &p, raw)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "packets/s")
		})
	}
}

func BenchmarkAppendTo(b *testing.B) {
	buf := make([]byte, 0, Overhead+MaxData)
	benchPackets(b, func(b *testing.B, p *Packet, _ []byte) {
		for b.Loop() {
			if _, err := p.AppendTo(buf); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	benchPackets(b, func(b *testing.B, _ *Packet, raw []byte) {
		for b.Loop() {
			if _, err := Decode(raw); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkRead(b *testing.B) {
	buf := make([]byte, 0, Overhead+MaxData)
	benchPackets(b, func(b *testing.B, _ *Packet, raw []byte) {
		r := bytes.NewReader(raw)
		for b.Loop() {
			r.Reset(raw)
			if _, _, err := Read(r, buf, testLimit); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkCRC16(b *testing.B) {
	benchPackets(b, func(b *testing.B, _ *Packet, raw []byte) {
		for b.Loop() {
			CRC16(raw)
		}
	})
}
