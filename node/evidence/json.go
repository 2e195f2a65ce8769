package evidence

import (
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"time"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/rules"
	"kigo/node/wire"
)

// MarshalJSON implements json.Marshaler: all of the record, for people and their
// programs, bytes in hex.  It isn't read back; the binary form is.
func (r *Record) MarshalJSON() ([]byte, error) {
	packets := make([]string, len(r.Packets))
	for i, p := range r.Packets {
		packets[i] = hex.EncodeToString(p)
	}
	chain := make([]string, len(r.Chain))
	for i := range r.Chain {
		chain[i] = hex.EncodeToString(r.Chain[i][:])
	}
	next := ""
	if r.Next != nil {
		next = hex.EncodeToString(r.Next[:])
	}
	return json.Marshal(struct {
		ID      string        `json:"id"`
		Time    time.Time     `json:"time"`
		Peer    netip.Addr    `json:"peer"`
		Kind    fault.Kind    `json:"kind"`
		Rule    rules.Rule    `json:"rule"`
		Num     *mcm.BlockNum `json:"block"`
		Detail  string        `json:"detail"`
		Claim   claim         `json:"claim"`
		Op      string        `json:"asked"`
		First   mcm.BlockNum  `json:"first"`
		Count   int           `json:"count"`
		IDs     [2]uint16     `json:"ids"`
		Packets []string      `json:"packets"`
		Next    string        `json:"next,omitempty"`
		Anchor  *anchor       `json:"anchor,omitempty"`
		Chain   []string      `json:"chain,omitempty"`
		Base    mcm.BlockNum  `json:"base"`
		Height  *anchor       `json:"height_anchor,omitempty"`
		Old     bool          `json:"allow_old"`
		RuleSet int           `json:"rule_set"`
	}{
		r.ID, r.Time, r.Peer, r.Kind, r.Rule, r.Block(), r.Detail, claim(r.Claim), r.Op.String(), r.First, r.Count,
		[2]uint16{r.ID1, r.ID2}, packets, next, newAnchor(r.Anchor), chain,
		r.Options.Base, newAnchor(r.Options.Height), r.Options.AllowOld, r.RuleSet,
	})
}

// A claim is a wire.State in JSON.
type claim wire.State

func (c claim) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Num    mcm.BlockNum `json:"height"`
		Hash   mcm.Hash     `json:"tip"`
		Prev   mcm.Hash     `json:"previous"`
		Weight mcm.Weight   `json:"weight"`
	}{c.Num, c.Hash, c.Prev, c.Weight})
}

// An anchor is a proof.Anchor in JSON.
type anchor struct {
	Num    mcm.BlockNum `json:"block"`
	Hash   mcm.Hash     `json:"hash"`
	Weight mcm.Weight   `json:"weight"`
	Time   uint32       `json:"time"`
	Fixed  bool         `json:"fixed"`
}

func newAnchor(a *proof.Anchor) *anchor {
	if a == nil {
		return nil
	}
	return &anchor{a.Num, a.Hash, a.Weight, a.Time, a.Fixed}
}
