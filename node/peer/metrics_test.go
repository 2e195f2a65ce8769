package peer_test

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"kigo/node/mcm"
	"kigo/node/peer"
	"kigo/node/wire"
)

// sample returns the value of a series, -1 if there is none.
func sample(t *testing.T, reg *prometheus.Registry, name string, labels ...string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
	series:
		for _, m := range f.GetMetric() {
			for i, l := range m.GetLabel() {
				if l.GetName() != labels[2*i] || l.GetValue() != labels[2*i+1] {
					continue series
				}
			}
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return -1
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		m := peer.NewMetrics(reg)
		h := &shelf{
			trailers: chain(0, 54),
			tfile:    func() (io.ReadCloser, error) { return endless{}, nil },
			hashes:   map[mcm.BlockNum]mcm.Hash{7: {8}},
		}
		ln, stop := serving(t, h, peer.ServerOptions{Metrics: m, PerGroup: 1, Open: 8, OpenPerGroup: 2})
		client := peer.NewClient(peer.Options{Dial: ln.dialer(caller(1, 1)), Metrics: m})
		do := func(ask ask) {
			t.Helper()
			call, err := client.Call(t.Context(), target)
			if err != nil {
				t.Fatal(err)
			}
			_ = ask(t.Context(), call) // counted below
			synctest.Wait()
		}
		do(askHash)
		do(askTrailers(0, 54))
		do(askTrailers(0, 60))
		do(askBalance)
		do(askTFile(1000))
		do(func(ctx context.Context, c *peer.Call) error {
			conn := ln.dial(caller(1, 2))
			defer conn.Close()
			asks(t, conn, wire.OpGetTFile)
			third := ln.dial(caller(1, 3)) // one more than the group may have open
			defer third.Close()
			if v := sample(t, reg, "kigo_server_active"); v != 2 {
				t.Errorf("%v connections are open, want 2", v)
			}
			return askTFile(1000)(ctx, c) // one more than the group has workers
		})
		do(func(_ context.Context, c *peer.Call) error {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			return askHash(ctx, c)
		})
		for _, b := range [][]byte{badCRC(hello()), hello()[:5], packet(wire.OpTF, 0, 0, 0, nil)} {
			conn := ln.dial(caller(1, 1))
			conn.Write(b)
			conn.Close()
			synctest.Wait()
		}
		conn := ln.dial(caller(1, 1))
		time.Sleep(3 * time.Second)
		conn.Close()
		conn = ln.dial(caller(1, 1))
		id1, id2, _ := shake(conn, hello())
		conn.Write(packet(999, id1, id2, 0, nil))
		synctest.Wait()
		silent := peer.NewClient(peer.Options{Dial: dialer(silence), Metrics: m})
		silent.Call(t.Context(), target)
		if v := sample(t, reg, "kigo_server_active"); v != 0 {
			t.Errorf("%v connections are open, want none", v)
		}
		open := ln.dial(caller(1, 1))
		synctest.Wait()
		stop()
		open.Close()

		problems, err := testutil.GatherAndLint(reg)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
		for _, c := range []struct {
			name   string
			labels []string
			want   float64
		}{
			{"kigo_peer_calls_total", []string{"op", "HASH", "outcome", "ok"}, 1},
			{"kigo_peer_calls_total", []string{"op", "HASH", "outcome", "cancelled"}, 1},
			{"kigo_peer_calls_total", []string{"op", "TF", "outcome", "ok"}, 1},
			{"kigo_peer_calls_total", []string{"op", "TF", "outcome", "short_reply"}, 1},
			{"kigo_peer_calls_total", []string{"op", "BALANCE", "outcome", "refused"}, 1},
			{"kigo_peer_calls_total", []string{"op", "GET_TFILE", "outcome", "limit"}, 1},
			{"kigo_peer_calls_total", []string{"op", "GET_TFILE", "outcome", "refused"}, 1},
			{"kigo_peer_calls_total", []string{"op", "HELLO", "outcome", "timeout"}, 1},
			{"kigo_peer_faults_total", []string{"kind", "refused"}, 2},
			{"kigo_peer_faults_total", []string{"kind", "short_reply"}, 1},
			{"kigo_peer_faults_total", []string{"kind", "timeout"}, 1},
			{"kigo_peer_faults_total", []string{"kind", "bad_crc"}, 1},
			{"kigo_server_requests_total", []string{"op", "HASH"}, 1},
			{"kigo_server_requests_total", []string{"op", "GET_TFILE"}, 3},
			{"kigo_server_requests_total", []string{"op", "other"}, 1},
			{"kigo_server_connections_total", []string{"outcome", "answered"}, 3},
			{"kigo_server_connections_total", []string{"outcome", "unanswered"}, 2},
			{"kigo_server_connections_total", []string{"outcome", "busy"}, 1},
			{"kigo_server_connections_total", []string{"outcome", "crowded"}, 1},
			{"kigo_server_connections_total", []string{"outcome", "fault"}, 2},
			{"kigo_server_connections_total", []string{"outcome", "timeout"}, 1},
			// The two files that weren't read on, the call that was cancelled, and
			// half a HELLO.
			{"kigo_server_connections_total", []string{"outcome", "gone"}, 4},
			{"kigo_server_connections_total", []string{"outcome", "failed"}, 1},
		} {
			if got := sample(t, reg, c.name, c.labels...); got != c.want {
				t.Errorf("%s%v is %v, want %v", c.name, c.labels, got, c.want)
			}
		}
	})
}

// TestBytes: every byte is counted once at each end.
func TestBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		ln, stop := serving(t, &shelf{trailers: chain(0, 54)}, peer.ServerOptions{Metrics: peer.NewMetrics(reg)})
		calls := prometheus.NewRegistry()
		client := peer.NewClient(peer.Options{Dial: ln.dialer(caller(1, 1)), Metrics: peer.NewMetrics(calls)})
		call, err := client.Call(t.Context(), target)
		if err == nil {
			err = askTrailers(0, 54)(t.Context(), call)
		}
		if err != nil {
			t.Fatal(err)
		}
		// A call that isn't used counts too, once.
		unused, err := client.Call(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		unused.Close()
		unused.Close()
		stop()
		const in, out = 3*128 + 8640, 3 * 128
		for _, c := range []struct {
			reg  *prometheus.Registry
			dir  string
			want float64
		}{{calls, "in", in}, {calls, "out", out}, {reg, "in", out}, {reg, "out", in}} {
			if got := sample(t, c.reg, "kigo_peer_bytes_total", "direction", c.dir); got != c.want {
				t.Errorf("%v bytes %s, want %v", got, c.dir, c.want)
			}
		}
	})
}
