package main

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"kigo/node/scan"
)

// A watch shows on stderr how a scan goes: a table on a terminal, a line every
// 10 s elsewhere.
type watch struct {
	screen *screen
	colors palette
	what   string // is under way

	mu     sync.Mutex
	last   scan.Progress
	peers  map[netip.Addr]scan.Peer // that were judged
	recent []netip.Addr             // the same, the latest last

	stop chan struct{}
	done chan struct{}
}

// drawEvery is how often the table is drawn: often enough for its seconds.
const drawEvery = 200 * time.Millisecond

// newWatch begins to show; end ends it.
func newWatch(s *screen, what string) *watch {
	w := &watch{
		screen: s, colors: paletteFor(s.w), what: what,
		peers: map[netip.Addr]scan.Peer{},
		stop:  make(chan struct{}), done: make(chan struct{}),
	}
	go w.run()
	return w
}

// note takes the news of a scan.
func (w *watch) note(p scan.Progress) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, peer := range p.Peers {
		if _, known := w.peers[peer.Addr]; known {
			w.recent = slices.DeleteFunc(w.recent, func(a netip.Addr) bool { return a == peer.Addr })
		}
		w.peers[peer.Addr] = peer
		w.recent = append(w.recent, peer.Addr)
	}
	p.Peers = nil
	w.last = p
}

// end takes the table off the screen.
func (w *watch) end() {
	close(w.stop)
	<-w.done
}

func (w *watch) run() {
	defer close(w.done)
	begun := time.Now()
	every := lineEvery
	if columns, _ := w.screen.size(); columns > 0 {
		every = drawEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-w.stop:
			w.screen.show(nil)
			return
		case <-tick.C:
		}
		elapsed := time.Since(begun)
		columns, rows := w.screen.size()
		if columns == 0 {
			io.WriteString(w.screen, w.line(elapsed)+"\n")
			continue
		}
		w.screen.show(w.table(elapsed, columns-1, rows-1))
	}
}

// line says in a line how far the scan is.
func (w *watch) line(elapsed time.Duration) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := &w.last
	return fmt.Sprintf("%s, %v: %s asked, %s reached, %s proven; %s under way, %s waiting",
		w.what, elapsed.Round(time.Second), count(p.Asked), count(p.Reached), count(p.Proven), count(p.InFlight), count(p.Queue))
}

// table returns at most rows lines of at most width columns.
func (w *watch) table(elapsed time.Duration, width, rows int) []string {
	head := w.line(elapsed)
	w.mu.Lock()
	defer w.mu.Unlock()
	counts := map[scan.Verdict]int{}
	for _, p := range w.peers {
		counts[p.Verdict]++
	}
	var verdicts []string
	for _, v := range scan.Verdicts() {
		if counts[v] > 0 {
			verdicts = append(verdicts, count(counts[v])+" "+words(string(v)))
		}
	}
	lines := []string{cut(head, width)}
	if len(verdicts) == 0 || rows < 2 {
		return lines
	}
	lines = append(lines, cut(strings.Join(verdicts, " · "), width))
	g := &grid{columns: peerColumns}
	for i := len(w.recent) - 1; i >= 0 && len(g.rows) < rows-len(lines)-1; i-- {
		p := w.peers[w.recent[i]]
		g.addPeer(&p, w.colors)
	}
	if len(g.rows) > 0 {
		lines = append(lines, g.lines(width, w.colors)...)
	}
	return lines
}
