package memory

import (
	"bytes"
	"testing"
)

// FuzzStoreRecords looks for records with two forms, and for any that panic.
func FuzzStoreRecords(f *testing.F) {
	add := func(t table, key, value []byte, err error) {
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(t), key, value[:len(value)-4])
	}
	c := full(f)
	for i := range c.Peers {
		key, value, err := encodePeer(&c.Peers[i])
		add(peers, key, value, err)
	}
	for i := range c.Groups {
		key, value, err := encodeGroup(&c.Groups[i])
		add(groups, key, value, err)
	}
	for i := range c.Invalid {
		key, value, err := encodeInvalid(&c.Invalid[i])
		add(invalid, key, value, err)
		key, value = encodeTrailer(c.Invalid[i].ID, &c.Invalid[i].Trailer)
		add(trailers, key, value, nil)
	}
	for i := range c.Waiting {
		key, value, err := encodeWaiting(&c.Waiting[i])
		add(waiting, key, value, err)
	}
	f.Add(uint8(peers), []byte(nil), []byte(nil))
	f.Fuzz(func(t *testing.T, tab uint8, key, body []byte) {
		// Without its checksum nothing but luck decodes; with it everything else
		// is looked at.
		for _, value := range [][]byte{body, seal(key, bytes.Clone(body))} {
			var againKey, again []byte
			var err error
			switch table(tab % uint8(tables)) {
			case peers:
				p, derr := decodePeer(key, value)
				if derr != nil {
					continue
				}
				againKey, again, err = encodePeer(&p)
				p.trim(noon)
			case groups:
				g, derr := decodeGroup(key, value)
				if derr != nil {
					continue
				}
				againKey, again, err = encodeGroup(&g)
				g.trim(noon)
			case invalid:
				v, derr := decodeInvalid(key, value)
				if derr != nil {
					continue
				}
				againKey, again, err = encodeInvalid(&v)
			case trailers:
				tr, derr := decodeTrailer(key, value)
				if derr != nil {
					continue
				}
				againKey, again = encodeTrailer([32]byte(key), &tr)
			case waiting:
				w, derr := decodeWaiting(key, value)
				if derr != nil {
					continue
				}
				againKey, again, err = encodeWaiting(&w)
			default: // keys are all there is to them, or package evidence reads them
				continue
			}
			if err != nil || !bytes.Equal(againKey, key) || !bytes.Equal(again, value) {
				t.Fatalf("%x, %x reads, and is written as %x, %x, %v", key, value, againKey, again, err)
			}
		}
	})
}
