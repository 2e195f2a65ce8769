package peer

import (
	"net/netip"
	"testing"
	"time"
)

// What is sent in an hour is bounded, for a group and for all.
func TestUploads(t *testing.T) {
	at := time.Unix(1e9, 0)
	a, b, c := netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("10.2.0.0/16"), netip.MustParsePrefix("10.3.0.0/16")
	u := uploads{most: 250, mostOfGroup: 100}
	if !u.may(a, at) {
		t.Fatal("nothing was sent yet")
	}
	u.sent(a, 99)
	if !u.may(a, at.Add(time.Minute)) {
		t.Error("99 of 100 bytes were sent")
	}
	u.sent(a, 1)
	if u.may(a, at.Add(59*time.Minute)) || !u.may(b, at.Add(59*time.Minute)) {
		t.Error("a group at its bound may be sent more, or another may not")
	}
	u.sent(b, 150)
	if u.may(c, at.Add(59*time.Minute)) {
		t.Error("all is spent, and a third group may be sent more")
	}
	if !u.may(a, at.Add(time.Hour)) || !u.may(c, at.Add(time.Hour)) {
		t.Error("the hour is over")
	}
	if len(u.groups) != 0 {
		t.Error("what was sent in the last hour is still counted")
	}
}
