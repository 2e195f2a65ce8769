package node

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"kigo/node/chainsync"
	"kigo/node/mcm"
	"kigo/node/scan"
	"kigo/node/status"
)

// Alarms of a running node, besides those of packages scan and chainsync
// (docs/spec/sync.md section 8.10).
const (
	StarvedAlarm scan.AlarmKind = "starved"
	PseudoAlarm  scan.AlarmKind = "pseudo_run"
	CheapAlarm   scan.AlarmKind = "cheap_weight"
	EngineAlarm  scan.AlarmKind = "wrong_engine"
	FailureAlarm scan.AlarmKind = "own_failure" // something of this node's own fails, such as its disk

	clockAlarm  = scan.ClockAlarm
	rulesAlarm  = scan.RulesAlarm
	weightAlarm = scan.WeightAlarm
	floorAlarm  = chainsync.FloorAlarm
	pinAlarm    = chainsync.PinAlarm
	behindAlarm = chainsync.BehindAlarm
	deepAlarm   = chainsync.DeepAlarm
)

// AlarmKinds lists all kinds of alarm that a node can raise.
func AlarmKinds() []scan.AlarmKind {
	return []scan.AlarmKind{StarvedAlarm, PseudoAlarm, CheapAlarm, clockAlarm, rulesAlarm, weightAlarm, behindAlarm, floorAlarm, pinAlarm, deepAlarm, EngineAlarm, FailureAlarm}
}

// Thresholds of section 8.10.
const (
	pseudoRun    = 5 // pseudoblocks in a row that are nothing to speak of
	cheapDepth   = 6 // own blocks replaced, up to which less work is honest
	cheapBlocks  = 6 // until the node calls itself ready again
	deepDepth    = 54
	clockGroups  = 3
	clockLead    = 5 * time.Second
	behindGroups = 3
)

// An alarm is one that is raised.
type alarm struct {
	status.Alarm
	until time.Time // when it is cleared by itself; zero: when its cause is gone
}

// alarms are those that are raised.  They belong to who holds the node's lock.
type alarms struct {
	active  map[scan.AlarmKind]*alarm
	hold    time.Duration
	feed    *status.Feed
	metrics *Metrics
	log     *slog.Logger
}

// set raises or clears an alarm that has a cause which lasts.
func (a *alarms) set(kind scan.AlarmKind, on bool, detail string, now time.Time) {
	have := a.active[kind]
	switch {
	case on && have != nil:
		have.Detail, have.until = detail, time.Time{}
	case on:
		a.enter(kind, detail, time.Time{}, now)
	case have != nil && have.until.IsZero():
		a.clear(kind, now)
	}
}

// raise raises an alarm for something that happened.  It lasts for a while.
func (a *alarms) raise(kind scan.AlarmKind, detail string, now time.Time) {
	if have := a.active[kind]; have != nil {
		have.Detail = detail
		if !have.until.IsZero() {
			have.until = now.Add(a.hold)
		}
		return
	}
	a.enter(kind, detail, now.Add(a.hold), now)
}

func (a *alarms) enter(kind scan.AlarmKind, detail string, until, now time.Time) {
	v := &alarm{status.Alarm{Kind: string(kind), Detail: detail, Since: now.UTC()}, until}
	a.active[kind] = v
	a.metrics.alarm(kind, true)
	a.log.Warn("alarm raised", "kind", kind, "detail", detail)
	a.feed.Publish(now, status.AlarmRaised, v.Alarm)
}

func (a *alarms) clear(kind scan.AlarmKind, now time.Time) {
	v := a.active[kind]
	delete(a.active, kind)
	a.metrics.alarm(kind, false)
	a.log.Info("alarm cleared", "kind", kind)
	a.feed.Publish(now, status.AlarmCleared, v.Alarm)
}

// expire clears the alarms that have lasted long enough.
func (a *alarms) expire(now time.Time) {
	for kind, v := range a.active {
		if !v.until.IsZero() && (!now.Before(v.until) || v.until.Sub(now) > a.hold) {
			a.clear(kind, now)
		}
	}
}

// on reports whether the alarm is raised.
func (a *alarms) on(kind scan.AlarmKind) bool { return a.active[kind] != nil }

// list returns what is raised, by kind.
func (a *alarms) list() []status.Alarm {
	l := make([]status.Alarm, 0, len(a.active))
	for _, kind := range AlarmKinds() {
		if v := a.active[kind]; v != nil {
			l = append(l, v.Alarm)
		}
	}
	return l
}

// leads are by how much the tips of groups are ahead of our clock.
type leads map[netip.Prefix]lead

