// SPDX-License-Identifier: GPL-3.0-or-later

// The entry points of the CUDA driver that github.com/mumax/3/cuda/cu links, by
// the names under which libcuda.so.1 has them: ENTRY(name, parameters, arguments).
// A binding that wants one more doesn't link until it stands here.
//
// Names with _v2 have taken 64-bit sizes and pointers since CUDA 3.2; drivers
// still have the older functions under the bare names, for other arguments.

ENTRY(cuInit, (unsigned flags), (flags))
ENTRY(cuDriverGetVersion, (int *version), (version))

ENTRY(cuDeviceGet, (CUdevice *device, int ordinal), (device, ordinal))
ENTRY(cuDeviceGetCount, (int *count), (count))
ENTRY(cuDeviceGetName, (char *name, int len, CUdevice device), (name, len, device))
ENTRY(cuDeviceGetAttribute, (int *value, CUdevice_attribute attribute, CUdevice device), (value, attribute, device))
ENTRY(cuDeviceTotalMem_v2, (size_t *bytes, CUdevice device), (bytes, device))
ENTRY(cuDeviceCanAccessPeer, (int *can, CUdevice device, CUdevice peer), (can, device, peer))

ENTRY(cuCtxCreate_v2, (CUcontext *context, unsigned flags, CUdevice device), (context, flags, device))
ENTRY(cuCtxDestroy_v2, (CUcontext context), (context))
ENTRY(cuCtxGetApiVersion, (CUcontext context, unsigned *version), (context, version))
ENTRY(cuCtxGetCurrent, (CUcontext *context), (context))
ENTRY(cuCtxSetCurrent, (CUcontext context), (context))
ENTRY(cuCtxGetDevice, (CUdevice *device), (device))
ENTRY(cuCtxSynchronize, (void), ())
ENTRY(cuCtxEnablePeerAccess, (CUcontext peer, unsigned flags), (peer, flags))
ENTRY(cuCtxDisablePeerAccess, (CUcontext peer), (peer))

ENTRY(cuModuleLoad, (CUmodule *module, const char *file), (module, file))
ENTRY(cuModuleLoadData, (CUmodule *module, const void *image), (module, image))
ENTRY(cuModuleGetFunction, (CUfunction *function, CUmodule module, const char *name), (function, module, name))
ENTRY(cuFuncGetAttribute, (int *value, CUfunction_attribute attribute, CUfunction function), (value, attribute, function))
ENTRY(cuLaunchKernel,
	(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,
		unsigned block_z, unsigned shared, CUstream stream, void **params, void **extra),
	(function, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared, stream, params, extra))

ENTRY(cuStreamCreate, (CUstream *stream, unsigned flags), (stream, flags))
ENTRY(cuStreamDestroy_v2, (CUstream stream), (stream))
ENTRY(cuStreamQuery, (CUstream stream), (stream))
ENTRY(cuStreamSynchronize, (CUstream stream), (stream))

ENTRY(cuMemAlloc_v2, (CUdeviceptr *p, size_t bytes), (p, bytes))
ENTRY(cuMemFree_v2, (CUdeviceptr p), (p))
ENTRY(cuMemAllocHost_v2, (void **p, size_t bytes), (p, bytes))
ENTRY(cuMemFreeHost, (void *p), (p))
ENTRY(cuMemGetInfo_v2, (size_t *free_bytes, size_t *total), (free_bytes, total))
ENTRY(cuMemGetAddressRange_v2, (CUdeviceptr *base, size_t *bytes, CUdeviceptr p), (base, bytes, p))
ENTRY(cuPointerGetAttribute, (void *value, CUpointer_attribute attribute, CUdeviceptr p), (value, attribute, p))

ENTRY(cuMemcpy, (CUdeviceptr to, CUdeviceptr from, size_t bytes), (to, from, bytes))
ENTRY(cuMemcpyAsync, (CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream), (to, from, bytes, stream))
ENTRY(cuMemcpyDtoD_v2, (CUdeviceptr to, CUdeviceptr from, size_t bytes), (to, from, bytes))
ENTRY(cuMemcpyDtoDAsync_v2, (CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream), (to, from, bytes, stream))
ENTRY(cuMemcpyDtoH_v2, (void *to, CUdeviceptr from, size_t bytes), (to, from, bytes))
ENTRY(cuMemcpyDtoHAsync_v2, (void *to, CUdeviceptr from, size_t bytes, CUstream stream), (to, from, bytes, stream))
ENTRY(cuMemcpyHtoD_v2, (CUdeviceptr to, const void *from, size_t bytes), (to, from, bytes))
ENTRY(cuMemcpyHtoDAsync_v2, (CUdeviceptr to, const void *from, size_t bytes, CUstream stream), (to, from, bytes, stream))
ENTRY(cuMemcpyPeer, (CUdeviceptr to, CUcontext to_context, CUdeviceptr from, CUcontext from_context, size_t bytes),
	(to, to_context, from, from_context, bytes))
ENTRY(cuMemcpyPeerAsync,
	(CUdeviceptr to, CUcontext to_context, CUdeviceptr from, CUcontext from_context, size_t bytes, CUstream stream),
	(to, to_context, from, from_context, bytes, stream))

ENTRY(cuMemsetD8_v2, (CUdeviceptr p, unsigned char value, size_t n), (p, value, n))
ENTRY(cuMemsetD8Async, (CUdeviceptr p, unsigned char value, size_t n, CUstream stream), (p, value, n, stream))
ENTRY(cuMemsetD32_v2, (CUdeviceptr p, unsigned value, size_t n), (p, value, n))
ENTRY(cuMemsetD32Async, (CUdeviceptr p, unsigned value, size_t n, CUstream stream), (p, value, n, stream))
