package peer

import (
	"net/netip"
	"time"
)

// Defaults of what is sent in an hour: to a group, some trailer files of the main net
// and all of its ranges; in all, what a node can spare without being asked.
const (
	groupUpload = 1 << 30
	allUpload   = 16 << 30
)

// uploadTime is how long what was sent counts.
const uploadTime = time.Hour

// uploads counts the bytes of files sent within an hour, by group: one request of 256
// bytes has the whole trailer file sent (docs/spec/network.md section 12).  It is
// guarded by the server's lock.
type uploads struct {
	most, mostOfGroup int64
	began             time.Time // of the hour
	all               int64
	groups            map[netip.Prefix]int64
}

// may reports whether a file may be sent to the group.  One under way isn't broken
// off, so that the bounds may be passed by what the workers were at.
func (u *uploads) may(g netip.Prefix, now time.Time) bool {
	if now.Sub(u.began) >= uploadTime || u.groups == nil {
		u.began, u.all, u.groups = now, 0, map[netip.Prefix]int64{}
	}
	return u.all < u.most && u.groups[g] < u.mostOfGroup
}

// sent counts bytes sent to the group.
func (u *uploads) sent(g netip.Prefix, n int64) {
	if u.groups == nil {
		return
	}
	u.all += n
	u.groups[g] += n
}
