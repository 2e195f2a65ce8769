package rules

import (
	"crypto/sha256"
	"errors"
	"math"
	"os"
	"testing"

	"kigo/node/mcm"
)

func TestCheckFirst(t *testing.T) {
	data, err := os.ReadFile("../../testdata/mainnet/trailers-0x94701-0x947ff.bin")
	if err != nil {
		t.Fatal(err)
	}
	v3, err := os.ReadFile("../../testdata/mainnet/trailer-0xa1219.bin")
	if err != nil {
		t.Fatal(err)
	}
	var worked, pseudo mcm.Trailer
	for _, tr := range mcm.Trailers(data) {
		if tr.Kind() == mcm.Pseudo {
			pseudo = tr
		} else {
			worked = tr
		}
	}
	neogenesis := pseudo
	neogenesis.SetNum(0x94800)
	const now = 1_800_000_000
	cases := []struct {
		name  string
		base  mcm.Trailer
		spoil func(*mcm.Trailer)
		want  error
	}{
		{"worked", worked, func(*mcm.Trailer) {}, nil},
		{"pseudo", pseudo, func(*mcm.Trailer) {}, nil},
		{"neogenesis", neogenesis, func(*mcm.Trailer) {}, nil},
		{"neogenesis times are another block's", neogenesis, func(t *mcm.Trailer) { t.SetSolveTime(math.MaxUint32) }, nil},
		{"genesis", mcm.GenesisTrailer(), func(*mcm.Trailer) {}, nil},
		{"no genesis", mcm.GenesisTrailer(), func(t *mcm.Trailer) { t.Hash()[0] = 1 }, GenesisHash},
		{"links are left open", worked, func(t *mcm.Trailer) { t.PrevHash()[0] ^= 1 }, nil},
		{"difficulty is left open", worked, func(t *mcm.Trailer) { t.SetDifficulty(1) }, nil},
		{"worked made pseudo", worked, func(t *mcm.Trailer) { t.SetTxCount(0) }, MinFee},
		{"low fee", worked, func(t *mcm.Trailer) { t.SetMinFee(mcm.MinFee - 1) }, MinFee},
		{"too many transactions", worked, func(t *mcm.Trailer) { t.SetTxCount(mcm.MaxTx + 1) }, TxCount},
		{"neogenesis with transactions", neogenesis, func(t *mcm.Trailer) { t.SetTxCount(1) }, TxCount},
		{"pseudo with a nonce", pseudo, func(t *mcm.Trailer) { t.Nonce()[31] = 1 }, Nonce},
		{"pseudo with a root", pseudo, func(t *mcm.Trailer) { t.MerkleRoot()[31] = 1 }, MerkleRoot},
		{"pseudo too early", pseudo, func(t *mcm.Trailer) { t.SetSolveTime(t.SolveTime() - 1) }, SolveTime},
		{"solved at once", worked, func(t *mcm.Trailer) { t.SetSolveTime(t.StartTime()) }, SolveTime},
		{"solved before it began", worked, func(t *mcm.Trailer) { t.SetSolveTime(t.StartTime() - 1) }, SolveTime},
		{"in the future", worked, func(t *mcm.Trailer) { t.SetStartTime(now + 1); t.SetSolveTime(now + 4) }, SolveTime},
		{"as late as may be", worked, func(t *mcm.Trailer) { t.SetStartTime(now + 1); t.SetSolveTime(now + 3) }, nil},
		{"v3", mcm.Trailer(v3), func(*mcm.Trailer) {}, nil},
		{"v3 hash", mcm.Trailer(v3), func(t *mcm.Trailer) { t.MerkleRoot()[0] ^= 1 }, BlockHash},
		{"v3 made pseudo", mcm.Trailer(v3), func(t *mcm.Trailer) {
			t.SetTxCount(0)
			*t.Hash() = sha256.Sum256(t[:128])
		}, MinFee},
	}
	for _, c := range cases {
		tr := c.base
		c.spoil(&tr)
		err := CheckFirst(&tr, now)
		if !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

func TestClockNeverOverflows(t *testing.T) {
	data, err := os.ReadFile("../../testdata/mainnet/trailers-0x94701-0x947ff.bin")
	if err != nil {
		t.Fatal(err)
	}
	ts := mcm.Trailers(data)
	for now, want := range map[int64]error{
		math.MaxInt64:                     nil,
		math.MaxInt64 - 3:                 nil,
		int64(ts[1].SolveTime()):          nil,
		int64(ts[1].SolveTime()) - 3:      nil,
		int64(ts[1].SolveTime()) - 4:      SolveTime,
		0:                                 SolveTime,
		math.MinInt64:                     SolveTime,
		math.MinInt64 + int64(ts[1][124]): SolveTime,
	} {
		if err := Check(&ts[0], &ts[1], now); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("clock %d: got %v, want %v", now, err, want)
		}
	}
}
