//go:build cuda

package gpu

import (
	_ "embed"
	"fmt"
	"math/rand/v2"

	"kigo/node/mcm"
	"kigo/node/verify"
)

// planted is how many trailers with known results, good and spoiled, go with each
// piece, in places that nobody can tell.  It costs a small piece of 256 one part
// in 64, and large ones nothing.
const planted = 4

// answerLen is the length of one known answer: the trailer, the verdict's byte,
// the final hash.
const answerLen = mcm.TrailerLen + 1 + mcm.HashLen

// answersBin is a choice of the golden vectors that need Peach.
//
//go:generate go test -tags cuda -run ^TestAnswersFile$ -update .
//go:embed answers.bin
var answersBin string

// An answer is a trailer and what a device must find out about it.
type answer struct {
	trailer mcm.Trailer
	want    verify.Result
}

// drawAnswer returns any of the known answers.
func drawAnswer() answer {
	b := answersBin[rand.IntN(len(answersBin)/answerLen)*answerLen:]
	return answer{mcm.Trailer([]byte(b[:mcm.TrailerLen])), verify.Result{
		Verdict: verify.Verdict(b[mcm.TrailerLen]),
		Hash:    mcm.Hash([]byte(b[mcm.TrailerLen+1 : answerLen])),
	}}
}

// A planting is where the known answers of a piece stand.  The i-th was put behind
// the piece and what was planted before, and then swapped with place at.
type planting [planted]struct {
	answer
	at int
}

// plant adds known answers to the n trailers that lie in trailers, which has room
// for them.
func plant(trailers []mcm.Trailer, n int) (p planting) {
	for i := range p {
		p[i].answer, p[i].at = drawAnswer(), rand.IntN(n+i+1)
		trailers[n+i] = p[i].trailer
		trailers[n+i], trailers[p[i].at] = trailers[p[i].at], trailers[n+i]
	}
	return p
}

// harvest undoes in hashes what plant did to the trailers, so that the first n
// are those of the piece.  It returns how many known answers are wrong, and what
// about one of them.
func (p *planting) harvest(hashes []mcm.Hash, n int) (wrong int, what string) {
	for i := planted - 1; i >= 0; i-- {
		a := &p[i]
		hashes[n+i], hashes[a.at] = hashes[a.at], hashes[n+i]
		if got := verify.JudgePeach(&a.trailer, &hashes[n+i]); got != a.want {
			wrong++
			what = fmt.Sprintf("it judged block %v %v with hash %v, known to be %v with hash %v",
				a.trailer.Num(), got.Verdict, got.Hash, a.want.Verdict, a.want.Hash)
		}
	}
	return wrong, what
}
