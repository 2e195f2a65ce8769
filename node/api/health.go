package api

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"kigo/node/mcm"
	"kigo/node/scan"
)

// noneYet is the state before the first scan has ended.
const noneYet scan.State = "none_yet"

// A check is one condition of being healthy or ready.
type check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// health answers /healthz: the process runs and has an engine to work with.
func (h *handler) health(*http.Request) (int, any) {
	serving, _ := survey(h.Source.Engines())
	work := check{"engines", len(serving) > 0, "in use: " + strings.Join(serving, ", ")}
	if !work.OK {
		work.Detail = "none is left"
	}
	up := check{"process", true, "up " + age(h.Source.Now().Sub(h.started))}
	checks := []check{up, work}
	return codeOf(checks), struct {
		OK     bool    `json:"ok"`
		Checks []check `json:"checks"`
	}{work.OK, checks}
}

// A tip is the end of the chosen branch.
type tip struct {
	Block      mcm.BlockNum `json:"block"`
	Hash       string       `json:"hash"`
	AgeSeconds float64      `json:"age_seconds"`
}

// ready answers /readyz: a recent scan found a proven quorum on a recent tip,
// and every engine can be trusted.
func (h *handler) ready(*http.Request) (int, any) {
	now, r := h.Source.Now(), h.Source.Report()
	body := struct {
		OK      bool       `json:"ok"`
		State   scan.State `json:"state"`
		Scanned *time.Time `json:"scanned"` // when the last scan ended
		Tip     *tip       `json:"tip"`
		Checks  []check    `json:"checks"`
	}{State: noneYet}
	if r != nil {
		ended := r.Ended.UTC()
		body.State, body.Scanned = r.State, &ended
		if b := chosen(r); b != nil {
			body.Tip = &tip{b.Height, b.Tip.String(), now.Sub(time.Unix(int64(b.Time), 0)).Seconds()}
		}
	}
	body.Checks = []check{h.checkScan(now, r), checkQuorum(r), h.checkTip(now, r), checkEngines(h.Source.Engines())}
	code := codeOf(body.Checks)
	body.OK = code == http.StatusOK
	return code, body
}

// codeOf is 200 when all checks hold.
func codeOf(checks []check) int {
	for _, c := range checks {
		if !c.OK {
			return http.StatusServiceUnavailable
		}
	}
	return http.StatusOK
}

func (h *handler) checkScan(now time.Time, r *scan.Report) check {
	c := check{Name: "scan", Detail: "none yet"}
	if r != nil {
		passed := now.Sub(r.Ended)
		c.OK = passed <= h.MaxScanAge
		c.Detail = fmt.Sprintf("ended %s ago, at most %s allowed", age(passed), age(h.MaxScanAge))
	}
	return c
}

func checkQuorum(r *scan.Report) check {
	c := check{Name: "quorum", Detail: "no scan yet"}
	if r == nil {
		return c
	}
	need := fmt.Sprintf("%d peers in %d groups needed", r.Quorum.Peers, r.Quorum.Groups)
	c.OK = r.State == scan.Quorum
	switch b := chosen(r); {
	case b != nil:
		c.Detail = fmt.Sprintf("%d proven peers in %d groups, %s", len(b.Peers), len(b.Groups), need)
	case r.Reached == 0:
		c.Detail = fmt.Sprintf("none of %d peers was reached, %s", r.Asked, need)
	default:
		c.Detail = fmt.Sprintf("%d of %d peers were reached and none is proven, %s", r.Reached, r.Asked, need)
	}
	return c
}

func (h *handler) checkTip(now time.Time, r *scan.Report) check {
	c := check{Name: "tip", Detail: "no chosen branch"}
	b := chosen(r)
	if b == nil {
		return c
	}
	passed := now.Sub(time.Unix(int64(b.Time), 0))
	c.OK = passed <= h.MaxTipAge
	c.Detail = fmt.Sprintf("block %d, %s old, at most %s allowed", b.Height, age(passed), age(h.MaxTipAge))
	return c
}

func checkEngines(engines []EngineStatus) check {
	serving, retired := survey(engines)
	switch {
	case len(engines) == 0:
		return check{"engines", false, "none is open"}
	case len(retired) > 0:
		return check{"engines", false, "can't be relied on and serve no more: " + strings.Join(retired, ", ")}
	}
	return check{"engines", true, "in use: " + strings.Join(serving, ", ")}
}

// survey names the engines that serve and those that don't, each with its latest
// failure.
func survey(engines []EngineStatus) (serving, retired []string) {
	for _, e := range engines {
		name := e.Name
		if e.Detail != "" {
			name += " (" + e.Detail + ")"
		}
		if e.Retired {
			retired = append(retired, name)
		} else {
			serving = append(serving, name)
		}
	}
	return serving, retired
}

// chosen returns the chosen branch of a report, nil when there is none.
func chosen(r *scan.Report) *scan.Branch {
	if r == nil || r.Chosen < 0 || r.Chosen >= len(r.Branches) {
		return nil
	}
	return &r.Branches[r.Chosen]
}

// age is a duration in whole seconds.
func age(d time.Duration) string { return d.Round(time.Second).String() }
