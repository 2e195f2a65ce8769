package api

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"kigo/node/evidence"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/rules"
	"kigo/node/scan"
)

// A scanned heads what is told about the last scan.
type scanned struct {
	State   scan.State `json:"state"`
	Started *time.Time `json:"started"`
	Ended   *time.Time `json:"ended"`
}

// last returns the last report and what heads an answer from it; before the
// first scan an empty report.
func (h *handler) last() (*scan.Report, scanned) {
	r := h.Source.Report()
	if r == nil {
		return &scan.Report{Chosen: -1}, scanned{State: noneYet}
	}
	started, ended := r.Started.UTC(), r.Ended.UTC()
	return r, scanned{r.State, &started, &ended}
}

// peers answers /v1/peers.
func (h *handler) peers(r *http.Request) (int, any) {
	q, err := parseQuery(r.URL.RawQuery, maxLimit, "verdict", texts(scan.Verdicts()))
	if err != nil {
		return refuse(http.StatusBadRequest, err.Error())
	}
	report, head := h.last()
	part, matched := page(q, report.Peers, func(p *scan.Peer) string { return string(p.Verdict) })
	return http.StatusOK, struct {
		scanned
		Total   int         `json:"total"`
		Matched int         `json:"matched"`
		Peers   []scan.Peer `json:"peers"`
	}{head, len(report.Peers), matched, part}
}

// A quorum is what it takes to be one.
type quorum struct {
	Peers  int `json:"peers"`
	Groups int `json:"groups"`
}

// forks answers /v1/forks.
func (h *handler) forks(r *http.Request) (int, any) {
	q, err := parseQuery(r.URL.RawQuery, maxBranches, "", nil)
	if err != nil {
		return refuse(http.StatusBadRequest, err.Error())
	}
	report, head := h.last()
	part, _ := page(q, report.Branches, nil)
	body := struct {
		scanned
		Quorum   quorum        `json:"quorum"`
		Chosen   *int          `json:"chosen"` // the index of a branch
		Reason   string        `json:"reason"` // why that one
		Alarms   []scan.Alarm  `json:"alarms"`
		Total    int           `json:"total"`
		Branches []scan.Branch `json:"branches"`
	}{head, quorum(report.Quorum), nil, report.Reason, append([]scan.Alarm{}, report.Alarms...), len(report.Branches), part}
	if chosen(report) != nil {
		body.Chosen = &report.Chosen
	}
	return http.StatusOK, body
}

// A summary is a record of evidence without the bytes.
type summary struct {
	ID     string        `json:"id"`
	Time   time.Time     `json:"time"`
	Peer   netip.Addr    `json:"peer"`
	Kind   fault.Kind    `json:"kind"`
	Rule   rules.Rule    `json:"rule"`
	Block  *mcm.BlockNum `json:"block"`
	Detail string        `json:"detail"`
}

func summarize(r *evidence.Record) summary {
	return summary{r.ID, r.Time.UTC(), r.Peer, r.Kind, r.Rule, r.Block(), r.Detail}
}

// objective lists the kinds that leave evidence.
func objective() (words []string) {
	for _, k := range fault.Kinds() {
		if k.Class() == fault.Objective {
			words = append(words, string(k))
		}
	}
	return words
}

// texts returns words as plain strings.
func texts[T ~string](list []T) (words []string) {
	for _, w := range list {
		words = append(words, string(w))
	}
	return words
}

// evidence answers /v1/evidence.
func (h *handler) evidence(r *http.Request) (int, any) {
	q, err := parseQuery(r.URL.RawQuery, maxLimit, "kind", objective())
	if err != nil {
		return refuse(http.StatusBadRequest, err.Error())
	}
	all := []summary{}
	err = h.records(r.Context(), func(records []*evidence.Record) {
		for _, rec := range records {
			all = append(all, summarize(rec))
		}
	})
	if err != nil {
		return h.unreadable(err)
	}
	slices.SortFunc(all, func(a, b summary) int {
		if c := b.Time.Compare(a.Time); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	part, matched := page(q, all, func(s *summary) string { return string(s.Kind) })
	return http.StatusOK, struct {
		Total    int       `json:"total"`
		Matched  int       `json:"matched"`
		Evidence []summary `json:"evidence"`
	}{len(all), matched, part}
}

// An id is written in hex; four digits of it are enough if they are one record's
// alone.
var id = regexp.MustCompile(`^[0-9a-f]{4,64}$`)

// evidenceByID answers /v1/evidence/{id}, as JSON or, with format=binary, as the
// file that kigo evidence verify takes.
func (h *handler) evidenceByID(r *http.Request) (int, any) {
	values, err := parameters(r.URL.RawQuery, "format")
	if err != nil {
		return refuse(http.StatusBadRequest, err.Error())
	}
	binary := slices.Equal(values["format"], []string{"binary"})
	if len(values) > 0 && !binary && !slices.Equal(values["format"], []string{"json"}) {
		return refuse(http.StatusBadRequest, fmt.Sprintf("format: %.100q is none of json, binary", strings.Join(values["format"], ",")))
	}
	want := strings.ToLower(r.PathValue("id"))
	if !id.MatchString(want) {
		return refuse(http.StatusBadRequest, fmt.Sprintf("id: %.100q is not the first 4 to 64 hex digits of one", want))
	}
	var found []*evidence.Record
	err = h.records(r.Context(), func(records []*evidence.Record) {
		for _, rec := range records {
			if strings.HasPrefix(rec.ID, want) {
				found = append(found, rec)
			}
		}
	})
	switch {
	case err != nil:
		return h.unreadable(err)
	case len(found) == 0:
		return refuse(http.StatusNotFound, fmt.Sprintf("id: no evidence begins with %s", want))
	case len(found) > 1:
		return refuse(http.StatusBadRequest, fmt.Sprintf("id: %d records begin with %s; more digits are needed", len(found), want))
	}
	if !binary {
		return http.StatusOK, found[0]
	}
	b, err := found[0].MarshalBinary()
	if err != nil {
		return h.unreadable(err)
	}
	return http.StatusOK, file(b)
}

// records shows f all evidence.  One caller at a time: records hold what peers
// sent, and many copies of all of them would fill the memory.
func (h *handler) records(ctx context.Context, f func([]*evidence.Record)) error {
	select {
	case h.reading <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-h.reading }()
	all, err := h.Source.Evidence(ctx)
	if err != nil {
		return err
	}
	f(all)
	return nil
}

// unreadable is the answer when the evidence can't be had.
func (h *handler) unreadable(err error) (int, any) {
	h.Log.Error("evidence can't be read", "err", err)
	return refuse(http.StatusInternalServerError, "the evidence can't be read; the log tells more")
}
