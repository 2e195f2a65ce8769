package api

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"

	"kigo/node/mcm"
	"kigo/node/pow"
	"kigo/node/status"
)

// A Node is a node that runs, as far as its listener shows it.  Its methods are
// called concurrently.
type Node interface {
	// Status returns what the node knows of itself.
	Status() status.Status
	// Events returns the feed of what happens.
	Events() *status.Feed
	// Trailers returns those of the own chain from block first on, count at most:
	// fewer where the chain ends, none where it has no such block.
	Trailers(first mcm.BlockNum, count int) ([]mcm.Trailer, error)
}

// An engine is how an engine is doing, for machines.
type engine struct {
	Name    string  `json:"name"`
	Retired bool    `json:"retired"`
	Detail  string  `json:"detail"`
	Rate    float64 `json:"trailers_per_second"`
}

// status answers /v1/status.
func (h *handler) status(*http.Request) (int, any) {
	engines := []engine{}
	for _, e := range h.Source.Engines() {
		engines = append(engines, engine(e))
	}
	return http.StatusOK, struct {
		status.Status
		Now     time.Time `json:"now"`
		Version string    `json:"version"`
		Event   uint64    `json:"event"` // the last one that had happened; /v1/events?after= goes on from there
		Engines []engine  `json:"engines"`
	}{lists(h.Node.Status()), h.Source.Now().UTC(), h.Build.Version, h.Node.Events().Last(), engines}
}

// lists returns s with lists that are never null.
func lists(s status.Status) status.Status {
	s.Alarms = append([]status.Alarm{}, s.Alarms...)
	s.Waiting = append([]status.Waiting{}, s.Waiting...)
	s.Sides = append([]status.Side{}, s.Sides...)
	if s.Sync != nil {
		p := *s.Sync
		p.Branches = append([]status.Branch{}, p.Branches...)
		s.Sync = &p
	}
	return s
}

// tip answers /v1/tip.
func (h *handler) tip(*http.Request) (int, any) {
	s := h.Node.Status()
	return http.StatusOK, struct {
		State  status.State `json:"state"`
		Ready  bool         `json:"ready"`
		Reason string       `json:"reason"`
		Age    float64      `json:"age_seconds"`
		Lag    int64        `json:"lag_blocks"`
		Tip    *status.Tip  `json:"tip"`
	}{s.State, s.Ready, s.Reason, s.TipAge, s.Lag, s.Tip}
}

// sync answers /v1/sync.
func (h *handler) sync(*http.Request) (int, any) {
	s := lists(h.Node.Status())
	return http.StatusOK, struct {
		State   status.State         `json:"state"`
		Sync    *status.SyncProgress `json:"sync"`
		Waiting []status.Waiting     `json:"waiting"`
	}{s.State, s.Sync, s.Waiting}
}

// A shown trailer is one in words that machines read.
type shown struct {
	Block      mcm.BlockNum `json:"block"`
	Kind       string       `json:"kind"`
	Hash       mcm.Hash     `json:"hash"`
	PrevHash   mcm.Hash     `json:"previous_hash"`
	MerkleRoot mcm.Hash     `json:"merkle_root"`
	TxCount    uint32       `json:"transactions"`
	MinFee     uint64       `json:"min_fee"`
	Difficulty uint32       `json:"difficulty"`
	Algorithm  string       `json:"algorithm"`
	StartTime  uint32       `json:"start_time"`
	SolveTime  uint32       `json:"solve_time"`
	Nonce      string       `json:"nonce"`
	Haiku      []string     `json:"haiku"` // null without a proof of work
}

func show(t *mcm.Trailer) shown {
	s := shown{
		Block: t.Num(), Kind: t.Kind().String(), Hash: *t.Hash(), PrevHash: *t.PrevHash(), MerkleRoot: *t.MerkleRoot(),
		TxCount: t.TxCount(), MinFee: t.MinFee(), Difficulty: t.Difficulty(), Algorithm: pow.AlgorithmOf(t).String(),
		StartTime: t.StartTime(), SolveTime: t.SolveTime(), Nonce: hex.EncodeToString(t.Nonce()[:]),
	}
	if t.Kind() == mcm.Standard {
		first, _ := pow.Halves(t)
		s.Haiku = first.Lines()
	}
	return s
}