type lead struct {
	by time.Duration
	at time.Time
}

func (l leads) note(g netip.Prefix, by time.Duration, now time.Time) {
	if _, known := l[g]; known || len(l) < maxJurors {
		l[g] = lead{by, now}
	}
}

// clear takes back what was noted: the group showed a tip that our clock allows.
func (l leads) clear(g netip.Prefix) { delete(l, g) }

// ahead returns by how much groups are ahead by more than clockLead, least first.
func (l leads) ahead(since time.Time) (by []time.Duration) {
	for g, v := range l {
		switch {
		case v.at.Before(since):
			delete(l, g)
		case v.by > clockLead:
			by = append(by, v.by)
		}
	}
	slices.Sort(by)
	return by
}

// sound looks at all that can be wrong now.  The caller holds n.mu.
func (n *Node) sound(now time.Time) {
	a := &n.alarms
	a.expire(now)
	since := now.Add(-n.o.Times.Voice)
	tip, have := n.own.Tip()

	detail := n.clockDetail(now, since)
	a.set(clockAlarm, detail != "", detail, now)
	starved := ""
	if have {
		starved = n.thickness.starved()
	}
	a.set(StarvedAlarm, starved != "", starved, now)
	run := pseudos(n.own.last(tailLen))
	a.set(PseudoAlarm, run > pseudoRun, fmt.Sprintf("the own chain ends in %d pseudoblocks", run), now)
	if have && tip.Num >= n.cheapUntil {
		a.set(CheapAlarm, false, "", now)
	}
	behind := ""
	for _, u := range n.unobtained {
		if u.groups >= behindGroups {
			behind = fmt.Sprintf("peers of %d groups are on a branch up to block %v that nobody serves: %s", u.groups, u.height, u.detail)
		}
	}
	a.set(behindAlarm, behind != "", behind, now)
	var broken []string
	for what, why := range n.broken {
		broken = append(broken, what+": "+why)
	}
	slices.Sort(broken)
	a.set(FailureAlarm, len(broken) > 0, strings.Join(broken, "; "), now)
}

// fails notes that something of our own fails, or with nil that it doesn't any more.
// It logs what is new.
func (n *Node) fails(what string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err == nil {
		delete(n.broken, what)
		return
	}
	if n.broken[what] != err.Error() {
		n.log.Error("own failure", "what", what, "err", err)
	}
	n.broken[what] = err.Error()
}

// clockDetail says what seems to be wrong with our clock, empty for nothing.
func (n *Node) clockDetail(now, since time.Time) string {
	if ahead := n.leads.ahead(since); len(ahead) >= clockGroups {
		return fmt.Sprintf("tips of %d groups are ahead of our clock, half of them by %v or more", len(ahead), ahead[len(ahead)/2].Round(time.Second))
	}
	tip, have := n.own.Tip()
	if !have {
		return ""
	}
	solved := time.Unix(int64(tip.Time), 0)
	if lag := solved.Sub(now); lag > clockLead {
		return fmt.Sprintf("our clock is %v behind the own tip", lag.Round(time.Second))
	}
	for _, s := range n.sides.tips() {
		if at := time.Unix(int64(s.t.SolveTime()), 0); at.After(solved) {
			solved = at
		}
	}
	if age := now.Sub(solved); age > n.o.Times.TipAge && !n.passed.Before(since) {
		return fmt.Sprintf("the newest tip of all branches is %v old by our clock", age.Round(time.Second))
	}
	return ""
}

// pseudos returns how many pseudoblocks a chain ends in.  Neogenesis blocks among them
// neither count nor end the run.
func pseudos(tail []mcm.Trailer) (run int) {
	for i := len(tail) - 1; i >= 0; i-- {
		switch tail[i].Kind() {
		case mcm.Pseudo:
			run++
		case mcm.Neogenesis:
		default:
			return run
		}
	}
	return run
}

// judgeReorg raises the alarms that a reorganisation calls for.  The caller holds
// n.mu.
func (n *Node) judgeReorg(depth int, lost, gained mcm.Weight, tip mcm.BlockNum, now time.Time) {
	if depth > deepDepth {
		n.alarms.raise(deepAlarm, fmt.Sprintf("%d own blocks were replaced", depth), now)
	}
	if depth > cheapDepth {
		n.quorumSeen = time.Time{} // it was on another chain
		if gained.Cmp(lost) < 0 {
			n.cheapUntil = tip + cheapBlocks
			n.alarms.set(CheapAlarm, true, fmt.Sprintf("%d own blocks were replaced by more weight with less work, %v instead of %v", depth, gained, lost), now)
		}
	}
}
