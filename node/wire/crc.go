package wire

// CRC16 returns the checksum of packets, polynomial 0x1021 from 0, most
// significant bit first (docs/spec/network.md section 3).  It finds accidents;
// anybody can compute it for bytes of their own.
func CRC16(b []byte) uint16 {
	var crc uint16
	for ; len(b) >= 8; b = b[8:] {
		crc = crcTable[7][b[0]^byte(crc>>8)] ^
			crcTable[6][b[1]^byte(crc)] ^
			crcTable[5][b[2]] ^
			crcTable[4][b[3]] ^
			crcTable[3][b[4]] ^
			crcTable[2][b[5]] ^
			crcTable[1][b[6]] ^
			crcTable[0][b[7]]
	}
	for _, v := range b {
		crc = crc<<8 ^ crcTable[0][byte(crc>>8)^v]
	}
	return crc
}

// crcTable[k][v] is the checksum of the byte v followed by k zero bytes.  The CRC
// is linear: that of eight bytes is the XOR of what each contributes from where
// it stands, and a checksum so far acts like two more bytes XORed onto the next
// two.  So eight bytes cost eight independent look-ups ("slicing by 8") in 4 KiB,
// and not a chain of eight, each waiting for the one before.
var crcTable = makeCRCTable()

func makeCRCTable() (t [8][256]uint16) {
	for v := range 256 {
		crc := uint16(v) << 8
		for range 8 {
			carry := crc >> 15
			crc = crc<<1 ^ carry*0x1021
		}
		t[0][v] = crc
	}
	for k := 1; k < len(t); k++ {
		for v, crc := range t[k-1] {
			t[k][v] = crc<<8 ^ t[0][crc>>8]
		}
	}
	return t
}
