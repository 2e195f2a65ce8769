package wire

import (
	"encoding/binary"
	"errors"
	"testing"

	"kigo/testdata"
)

// load reads a file of the recorded network vectors.
func load(t testing.TB, name string, into any) {
	t.Helper()
	if err := testdata.Load("network/"+name, into); err != nil {
		t.Fatal(err)
	}
}

// A golden is one packet of packets.json.
type golden struct {
	Name    string
	Opcode  Op
	ID1     uint16
	ID2     uint16
	DataLen int          `json:"data_len"`
	Packet  testdata.Hex `json:"packet_hex"`
}

func goldens(t testing.TB) []golden {
	t.Helper()
	var v struct{ Packets []golden }
	load(t, "packets.json", &v)
	if len(v.Packets) != 24 {
		t.Fatalf("%d packets, want 24", len(v.Packets))
	}
	return v.Packets
}

// kind returns the kind of a packet error, 0 for nil, and fails on any other.
func kind(t testing.TB, err error) ErrorKind {
	t.Helper()
	if err == nil {
		return 0
	}
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v (%T) is no *Error", err, err)
	}
	if e.Detail == "" {
		t.Fatalf("error %v says no more than its kind", err)
	}
	return e.Kind
}

// slowCRC is the definition, bit by bit (docs/spec/network.md section 3).
func slowCRC(b []byte) uint16 {
	crc := uint16(0)
	for _, v := range b {
		crc ^= uint16(v) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}

// repair gives the packet b the CRC that its other bytes ask for.
func repair(b []byte) []byte {
	binary.LittleEndian.PutUint16(b[len(b)-4:], slowCRC(b[:len(b)-4]))
	return b
}
