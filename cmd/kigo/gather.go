package main

import (
	"errors"
	"io"

	"kigo/node/mcm"
)

// A gatherer reads ahead, so that a batch is whatever has come while the one
// before was checked: large from a file, what there is from a slow pipe.
type gatherer struct {
	pieces chan piece
	stop   chan struct{}
	have   []byte // read and not handed out; begins with a whole trailer
	err    error  // why there is no more
}

type piece struct {
	data []byte
	err  error
}

// pieceLen is how much is read at a time; gatherAhead pieces may wait.
const (
	pieceLen    = 64 << 10
	gatherAhead = 32
)

// gather begins to read r.  The caller stops it when it is done.
func gather(r io.Reader) *gatherer {
	g := &gatherer{pieces: make(chan piece, gatherAhead), stop: make(chan struct{})}
	go func() {
		for {
			p := piece{data: make([]byte, pieceLen)}
			n, err := r.Read(p.data)
			p.data, p.err = p.data[:n], err
			select {
			case g.pieces <- p:
			case <-g.stop:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return g
}

// next fills batch with what has come, at least one trailer, and returns how many
// there are.  At the end it returns 0 and how many bytes of a broken trailer are
// left.  The error is that of reading.
func (g *gatherer) next(batch []mcm.Trailer) (n, rest int, err error) {
	for g.err == nil && len(g.have) < len(batch)*mcm.TrailerLen {
		if len(g.have) < mcm.TrailerLen {
			g.take(<-g.pieces)
			continue
		}
		select {
		case p := <-g.pieces:
			g.take(p)
			continue
		default:
		}
		break
	}
	n = copy(mcm.Bytes(batch), g.have[:len(g.have)-len(g.have)%mcm.TrailerLen]) / mcm.TrailerLen
	g.have = append(g.have[:0], g.have[n*mcm.TrailerLen:]...)
	if n == 0 && !errors.Is(g.err, io.EOF) {
		return 0, 0, g.err
	}
	return n, len(g.have), nil
}

func (g *gatherer) take(p piece) {
	g.have = append(g.have, p.data...)
	g.err = p.err
}
