package api

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"kigo/node/status"
)

// accepting asks for / as somebody who takes these types.
func accepting(s *server, types string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Accept", types)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// A listener reads events from a real server.
type listener struct {
	t    *testing.T
	body io.ReadCloser
	*bufio.Scanner
}

func listen(t *testing.T, address, query, lastID string) *listener {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/v1/events"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Body.Close() })
	if w.StatusCode != http.StatusOK || w.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("status %d, type %q", w.StatusCode, w.Header.Get("Content-Type"))
	}
	return &listener{t, w.Body, bufio.NewScanner(w.Body)}
}

// next returns the next event: its id, its name and its data.
func (l *listener) next() (id, name, data string) {
	l.t.Helper()
	for l.Scan() {
		field, value, _ := strings.Cut(l.Text(), ": ")
		switch field {
		case "id":
			id = value
		case "event":
			name = value
		case "data":
			data = value
		case "":
			if name != "" {
				return id, name, data
			}
		}
	}
	l.t.Fatalf("the stream has ended: %v", l.Err())
	return
}

func publish(f *status.Feed, n int) {
	for range n {
		f.Publish(clock, status.AlarmRaised, status.Alarm{Kind: "starved"})
	}
}

func TestEvents(t *testing.T) {
	s := running()
	feed := s.node.Events()
	publish(feed, 3)
	address, _ := start(t, newServer(s))

	whole := listen(t, address, "", "")
	for want := 1; want <= 3; want++ {
		id, name, data := whole.next()
		var e struct {
			Seq  int
			Kind string
			Data status.Alarm
		}
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			t.Fatal(err)
		}
		if id != fmt.Sprint(want) || name != "alarm" || e.Seq != want || e.Kind != "alarm" || e.Data.Kind != "starved" {
			t.Errorf("event %d is %s %s %s", want, id, name, data)
		}
	}
	publish(feed, 1)
	if id, _, _ := whole.next(); id != "4" {
		t.Errorf("the new event has number %s", id)
	}
	for _, c := range []struct{ query, lastID, first string }{
		{"?after=2", "", "3"},
		{"", "3", "4"},
		{"?after=1", "3", "4"}, // the browser has got further since
		{"?after=77", "", "1"}, // the number is of another run
	} {
		if id, _, _ := listen(t, address, c.query, c.lastID).next(); id != c.first {
			t.Errorf("%s, last id %q: goes on with %s, want %s", c.query, c.lastID, id, c.first)
		}
	}

	publish(feed, status.DefaultKept)
	late := listen(t, address, "?after=2", "")
	if _, name, data := late.next(); name != "missed" || data != `{"missed": 2}` {
		t.Errorf("a reader that was away long hears %s %s", name, data)
	}
	if id, _, _ := late.next(); id != "5" {
		t.Errorf("and goes on with %s", id)
	}
}

func TestEventsRefused(t *testing.T) {
	s := newServer(running())
	for query, want := range map[string]string{
		"?after=x":         `after: "x" is not the number of one event`,
		"?after=1&after=2": "is not the number of one event",
		"?since=1":         `unknown parameter "since"; allowed are after`,
	} {
		if got := decode[problem](t, s.get("/v1/events"+query), http.StatusBadRequest).Error; !strings.Contains(got, want) {
			t.Errorf("%s: %q lacks %q", query, got, want)
		}
	}
}

// TestEventsBounded leaves connections for others, and gives places back.
func TestEventsBounded(t *testing.T) {
	s := running()
	publish(s.node.Events(), 1)
	address, _ := start(t, newServer(s))
	var readers []*listener
	for range maxStreams {
		l := listen(t, address, "", "")
		l.next()
		readers = append(readers, l)
	}
	get := func() int {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/v1/events", nil)
		w, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		w.Body.Close()
		return w.StatusCode
	}
	if code := get(); code != http.StatusServiceUnavailable {
		t.Errorf("one reader more: %d", code)
	}
	readers[0].body.Close()
	for deadline := time.Now().Add(10 * time.Second); get() != http.StatusOK; {
		if time.Now().After(deadline) {
			t.Fatal("the place of a reader that left isn't free")
		}
	}
}

// TestEventsEndWithTheServer has a reader that stays not hold up the end.
func TestEventsEndWithTheServer(t *testing.T) {
	s := running()
	publish(s.node.Events(), 1)
	address, stop := start(t, newServer(s))
	l := listen(t, address, "", "")
	l.next()
	began := time.Now()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(began); d >= grace {
		t.Errorf("the server took %v to end", d)
	}
	for l.Scan() {
	}
}

// TestHeartbeat has a stream without events say that it is there.
func TestHeartbeat(t *testing.T) {
	inBubble(t, newServer(running()), func(ln *pipeListener, stop func() error) {
		conn := ln.dial()
		defer conn.Close()
		fmt.Fprintf(conn, "GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
		r := bufio.NewReader(conn)
		w, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		began, beats := time.Now(), 0
		for lines := bufio.NewScanner(w.Body); beats < 5 && lines.Scan(); {
			if strings.HasPrefix(lines.Text(), ": ") {
				beats++
			}
		}
		if d := time.Since(began); beats != 5 || d != 5*heartbeat {
			t.Errorf("%d heartbeats in %v", beats, d)
		}
	})
}
