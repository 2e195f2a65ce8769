package api

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"kigo/node/status"
)

const (
	// maxStreams is how many readers of events there may be, so that connections
	// are left for everything else.
	maxStreams = 16
	// heartbeat is the pause after which a stream says that it is still there, such
	// that proxies don't close it and a reader that has gone is noticed.
	heartbeat = 15 * time.Second
	// eventTimeout is the time that a reader has to take what is sent.
	eventTimeout = 10 * time.Second
)

// events answers /v1/events with what has happened behind the event that the reader
// names, and then with what happens, until either end leaves.
func (h *handler) events(w http.ResponseWriter, r *http.Request) {
	seq, err := resumeFrom(r)
	if err != nil {
		code, body := refuse(http.StatusBadRequest, err.Error())
		h.write(w, code, body)
		return
	}
	select {
	case h.streams <- struct{}{}:
		defer func() { <-h.streams }()
	default:
		w.Header().Set("Retry-After", "10")
		code, body := refuse(http.StatusServiceUnavailable, fmt.Sprintf("%d readers of events are there already", maxStreams))
		h.write(w, code, body)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	s := stream{w, http.NewResponseController(w)}
	if s.send("retry: 2000\n\n") != nil {
		return
	}
	stopping := stoppingOf(r.Context())
	feed := h.Node.Events()
	quiet := time.NewTimer(heartbeat)
	defer quiet.Stop()
	for {
		events, missed, more := feed.After(seq)
		if missed > 0 && s.send(fmt.Sprintf("event: missed\ndata: {\"missed\": %d}\n\n", missed)) != nil {
			return
		}
		for i := range events {
			text, err := frame(&events[i])
			if err != nil {
				h.Log.Error("event can't be written as JSON", "event", events[i].Seq, "err", err)
				return
			}
			if s.send(text) != nil {
				return
			}
			seq = events[i].Seq
		}
		quiet.Reset(heartbeat)
		select {
		case <-more:
		case <-quiet.C:
			if s.send(": still here\n\n") != nil {
				return
			}
		case <-stopping:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// resumeFrom returns the number of the last event that a reader has seen.
func resumeFrom(r *http.Request) (uint64, error) {
	values, err := parameters(r.URL.RawQuery, "after")
	if err != nil {
		return 0, err
	}
	name, given := "after", values["after"]
	// What a browser sends when it connects again is the newer of the two.
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		name, given = "Last-Event-ID", []string{last}
	}
	if len(given) == 0 {
		return 0, nil
	}
	seq, err := strconv.ParseUint(given[0], 10, 64)
	if err != nil || len(given) > 1 {
		return 0, fmt.Errorf("%s: %.100q is not the number of one event", name, strings.Join(given, ","))
	}
	return seq, nil
}

// frame writes an event as the standard of server-sent events has it.
func frame(e *status.Event) (string, error) {
	data, err := json.Marshal(e)
	return fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", e.Seq, e.Kind, data), err
}

// A stream is an answer that goes on.
type stream struct {
	http.ResponseWriter
	control *http.ResponseController
}

// send writes text to the reader, who has eventTimeout to take it.
func (s *stream) send(text string) error {
	// Without a connection below, as in tests, there is no deadline to be had.
	_ = s.control.SetWriteDeadline(time.Now().Add(eventTimeout))
	_, err := s.Write([]byte(text))
	return cmp.Or(err, s.control.Flush())
}
