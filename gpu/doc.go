// Package gpu is the place of the CUDA engine: a verify.Backend for each device,
// one locked goroutine a device, with the driver's binding in gpu/internal/driver
// and the device code in package kernels.
//
// This version has no CUDA engine.  The command line knows its name and says
// so; nothing imports this package yet.
package gpu
