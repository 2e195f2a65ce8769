package peer_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"kigo/node/mcm"
	"kigo/node/peer"
	"kigo/node/wire"
	"kigo/testdata"
)

// askFor shakes hands and sends a request.
func askFor(conn net.Conn, op wire.Op, arg uint64) error {
	send := func(p wire.Packet) error {
		b, err := p.AppendTo(nil)
		if err == nil {
			_, err = conn.Write(b)
		}
		return err
	}
	if err := send(wire.Packet{Op: wire.OpHello, ID1: 1}); err != nil {
		return err
	}
	ack, _, err := wire.Read(conn, nil, nil)
	if err != nil {
		return err
	}
	return send(wire.Packet{Op: op, ID1: 1, ID2: ack.ID2, Arg: arg})
}

// answerTo is what a request gets first, such as "SEND_FILE", or "closed".
func answerTo(conn net.Conn, op wire.Op, arg uint64) (string, error) {
	if err := askFor(conn, op, arg); err != nil {
		return "", err
	}
	p, _, err := wire.Read(conn, nil, nil)
	if errors.Is(err, io.EOF) {
		return "closed", nil
	}
	return p.Op.String(), err
}

// Forty callers ask for the whole trailer file and don't read on, as recorded:
// 33 are served.  The others get BUSY, where the reference closes (network.md
// section 5).  Meanwhile a request without a file is answered; when the callers
// have been given up, one with a file as well.
func TestReplayCrowding(t *testing.T) {
	var v struct {
		Clients []struct {
			N      int
			Result string
		}
	}
	if err := testdata.Load("network/crowding.json", &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Clients) != 40 {
		t.Fatalf("%d callers, want 40", len(v.Clients))
	}
	synctest.Test(t, func(t *testing.T) {
		n := &node{tfile: make([]byte, 10<<20), end: 1, hashes: map[uint64]mcm.Hash{0: {1}}}
		n.trailers = map[uint32]mcm.Trailer{0: {}}
		ln, stop := serving(t, n, peer.ServerOptions{Workers: 33, PerGroup: 33})
		defer stop()
		from := netip.MustParseAddr("127.0.0.50")
		expect := func(who string, conn net.Conn, op wire.Op, want string) {
			if got, err := answerTo(conn, op, wire.TFArg(0, 1)); err != nil || got != want {
				t.Errorf("%s: %s %v, want %s", who, got, err, want)
			}
		}
		for _, c := range v.Clients {
			conn := ln.dial(from)
			defer conn.Close()
			expect(fmt.Sprintf("caller %d", c.N), conn, wire.OpGetTFile, map[string]string{"served": "SEND_FILE", "closed": "BUSY"}[c.Result])
		}
		expect("TF meanwhile", ln.dial(from), wire.OpTF, "BUSY")
		n.hashes[wire.TFArg(0, 1)] = mcm.Hash{1}
		expect("HASH meanwhile", ln.dial(from), wire.OpHash, "HASH")
		time.Sleep(7 * time.Second)
		expect("TF after 7 s", ln.dial(from), wire.OpTF, "SEND_FILE")
	})
}

// A caller behind five silent ones waited 5.6 s for the recorded node.
func TestNobodyWaitsBehindSilentOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln, stop := serving(t, &node{}, peer.ServerOptions{})
		defer stop()
		for range 5 {
			defer ln.dial(netip.MustParseAddr("127.0.0.60")).Close()
		}
		begin := time.Now()
		if got, err := answerTo(ln.dial(netip.MustParseAddr("127.0.0.50")), wire.OpGetIPL, 0); err != nil || got != "SEND_IPL" {
			t.Errorf("%s, %v", got, err)
		}
		if took := time.Since(begin); took > 0 {
			t.Errorf("waited %s", took)
		}
	})
}

// A group that was sent enough files for an hour gets BUSY, and others don't.
func TestUploadBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln, stop := serving(t, &node{}, peer.ServerOptions{UploadPerGroup: 200})
		defer stop()
		ask := func(from, when string) string {
			conn := ln.dial(netip.MustParseAddr(from))
			defer conn.Close()
			got, err := answerTo(conn, wire.OpTF, wire.TFArg(0, 1))
			if err != nil {
				t.Fatal(when, err)
			}
			synctest.Wait()
			return got
		}
		if got := ask("10.1.0.1", "first"); got != "SEND_FILE" {
			t.Errorf("first: %s", got)
		}
		if got := ask("10.1.7.7", "second"); got != "BUSY" {
			t.Errorf("another one of the group: %s", got)
		}
		if got := ask("10.2.0.1", "other"); got != "SEND_FILE" {
			t.Errorf("another group: %s", got)
		}
		time.Sleep(time.Hour)
		if got := ask("10.1.0.1", "later"); got != "SEND_FILE" {
			t.Errorf("an hour later: %s", got)
		}
	})
}
