// Command kigo judges Mochimo trailers and the peers that serve them: whether
// they keep the rules of the chain and carry every proof of work they claim.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Exit codes; docs/commands.md lists them for users.
const (
	exitOK          = 0
	exitFailed      = 1 // our own failure
	exitUsage       = 2 // wrong words or config
	exitInvalid     = 3 // found invalid
	exitNobody      = 4 // no peers, or no proven quorum
	exitInterrupted = 130
)

// An exitError ends the program with a code.  An empty message means that what
// there is to say has been said.
type exitError struct {
	code int
	msg  string
}

func (e *exitError) Error() string { return e.msg }

// usagef returns an error for words or settings that can't be used.
func usagef(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Sprintf(format, args...)}
}

// errInterrupted is what is said when a signal has ended a command.
var errInterrupted = errors.New("interrupted")

// These end a command that has reported what it found.
var (
	errInvalid = &exitError{exitInvalid, ""}
	errNobody  = &exitError{exitNobody, ""}
)

// grace is how long a command has to end after a signal.  What keeps it longer is
// a call into the system that nothing can end, such as opening a FIFO.
const grace = 2 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, func() {
		stop() // a second signal ends the program at once
		time.AfterFunc(grace, func() {
			fmt.Fprintf(os.Stderr, "kigo: %v\n", errInterrupted)
			os.Exit(exitInterrupted)
		})
	})
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	os.Exit(code)
}

// run is the whole program with its surroundings as arguments.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot(stdin, stdout, stderr)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	code := exitFailed
	var exit *exitError
	switch {
	case errors.As(err, &exit):
		code = exit.code
	case ctx.Err() != nil:
		code, err = exitInterrupted, errInterrupted
	}
	if msg := err.Error(); msg != "" {
		fmt.Fprintf(stderr, "kigo: %s\n", msg)
	}
	return code
}
