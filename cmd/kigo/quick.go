package main

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"kigo/node/chainsync"
	"kigo/node/mcm"
	"kigo/node/pow"
	"kigo/node/proof"
	"kigo/node/status"
	"kigo/node/tfile"
	"kigo/node/verify"
)

// A quickVerdict is what a draw of trailers shows of a file before all of it is
// checked.
type quickVerdict struct {
	status.Sampled
	Distinct int          `json:"distinct"` // trailers drawn at least once
	Bad      *verifyError `json:"bad"`      // the first of them that has no valid work, null for none
	Seconds  float64      `json:"seconds"`
}

// quickSamples is how many trailers are drawn (docs/spec/sync.md section 8.5, S4).
const quickSamples = 2048

// quickChunk is how many trailers share a sum while the file is read.
const quickChunk = 4096

// quick draws trailers of a file with probability proportional to the work that they
// state, and has their work checked.  It looks at those whose number is at least
// from.  Nobody can guess what is drawn, so nobody can have prepared for it.  A file
// that has no work to draw from gives nil.
func quick(ctx context.Context, f *os.File, size int64, from mcm.BlockNum, v verify.Verifier) (*quickVerdict, error) {
	begun := time.Now()
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, err
	}
	file := io.NewSectionReader(f, at, size)
	var sums []float64 // work stated up to the end of each chunk
	total := 0.0
	err = tfile.EachTrailer(ctx, file, func(i int64, t *mcm.Trailer) bool {
		total += statedWork(t, from)
		if (i+1)%quickChunk == 0 {
			sums = append(sums, total)
		}
		return true
	})
	if err != nil || total == 0 {
		return nil, err
	}
	sums = append(sums, total)
	drawn, err := draw(ctx, file, sums, from)
	if err != nil {
		return nil, err
	}
	q := &quickVerdict{Sampled: chainsync.Established(quickSamples), Distinct: len(drawn)}
	batch, results := make([]mcm.Trailer, len(drawn)), make([]verify.Result, len(drawn))
	for i := range drawn {
		batch[i] = drawn[i].trailer
	}
	if err := v.VerifyPoW(ctx, results, batch); err != nil {
		return nil, err
	}
	for i := range results {
		if results[i].Verdict.Bad() && q.Bad == nil {
			t := &batch[i]
			q.Bad = &verifyError{uint64(t.Num()), drawn[i].index, pow.RuleName(t), verify.Explain(t, &results[i])}
		}
	}
	q.Seconds = round3(time.Since(begun).Seconds())
	return q, nil
}

// statedWork is the work that t has to show if its number is at least from, in
// hashes.
func statedWork(t *mcm.Trailer, from mcm.BlockNum) float64 {
	if t.Num() < from || !proof.IsWorked(t) {
		return 0
	}
	return proof.Hashes(mcm.Weight{}.AddDifficulty(t.WorkDifficulty()))
}

// A drawnTrailer is one with its place in the file.
type drawnTrailer struct {
	index   int64
	trailer mcm.Trailer
}

// draw draws quickSamples times and returns each trailer drawn once, in the order of
// the file.
func draw(ctx context.Context, file *io.SectionReader, sums []float64, from mcm.BlockNum) (drawn []drawnTrailer, err error) {
	var seed [32]byte
	_, _ = crand.Read(seed[:]) // it never fails
	secret := rand.New(rand.NewChaCha8(seed))
	points := make([]float64, quickSamples)
	for i := range points {
		points[i] = secret.Float64() * sums[len(sums)-1]
	}
	slices.Sort(points)
	for len(points) > 0 {
		chunk, _ := slices.BinarySearchFunc(sums, points[0], func(sum, p float64) int {
			if sum <= p {
				return -1
			}
			return 1
		})
		sum := 0.0
		if chunk > 0 {
			sum = sums[chunk-1]
		}
		first := int64(chunk) * quickChunk
		part := io.NewSectionReader(file, first*mcm.TrailerLen, quickChunk*mcm.TrailerLen)
		err := tfile.EachTrailer(ctx, part, func(i int64, t *mcm.Trailer) bool {
			sum += statedWork(t, from)
			n := len(points)
			for len(points) > 0 && points[0] < sum {
				points = points[1:]
			}
			if len(points) < n {
				drawn = append(drawn, drawnTrailer{first + i, *t})
			}
			return true
		})
		if err != nil {
			return nil, err
		}
		if len(points) > 0 && points[0] < sums[chunk] {
			return nil, errors.New("the file changed while it was read")
		}
	}
	return drawn, nil
}

// text says what the draw has shown.
func (q *quickVerdict) text() string {
	if q.Bad != nil {
		return fmt.Sprintf("invalid for sure: block %d has no valid work (%s: %s)", q.Bad.Block, q.Bad.Rule, q.Bad.Detail)
	}
	return fmt.Sprintf("%s draws by weight hold after %.1f s: %s", count(q.Samples), q.Seconds, q.Text)
}
