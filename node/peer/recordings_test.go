package peer_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"net/netip"
	"path"
	"strings"
	"testing"
	"time"

	"kigo/node/mcm"
	"kigo/node/wire"
	"kigo/testdata"
)

// A session is one recorded connection with a reference node at either end.
type session struct {
	name   string // file/name, with #n for the n-th call back
	node   string // sessions with the same answering node have the same
	caller netip.Addr
	events []event
}

// An event is what one end sent, or the end of the connection.
type event struct {
	at     time.Duration // since the first
	caller bool          // sent by the caller
	raw    []byte        // what was sent; nil: the answering end closed
	packet bool          // raw begins with a whole packet
	exact  bool          // every byte of raw was recorded
}

// recording is a file of sessions, in any of the forms that README.md of the
// vectors describes.
type recording struct {
	Sessions []struct {
		recorded
		Calls []recorded `json:"connections_made_by_node_to_the_announcer"`
	}
	After []recorded `json:"connections_the_node_made_to_its_peer_afterwards"`
	Peers []struct {
		Peer        string
		Connections []recorded
	}
	Bootstrap []recorded `json:"events_in_order_of_connection"`
}

type recorded struct {
	Name      string
	Client    string `json:"client_ip"`
	Conn      int
	Initiator string
	Responder string
	Omitted   string // what stands for connections that weren't kept
	Events    []recordedEvent
}

type recordedEvent struct {
	T         float64
	Dir, From string
	Event     string
	Hex       testdata.Hex
	First     testdata.Hex `json:"hex_first_256"`
	Last      testdata.Hex `json:"hex_last_64"`
	SHA256    testdata.Hex
	Fields    *struct {
		Len   int
		CRCOK bool `json:"crc_ok"`
	}
	Packets int                    // of a transfer of which some packets were kept
	Summary *struct{ Packets int } `json:"file_summary"`
}

var recordingFiles = []string{
	"sessions-requests", "sessions-malformed", "sessions-push", "sessions-found", "sessions-transactions",
	"sessions-slow-fetch", "scan-answers", "bootstrap",
}

// sessions returns every recorded connection.
func sessions(t testing.TB) []session {
	t.Helper()
	var all []session
	add := func(name, node string, r *recorded) {
		if r.Omitted == "" {
			all = append(all, newSession(t, name, node, r))
		}
	}
	for _, file := range recordingFiles {
		var r recording
		if err := testdata.Load("network/"+file+".json", &r); err != nil {
			t.Fatal(err)
		}
		short := strings.TrimPrefix(file, "sessions-")
		for i := range r.Sessions {
			s := &r.Sessions[i]
			name := short + "/" + s.Name
			add(name, short, &s.recorded)
			for k := range s.Calls {
				add(fmt.Sprintf("%s#%d", name, s.Calls[k].Conn), name, &s.Calls[k])
			}
		}
		for i := range r.After {
			add(fmt.Sprintf("%s/afterwards#%d", short, r.After[i].Conn), short+"/afterwards", &r.After[i])
		}
		for _, p := range r.Peers {
			for i := range p.Connections {
				add(short+"/"+p.Peer, short+"/"+p.Peer, &p.Connections[i])
			}
		}
		for i := range r.Bootstrap {
			c := &r.Bootstrap[i]
			add(fmt.Sprintf("%s#%d", short, c.Conn), short+"/"+c.Responder, c)
		}
	}
	if len(all) != 192 {
		t.Errorf("%d recorded connections, want 192", len(all))
	}
	return all
}

