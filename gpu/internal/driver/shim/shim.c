// SPDX-License-Identifier: GPL-3.0-or-later

// The CUDA driver's entry points for a program that must start where there is no
// driver.  Each one looks for its namesake in libcuda.so.1 when it is first
// called.  Without the library it returns CUDA_ERROR_NO_DEVICE, without the
// function CUDA_ERROR_NOT_FOUND.

#include "cuda.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>

static void *library;

static void open_library(void) { library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL); }

static CUresult find(const char *name, void **function)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, open_library);
	if (!library)
		return CUDA_ERROR_NO_DEVICE;
	*function = dlsym(library, name);
	return *function ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

#define ENTRY(name, params, args)                                       \
	CUresult name params                                            \
	{                                                               \
		static void *_Atomic found;                             \
		void *target = atomic_load(&found);                     \
		if (!target) {                                          \
			CUresult result = find(#name, &target);         \
			if (result != CUDA_SUCCESS)                     \
				return result;                          \
			atomic_store(&found, target);                   \
		}                                                       \
		CUresult (*forward) params;                             \
		*(void **)&forward = target;                            \
		return forward args;                                    \
	}
#include "entries.h"
