//go:build cuda

package gpu

import (
	"flag"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"kigo/node/mcm"
	"kigo/node/verify"
	"kigo/node/verify/verifytest"
)

var update = flag.Bool("update", false, "write answers.bin")

func TestAnswersFile(t *testing.T) {
	answers, _ := verifytest.Answers(t)
	want := verifytest.EncodeAnswers(answers)
	if *update {
		if err := os.WriteFile("answers.bin", want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("answers.bin")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Fatal("answers.bin differs from the vectors; run go generate")
	}
	seen := map[verify.Verdict]int{}
	for range 1000 {
		seen[drawAnswer().want.Verdict]++
	}
	if seen[verify.Valid] < 100 || seen[verify.BadWork] < 100 || len(seen) != 2 {
		t.Errorf("answers drawn are %v, want good and spoiled ones", seen)
	}
}

// TestPlanting hashes in a way that takes no Peach, and finds every trailer's hash
// in its place.
func TestPlanting(t *testing.T) {
	places := map[int]bool{}
	for n := 1; n < 200; n++ {
		trailers := make([]mcm.Trailer, n+planted)
		r := rand.New(rand.NewPCG(1, uint64(n)))
		for i := range n {
			*trailers[i].MerkleRoot() = mcm.Hash{byte(i), byte(n), byte(r.Uint32())}
		}
		want := append([]mcm.Trailer(nil), trailers[:n]...)
		p := plant(trailers, n)
		known := map[mcm.Trailer]mcm.Hash{}
		for _, a := range p {
			known[a.trailer] = a.want.Hash
		}
		hashes := make([]mcm.Hash, len(trailers))
		for i := range trailers {
			hash, ok := known[trailers[i]]
			if ok {
				places[i*8/len(trailers)] = true
			} else {
				hash = *trailers[i].MerkleRoot()
			}
			hashes[i] = hash
		}
		// Spoil one of the known ones in every other round.
		spoiled := n%2 == 1
		if spoiled {
			hashes[p[planted-1].at][31] ^= 1
		}
		wrong, what := p.harvest(hashes, n)
		if (wrong == 1) != spoiled || spoiled && !strings.Contains(what, "known to be") {
			t.Errorf("length %d: told that %d are wrong, %q, want one: %v", n, wrong, what, spoiled)
		}
		for i := range want {
			if hashes[i] != *want[i].MerkleRoot() {
				t.Fatalf("length %d: hash %d is in another place", n, i)
			}
		}
	}
	if len(places) < 8 {
		t.Errorf("planted in eighths %v of a piece, want in all", places)
	}
}

// TestPlantedFindWrongHashes has a device that spoils every other hash, with nobody
// else to notice.
func TestPlantedFindWrongHashes(t *testing.T) {
	fake(t)
	noGoroutines(t)
	t.Setenv("KIGO_FAKE_WRONG", "2")
	d := devices(t, options(64))[0]
	batch, _ := random(t, 600)
	err := d.VerifyPoW(t.Context(), make([]verify.Result, len(batch)), batch)
	if !strings.Contains(retired(err), "known to be") {
		t.Errorf("got error %v, want that the device is retired", err)
	}
}