func newSession(t testing.TB, name, node string, r *recorded) session {
	s := session{name: name, node: node, caller: netip.MustParseAddr("127.0.0.50")}
	switch {
	case r.Client != "":
		s.caller = netip.MustParseAddr(r.Client)
	case r.Initiator == "A":
		s.caller = netip.MustParseAddr("127.0.0.3")
	case r.Initiator == "B":
		s.caller = netip.MustParseAddr("127.0.0.4")
	}
	for i := range r.Events {
		e := &r.Events[i]
		at := time.Duration(math.Round((e.T - r.Events[0].T) * float64(time.Second)))
		switch {
		case e.Hex != nil || e.First != nil:
			raw, exact := e.bytes(t, name)
			s.events = append(s.events, event{
				at:     at,
				caller: e.Dir == "client->server" || e.Dir == "node->peer" || e.From != "" && e.From == r.Initiator,
				raw:    raw, exact: exact, packet: e.Fields != nil,
			})
		case e.Packets > 0 || e.Summary != nil:
			s.expand(t, e)
		case strings.HasPrefix(e.Event, "server closed"), strings.HasPrefix(e.Event, "connection reset"),
			r.Responder != "" && e.Event == r.Responder+" closed":
			s.events = append(s.events, event{at: at})
		case r.Initiator != "" && e.Event == r.Initiator+" closed",
			e.Event == "node closed", // the caller
			strings.HasPrefix(e.Event, "send failed"),
			strings.HasPrefix(e.Event, "client gave up"),
			strings.HasPrefix(e.Event, "responder refused"),
			strings.HasPrefix(e.Event, "five silent"):
		default:
			t.Fatalf("%s: event %d isn't understood: %+v", name, i, e)
		}
	}
	s.number()
	return s
}

// bytes returns what was sent.  Of long packets only the ends and a digest were
// recorded: the middle is found by the digest if it follows a pattern, and is
// zero otherwise.
func (e *recordedEvent) bytes(t testing.TB, name string) (raw []byte, exact bool) {
	if e.Hex != nil {
		return e.Hex, true
	}
	patterns := []func(i int) byte{
		func(i int) byte { return byte(7*i + 3) },
		func(i int) byte { return byte(7*(i+wire.FileChunk) + 3) }, // a second packet
		func(int) byte { return e.First[wire.HeaderLen] },
		func(int) byte { return 0 },
	}
	raw = make([]byte, wire.Overhead+e.Fields.Len)
	for _, pattern := range patterns {
		for i := range e.Fields.Len {
			raw[wire.HeaderLen+i] = pattern(i)
		}
		copy(raw, e.First)
		copy(raw[len(raw)-len(e.Last):], e.Last)
		if sum := sha256.Sum256(raw); bytes.Equal(sum[:], e.SHA256) {
			return raw, true
		}
	}
	if !e.Fields.CRCOK {
		t.Fatalf("%s: a packet with a wrong CRC of which not all is known", name)
	}
	recrc(raw)
	return raw, false
}

// expand puts in the packets of a transfer that weren't kept, all full, between
// those that were.
func (s *session) expand(t testing.TB, e *recordedEvent) {
	want := e.Packets
	if e.Summary != nil {
		want = e.Summary.Packets
	}
	last, kept := -1, 0
	for i := range s.events {
		if ev := &s.events[i]; !ev.caller && ev.raw != nil && opOf(ev.raw) == wire.OpSendFile {
			last, kept = i, kept+1
		}
	}
	if kept == want {
		return
	}
	if kept != 3 {
		t.Fatalf("%s: %d of %d packets kept", s.name, kept, want)
	}
	events := append([]event(nil), s.events[:last]...)
	for range want - kept {
		events = append(events, s.events[last-1])
	}
	s.events = append(events, s.events[last:]...)
}

// number gives the trailers of a reply that wasn't recorded whole the numbers
// they must have had.
func (s *session) number() {
	req, ok := s.request()
	if !ok || req.Op != wire.OpTF {
		return
	}
	first, _ := wire.SplitTFArg(req.Arg)
	data := s.answer()
	for i, tr := range mcm.Trailers(data[:len(data)/mcm.TrailerLen*mcm.TrailerLen]) {
		tr.SetNum(mcm.BlockNum(first) + mcm.BlockNum(i))
		copy(data[i*mcm.TrailerLen:], tr[:])
	}
	for i := range s.events {
		if e := &s.events[i]; !e.caller && e.raw != nil && opOf(e.raw) == wire.OpSendFile {
			n := copy(e.raw[wire.HeaderLen:len(e.raw)-4], data)
			data = data[n:]
			if !e.exact { // the others had them
				recrc(e.raw)
			}
		}
	}
}

// request returns the caller's second packet.
func (s *session) request() (wire.Packet, bool) {
	n := 0
	for _, e := range s.events {
		if e.caller {
			if n++; n == 2 && e.packet {
				return header(e.raw), true
			}
		}
	}
	return wire.Packet{}, false
}

