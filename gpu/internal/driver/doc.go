// Package driver is what the engine needs of the CUDA driver, with errors for the
// panics of the binding, github.com/mumax/3/cuda/cu, which nobody else imports.
// It is built with the tag cuda; shim/Makefile tells how to build without
// NVIDIA's header and library, in a way that starts where there is no driver.
//
// A context belongs to the thread that opened it, so all calls on it, and on what
// was made from it, come from one goroutine locked to its thread.  What a stream
// is told to do happens in the order told and later; Synchronize waits for it.
//
// After a device has failed, nothing works in its context any more but Close.
package driver
