package main

import (
	"encoding/json"
	"strings"
	"testing"

	"kigo/node/mcm"
)

// The blocks of the vectors with a published haiku.
func TestShowSetsTheHaiku(t *testing.T) {
	want := `block 608,003  0x94703  standard  2024-08-12 06:25:44 UTC

    creeping on a good wife      leaping at a still silence
    rice walking--               air soaring--
    a fleeting hat               a last sandal

  hash         85b45beca72deab7de32067ad53b634f50dc337ed35e03cb3a16332a74e44690
  previous     abb75c6943953edcb45c66a5ac98000702b5816de295f42172821b686a473013
  Merkle root  a1b319c9ae71d2847acf4a6ebe2af80c7a532fa4be0d545235406a024db14dff
  difficulty   35, proven with Peach
  contents     4 transactions, minimum fee 500
  solved in    3m33s, from 2024-08-12 06:22:11 UTC
  reward       52.850855904 MCM
  nonce        160e05438601ea260301057ad20000001a0c054ff701d72203010546d3000000
`
	for _, block := range []string{"608003", "0x94703", "608003..608003"} {
		if got := kigo(t, "show", segment255, block).want(t, 0); got != want {
			t.Errorf("block %s: got\n%s\nwant\n%s", block, got, want)
		}
	}
}

func TestShowKinds(t *testing.T) {
	contains(t, "genesis", kigo(t, "show", genesis).want(t, 0), "block 0", "genesis", "at the beginning", mcm.GenesisHash.String(), "4,757,066.000000000 MCM")
	file := synthFile(t, "--blocks", "600", "--worked", "0.5", "--difficulty", "1")
	all := kigo(t, "show", file, "0..").want(t, 0)
	contains(t, "the whole chain", all, "a neogenesis block, it carries the whole ledger", "a pseudoblock, nobody solved it in 949 s", "proven with Trigg")
	if n := strings.Count(all, "block "); n < 600 {
		t.Errorf("%d blocks shown, want 600", n)
	}
	last := kigo(t, "show", file).want(t, 0)
	contains(t, "the tip", last, "block 599 ")
	if first := kigo(t, "show", file, "..1").want(t, 0); strings.Count(first, "\n  hash ") != 2 {
		t.Errorf("..1 shows\n%s", first)
	}
}

func TestShowJSONLines(t *testing.T) {
	var v struct {
		Trailers []struct {
			Block   uint64
			Display *string
			Source  string
		}
	}
	if err := json.Unmarshal(readFile(t, vectors+"pow/mainnet.json"), &v); err != nil {
		t.Fatal(err)
	}
	haikus := map[uint64]string{}
	for _, tr := range v.Trailers {
		if tr.Display != nil {
			haikus[tr.Block] = *tr.Display
		}
	}
	out := kigo(t, "show", "--jsonl", segment255, "0..").want(t, 0)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	compared := 0
	for i, line := range lines {
		var raw map[string]any
		if err := json.Unmarshal([]byte(line), &raw); err != nil {
			t.Fatal(err)
		}
		block := uint64(raw["block"].(float64))
		if block != uint64(608001+i) {
			t.Errorf("line %d: block %d", i, block)
		}
		if raw["haiku"] == nil {
			continue
		}
		var words []string
		for _, w := range raw["haiku"].([]any) {
			words = append(words, w.(string))
		}
		if want, ok := haikus[block]; ok {
			compared++
			if got := strings.Join(words, "\n"); got != want {
				t.Errorf("block %d: haiku %q, want %q", block, got, want)
			}
		}
	}
	if len(lines) != 255 || compared < 200 {
		t.Errorf("%d lines, %d haikus compared", len(lines), compared)
	}
}

func TestShowBrokenFile(t *testing.T) {
	o := kigoWith(t, append(readFile(t, genesis), 1), "show", "-")
	o.want(t, exitInvalid)
	contains(t, "the error", o.stderr, "1 bytes of trailer 1")
	kigoWith(t, nil, "show", "-").want(t, exitInvalid)
}