// answers returns the packets of the answering end after the HELLO_ACK.
func (s *session) answers() (ps []wire.Packet) {
	for i, e := range s.events {
		if !e.caller && e.raw != nil && i > 1 {
			ps = append(ps, header(e.raw))
		}
	}
	return ps
}

// answer returns the data of all answers.
func (s *session) answer() (data []byte) {
	for _, p := range s.answers() {
		data = append(data, p.Data...)
	}
	return data
}

// ack returns the HELLO_ACK.
func (s *session) ack() (wire.Packet, bool) {
	for _, e := range s.events {
		if !e.caller && e.raw != nil {
			return header(e.raw), true
		}
	}
	return wire.Packet{}, false
}

// header reads the packet that b begins with, right or wrong, as far as it goes.
func header(b []byte) wire.Packet {
	p, _, _ := wire.Read(bytes.NewReader(b[:min(len(b), wire.HeaderLen)]), nil, nil)
	if len(b) > wire.HeaderLen {
		p.Data = b[wire.HeaderLen:min(len(b), wire.HeaderLen+int(binary.LittleEndian.Uint16(b[122:])))]
	}
	return p
}

func opOf(raw []byte) wire.Op { return wire.Op(binary.LittleEndian.Uint16(raw[8:])) }

// readdress returns a copy of what was recorded, with ids changed by XOR, so that
// wrong ones stay wrong, and the CRC as right or as wrong as it was.  raw may be
// several packets, or a packet and something else.
func readdress(raw []byte, id1, id2 uint16) []byte {
	b := bytes.Clone(raw)
	for rest := b; len(rest) >= wire.Overhead; {
		end := wire.HeaderLen + int(binary.LittleEndian.Uint16(rest[122:]))
		if len(rest) < end+4 {
			break
		}
		wrong := binary.LittleEndian.Uint16(rest[end:]) ^ wire.CRC16(rest[:end])
		for at, x := range map[int]uint16{4: id1, 6: id2} {
			binary.LittleEndian.PutUint16(rest[at:], binary.LittleEndian.Uint16(rest[at:])^x)
		}
		binary.LittleEndian.PutUint16(rest[end:], wire.CRC16(rest[:end])^wrong)
		rest = rest[end+4:]
	}
	return b
}

// A table says something about sessions by their name, or a pattern of names.
type table[V any] map[string]V

// find returns what the table says about a session, and notes that it was asked.
func (m table[V]) find(used map[string]bool, name string) (V, bool) {
	for pattern, v := range m {
		if hit, _ := path.Match(pattern, name); hit {
			used[pattern] = true
			return v, true
		}
	}
	var none V
	return none, false
}

// unused fails the test for entries that no session has.
func (m table[V]) unused(t *testing.T, used map[string]bool) {
	t.Helper()
	for pattern := range m {
		if !used[pattern] {
			t.Errorf("the table has %q, which no session is called", pattern)
		}
	}
}

func TestRecordingsAreUnderstood(t *testing.T) {
	names := map[string]bool{}
	inexact := 0
	for _, s := range sessions(t) {
		if names[s.name] {
			t.Errorf("two sessions are called %s", s.name)
		}
		names[s.name] = true
		for i, e := range s.events {
			if e.raw == nil || !e.packet || e.caller {
				continue
			}
			if _, err := wire.Decode(e.raw); err != nil {
				t.Errorf("%s, event %d: %v: %s…", s.name, i, err, hex.EncodeToString(e.raw[:min(len(e.raw), 40)]))
			}
			if !e.exact {
				inexact++
				if strings.HasPrefix(s.name, "requests/get_block_size_") {
					t.Errorf("%s, event %d: the bytes aren't those that were recorded", s.name, i)
				}
			}
		}
	}
	t.Logf("%d sessions; %d packets of which the middle wasn't recorded", len(names), inexact)
}

// digest is the SHA-256 of a stream and its length.
func digest(r io.Reader) string {
	h := sha256.New()
	n, err := io.Copy(h, r)
	return fmt.Sprintf("%d bytes %x %v", n, h.Sum(nil), err)
}
