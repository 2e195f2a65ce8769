package wire

import (
	"bytes"
	"strings"
	"testing"
)

func TestParseNackVectors(t *testing.T) {
	names := map[string]string{"nack_txsrcdup": "EMCM_TXSRCDUP", "nack_phash": "EMCM_PHASH"}
	for _, g := range goldens(t) {
		if g.Opcode != OpNack {
			continue
		}
		p, err := Decode(g.Packet)
		if err != nil {
			t.Fatal(err)
		}
		n, err := ParseNack(p.Data)
		if err != nil || n.Name != names[g.Name] || len(n.Text) != len(p.Data)-41 || n.Text == "" {
			t.Errorf("%s: %+v, %v, want name %s and %d bytes of text", g.Name, n, err, names[g.Name], len(p.Data)-41)
		}
		delete(names, g.Name)
	}
	if len(names) > 0 {
		t.Errorf("not recorded: %v", names)
	}
}

func TestParseNackLimits(t *testing.T) {
	long := strings.Repeat("N", 32) // no zero behind it
	for _, c := range []struct {
		name string
		data []byte
		want Nack
		kind ErrorKind
	}{
		{"nothing", nil, Nack{}, BadLength},
		{"no text, not even a zero", make([]byte, 40), Nack{}, BadLength},
		{"empty", make([]byte, 41), Nack{}, 0},
		{"text without an end", append(make([]byte, 40), "text"...), Nack{}, BadLength},
		{"name of full length", append(append(make([]byte, 8), long...), "why\x00"...), Nack{long, "why"}, 0},
		{"bytes behind the text", append(make([]byte, 40), "why\x00not\x00"...), Nack{"", "why"}, 0},
		{"largest", append(append(make([]byte, 40), bytes.Repeat([]byte("x"), MaxData-41)...), 0), Nack{"", strings.Repeat("x", MaxData-41)}, 0},
	} {
		if got, err := ParseNack(c.data); got != c.want || kind(t, err) != c.kind {
			t.Errorf("%s: %.40q, %v, want %.40q, %v", c.name, got, err, c.want, c.kind)
		}
	}
}
