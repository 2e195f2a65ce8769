package verifytest

import (
	"fmt"
	"sync"
	"testing"

	"kigo/node/mcm"
	"kigo/node/pow"
	"kigo/node/verify"
	"kigo/testdata"
)

// A Vector is a trailer and what the reference implementation found out about
// it.
type Vector struct {
	File    string // mainnet, peach, trigg or dispatch
	Index   int    // in the file
	Kind    string // how it was made
	Trailer mcm.Trailer
	Want    verify.Result
	// NoHash says that the vector tells the verdict alone; Want.Hash is zero and
	// means nothing.
	NoHash bool
}

// String names the vector: peach/17 one-bit-short.
func (v *Vector) String() string { return fmt.Sprintf("%s/%d %s", v.File, v.Index, v.Kind) }

// Check returns an error unless got is the vector's result.
func (v *Vector) Check(got verify.Result) error {
	if got.Verdict != v.Want.Verdict || !v.NoHash && got.Hash != v.Want.Hash {
		return fmt.Errorf("%s: got %v with hash %v, want %v with hash %v",
			v, got.Verdict, got.Hash, v.Want.Verdict, v.Want.Hash)
	}
	return nil
}

// Peach reports whether an engine has to compute a Peach hash for the vector.
func (v *Vector) Peach() bool {
	return pow.AlgorithmOf(&v.Trailer) == pow.Peach && pow.NonceSyntax(&v.Trailer)
}

// Vectors returns all golden vectors of whole trailers: the files mainnet,
// peach, trigg and dispatch of testdata/vectors/pow.  The slice is the
// caller's.
func Vectors(t testing.TB) []Vector {
	t.Helper()
	v, err := vectors()
	if err != nil {
		t.Fatal(err)
	}
	return append([]Vector(nil), v...)
}

var vectors = sync.OnceValues(loadVectors)

// record is a vector as any of the files writes it.
type record struct {
	Kind      string
	Source    string
	Trailer   testdata.Hex
	FinalHash *testdata.Hex `json:"final_hash"`
	Verdict   string
}

func loadVectors() ([]Vector, error) {
	var all []Vector
	for _, f := range []struct {
		name   string
		noHash bool
		// The verdicts of peach and trigg are those of one algorithm, whatever
		// the height says; only vectors of that algorithm count.
		algorithm pow.Algorithm
	}{
		{name: "mainnet"},
		{name: "peach", algorithm: pow.Peach},
		{name: "trigg", algorithm: pow.Trigg},
		{name: "dispatch", noHash: true},
	} {
		var file struct{ Trailers, Cases, Check []record }
		if err := testdata.Load("pow/"+f.name+".json", &file); err != nil {
			return nil, err
		}
		records := append(append(file.Trailers, file.Cases...), file.Check...)
		for i, r := range records {
			v, err := r.vector(f.noHash)
			if err != nil {
				return nil, fmt.Errorf("%s.json: vector %d: %w", f.name, i, err)
			}
			if f.algorithm != pow.None && pow.AlgorithmOf(&v.Trailer) != f.algorithm {
				continue
			}
			v.File, v.Index = f.name, i
			all = append(all, v)
		}
	}
	return all, nil
}

func (r *record) vector(noHash bool) (Vector, error) {
	if len(r.Trailer) != mcm.TrailerLen {
		return Vector{}, fmt.Errorf("trailer of %d bytes, want %d", len(r.Trailer), mcm.TrailerLen)
	}
	v := Vector{Kind: r.Kind, Trailer: mcm.Trailer(r.Trailer), NoHash: noHash}
	if v.Kind == "" {
		v.Kind = r.Source
	}
	switch r.Verdict {
	case "exempt":
		v.Want.Verdict = verify.Exempt
		v.NoHash = false // there is none, and that is known
		return v, nil
	case "accept":
		v.Want.Verdict = verify.Valid
	case "reject":
		v.Want.Verdict = verify.BadWork
		if noHash && !pow.NonceSyntax(&v.Trailer) || !noHash && r.FinalHash == nil {
			v.Want.Verdict = verify.BadNonce
		}
	default:
		return Vector{}, fmt.Errorf("verdict %q, want accept, reject or exempt", r.Verdict)
	}
	if r.FinalHash != nil {
		if len(*r.FinalHash) != mcm.HashLen {
			return Vector{}, fmt.Errorf("final hash of %d bytes, want %d", len(*r.FinalHash), mcm.HashLen)
		}
		v.Want.Hash = mcm.Hash(*r.FinalHash)
	}
	return v, nil
}