// trailers answers /v1/trailers.
func (h *handler) trailers(r *http.Request) (int, any) {
	values, err := parameters(r.URL.RawQuery, "from", "count", "format")
	if err != nil {
		return refuse(http.StatusBadRequest, err.Error())
	}
	count, err := number(values, "count", defaultLimit, 1, maxLimit)
	if err != nil {
		return refuse(http.StatusBadRequest, err.Error())
	}
	tip := h.Node.Status().Tip
	if tip == nil {
		return refuse(http.StatusNotFound, "there is no own chain yet")
	}
	latest := 0 // the first of the last ones
	if tip.Height >= mcm.BlockNum(count) {
		latest = int(tip.Height) - count + 1
	}
	from, err := number(values, "from", latest, 0, 1<<53)
	if err != nil {
		return refuse(http.StatusBadRequest, err.Error())
	}
	binary, err := isBinary(values["format"])
	if err != nil {
		return refuse(http.StatusBadRequest, err.Error())
	}
	ts, err := h.Node.Trailers(mcm.BlockNum(from), count)
	if err != nil {
		h.Log.Error("trailers of the own chain can't be read", "bnum", from, "err", err)
		return refuse(http.StatusInternalServerError, "the own chain can't be read; the log tells more")
	}
	if len(ts) == 0 {
		return refuse(http.StatusNotFound, fmt.Sprintf("from: the own chain has no block %d; its tip is %d", from, tip.Height))
	}
	if binary {
		return http.StatusOK, file(mcm.Bytes(ts))
	}
	list := make([]shown, len(ts))
	for i := range ts {
		list[i] = show(&ts[i])
	}
	return http.StatusOK, struct {
		From     mcm.BlockNum `json:"from"`
		Count    int          `json:"count"`
		Trailers []shown      `json:"trailers"`
	}{ts[0].Num(), len(ts), list}
}

// isBinary reports whether a parameter asks for bytes.
func isBinary(format []string) (bool, error) {
	switch {
	case len(format) == 0 || len(format) == 1 && format[0] == "json":
		return false, nil
	case len(format) == 1 && format[0] == "binary":
		return true, nil
	}
	return false, fmt.Errorf("format: %.100q is neither json nor binary", strings.Join(format, ","))
}

// nodeReady answers /readyz of a node: it follows a chain that is proven, recent
// and has its quorum, and every engine can be trusted.
func (h *handler) nodeReady(*http.Request) (int, any) {
	s := h.Node.Status()
	follows := check{"state", s.Ready, string(s.State)}
	if s.Reason != "" {
		follows.Detail += ": " + s.Reason
	}
	recent := check{Name: "tip", Detail: "no chain yet"}
	if s.Tip != nil {
		passed := time.Duration(s.TipAge * float64(time.Second))
		recent.OK = passed <= h.MaxTipAge
		recent.Detail = fmt.Sprintf("block %d, %s old, at most %s allowed", s.Tip.Height, age(passed), age(h.MaxTipAge))
	}
	lag := check{"lag", s.Lag <= maxLag, fmt.Sprintf("%d blocks behind a tip that has a quorum, at most %d allowed", max(0, s.Lag), maxLag)}
	checks := []check{follows, recent, lag, checkEngines(h.Source.Engines())}
	code := codeOf(checks)
	body := struct {
		OK    bool         `json:"ok"`
		State status.State `json:"state"`
		Tip   *tip         `json:"tip"`
		Lag   int64        `json:"lag_blocks"`

		Checks []check `json:"checks"`
	}{code == http.StatusOK, s.State, nil, s.Lag, checks}
	if s.Tip != nil {
		body.Tip = &tip{s.Tip.Height, s.Tip.Hash.String(), s.TipAge}
	}
	return code, body
}

// maxLag is how many blocks a node that is ready may be behind: a block may just
// have been found, and another one follows it at once now and then.
const maxLag = 2
