package freeport

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
)

func TestReserve(t *testing.T) {
	had := map[uint16]bool{}
	for range 100 {
		p, err := Reserve()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		if had[p.Number] {
			t.Fatal("port", p.Number, "twice")
		}
		if had[p.Number] = true; p.Number < first || p.Number > last {
			t.Fatal("port", p.Number)
		}
	}
}

// A port that was given back is to be had again.
func TestClose(t *testing.T) {
	p, err := Reserve()
	if err != nil {
		t.Fatal(err)
	}
	at := netip.AddrPortFrom(guard, p.Number).String()
	if _, err := net.Listen("tcp4", at); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("%v, expected the port to be in use", err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp4", at)
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
}
