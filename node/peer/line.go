package peer

import (
	"net"
	"time"
)

// A line is a connection on which every byte is counted and every wait has an
// end.  It is used in stages: each begins with begin, may add a limit for its
// first byte and a least rate, and renews the limit for a packet with each.
type line struct {
	conn    net.Conn
	in, out int64

	start  time.Time // of the stage
	moved  int64     // bytes that the stage has moved, in either direction
	end    time.Time // when the stage must be over
	packet time.Time // when the packet under way must be over; zero: no limit of its own

	first time.Duration // until the stage's first byte; 0: no limit of its own
	grace time.Duration // see Timeouts.MinRate
	rate  int64         // 0: no least rate
}

// begin starts a stage that must be over within d.
func (l *line) begin(d time.Duration) {
	now := time.Now()
	*l = line{conn: l.conn, in: l.in, out: l.out, start: now, end: now.Add(d)}
}

// nextPacket allows d for the packet that begins now.
func (l *line) nextPacket(d time.Duration) { l.packet = time.Now().Add(d) }

// pause takes a time out of the stage in which not the peer was waited for.
func (l *line) pause(d time.Duration) {
	l.start, l.end = l.start.Add(d), l.end.Add(d)
}

// due returns when the next byte must have been moved.
func (l *line) due() time.Time {
	due := l.end
	limit := func(t time.Time) {
		if t.Before(due) {
			due = t
		}
	}
	if !l.packet.IsZero() {
		limit(l.packet)
	}
	if l.first > 0 && l.moved == 0 {
		limit(l.start.Add(l.first))
	}
	if l.rate > 0 {
		limit(l.start.Add(l.grace + time.Duration(float64(l.moved)/float64(l.rate)*float64(time.Second))))
	}
	return due
}

// Read implements io.Reader.
func (l *line) Read(b []byte) (int, error) {
	if err := l.conn.SetReadDeadline(l.due()); err != nil {
		return 0, err
	}
	n, err := l.conn.Read(b)
	l.in += int64(n)
	l.moved += int64(n)
	return n, err
}

// Write implements io.Writer.
func (l *line) Write(b []byte) (int, error) {
	if err := l.conn.SetWriteDeadline(l.due()); err != nil {
		return 0, err
	}
	n, err := l.conn.Write(b)
	l.out += int64(n)
	l.moved += int64(n)
	return n, err
}
