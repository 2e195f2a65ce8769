package main

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"

	"kigo/node/verify"
)

// An input is what a command judges.
type input struct {
	io.Reader
	file *os.File // the same, if it is a regular file
	size int64    // bytes that are left of a regular file, else -1
}

// Close closes what was opened.  A read that still waits for a pipe's writer is
// left behind; it ends with the program.
func (in *input) Close() error {
	if c, ok := in.Reader.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// openInput opens a file, or standard input for "-".  Pipes and the like may be
// opened and read for ever: then the end of the command's context ends it.
func openInput(cmd *cobra.Command, name string) (*input, error) {
	ctx := cmd.Context()
	if name == "-" {
		in := cmd.InOrStdin()
		if f, ok := in.(*os.File); ok {
			return newInput(ctx, f)
		}
		return &input{Reader: in, size: -1}, nil
	}
	type opened struct {
		f   *os.File
		err error
	}
	done := make(chan opened, 1)
	go func() { // opening a FIFO waits for its writer
		f, err := os.Open(name)
		done <- opened{f, err}
	}()
	select {
	case o := <-done:
		if o.err != nil {
			return nil, usagef("%v", o.err)
		}
		return newInput(ctx, o.f)
	case <-ctx.Done():
		return nil, verify.Interrupted(ctx)
	}
}

func newInput(ctx context.Context, f *os.File) (*input, error) {
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, usagef("%s is a directory, want a file of trailers", f.Name())
	case info.Mode().IsRegular():
		at, err := f.Seek(0, io.SeekCurrent) // standard input may have been read from
		return &input{Reader: f, file: f, size: info.Size() - at}, err
	}
	r, w := io.Pipe()
	go func() {
		_, err := io.Copy(w, f)
		w.CloseWithError(err)
	}()
	context.AfterFunc(ctx, func() { r.CloseWithError(context.Cause(ctx)) })
	return &input{Reader: r, size: -1}, nil
}
