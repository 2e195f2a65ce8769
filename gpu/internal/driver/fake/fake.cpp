// SPDX-License-Identifier: GPL-3.0-or-later

// A CUDA driver without a GPU, for tests: libcuda.so.1 with device memory on the
// heap and the kernels run as C++.  It is stricter than a real one:
//
//   - a context is current to the thread that made it and to no other;
//   - every copy, and what every kernel may touch, must lie in one allocation,
//     and host memory must be pinned;
//   - what a stream is told happens later, some of it when other calls are made
//     and the rest when somebody waits, in order within a stream and in any order
//     between streams;
//   - a context must be empty when it is destroyed, unless its device has failed.
//
// What is wrong is told on stderr.  The environment says what the machine has and
// what goes wrong on it; all numbers are decimal, and 0 is never:
//
//   KIGO_FAKE_DEVICES  number of devices, else 1
//   KIGO_FAKE_VERSION  of CUDA that the driver knows, else 12080
//   KIGO_FAKE_MEMORY   bytes of each device, else 256 MiB
//   KIGO_FAKE_SEED     of all that is left to chance
//   KIGO_FAKE_IMAGE    error that loading an image ends with
//   KIGO_FAKE_INIT     milliseconds that cuInit takes
//   KIGO_FAKE_REMEMBER 1 to take what has been hashed before from memory: batches
//                      of that alone take no time
//
// and of the device KIGO_FAKE_FAULTY, or else of all:
//
//   KIGO_FAKE_OOM      what fails for lack of memory, counted from 1 in each
//                      context: the context itself is 1, then whatever takes
//                      memory, be it a module, a stream, or an allocation
//   KIGO_FAKE_LAUNCH   the launch that fails, and with it the context
//   KIGO_FAKE_CODE     the error of that launch, else 719
//   KIGO_FAKE_OPEN     milliseconds that opening a context takes
//   KIGO_FAKE_STALL    the launch that takes five seconds
//   KIGO_FAKE_SLOW     microseconds that each launch takes longer
//   KIGO_FAKE_DIE      the call in a context that no device answers any more,
//                      until the next cuInit
//   KIGO_FAKE_WRONG    one hash in so many is wrong
//   KIGO_FAKE_SOUND    hashes that are right before that begins
//   KIGO_FAKE_ERROR    the hash that is wrong, counted from 1 in each context
//   KIGO_FAKE_KIND     how it is wrong: "hash" in its last bit, which no verdict
//                      depends on; "bad" all ones, so that good work falls
//                      short; "good" all zeros, so that any work suffices;
//                      "lost" what was there before; else in a bit, often one
//                      that the verdict depends on

#include "../shim/cuda.h"
#include "../../../../kernels/src/kernels.h"

#include <chrono>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <unordered_map>

static const CUresult error_dead = CUDA_ERROR_UNKNOWN;

static long setting(const char *name, long other)
{
	const char *s = getenv((std::string("KIGO_FAKE_") + name).c_str());
	return s ? atol(s) : other;
}

static std::string word(const char *name)
{
	const char *s = getenv((std::string("KIGO_FAKE_") + name).c_str());
	return s ? s : "";
}

static CUresult complain(CUresult result, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fprintf(stderr, "fake driver: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
	return result;
}

// A Faults counts down to what goes wrong.
struct Faults {
	long open = 0, oom = 0, launch = 0, stall = 0, slow = 0, die = 0, wrong = 0, sound = 0, error = 0;
	CUresult code = CUDA_ERROR_LAUNCH_FAILED;
	std::string kind;

	explicit Faults(int device)
	{
		if (setting("FAULTY", device) != device)
			return;
		open = setting("OPEN", 0);
		oom = setting("OOM", 0);
		launch = setting("LAUNCH", 0);
		stall = setting("STALL", 0);
		die = setting("DIE", 0);
		code = (CUresult)setting("CODE", code);
		slow = setting("SLOW", 0);
		wrong = setting("WRONG", 0);
		sound = setting("SOUND", 0);
		error = setting("ERROR", 0);
		kind = word("KIND");
	}

	static bool due(long *count) { return *count > 0 && --*count == 0; }
};

static void sleep_ms(long ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

// What contexts share.
static std::mutex mutex; // guards the rest
static bool initialized;
static std::map<int, bool> dead;                           // devices
static std::map<int, size_t> taken;                        // bytes of a device
static std::unordered_map<std::string, std::string> known; // hashes by trailer, for KIGO_FAKE_REMEMBER

// A Context serves one thread, so nothing in it needs a lock.
struct Context {
	const int device;
	Faults faults;
	std::mt19937 random;
	CUresult failure = CUDA_SUCCESS;
	std::map<u64, size_t> memory, pinned; // bytes by address
	std::map<CUstream, std::deque<std::function<void()>>> streams;
	CUmodule module = nullptr;
	long hashes = 0; // made so far

	// What KIGO_FAKE_REMEMBER needs.
	struct Batch {
		std::vector<std::string> trailers;
		bool known; // all their hashes are
	};
	const bool remembers = setting("REMEMBER", 0) != 0;
	std::map<u64, Batch> under_way; // by the address of the states

	explicit Context(int device) : device(device), faults(device), random((unsigned)setting("SEED", 1)) {}

	static bool inside(const std::map<u64, size_t> &all, Range r)
	{
		auto next = all.upper_bound(r.at);
		if (next == all.begin())
			return false;
		auto in = std::prev(next);
		u64 from = r.at - in->first;
		return from <= in->second && r.bytes <= in->second - from;
	}

	CUresult check(const char *what, const std::map<u64, size_t> &all, Range r) const
	{
		if (inside(all, r))
			return CUDA_SUCCESS;
		return complain(CUDA_ERROR_INVALID_VALUE, "%s: %llu bytes at %llx are not in one allocation", what, r.bytes, r.at);
	}

	// tell has a stream do f after what it has been told before, and perhaps
	// lets some stream go on.
	CUresult tell(CUstream stream, std::function<void()> f)
	{
		auto s = streams.find(stream);
		if (s == streams.end())
			return complain(CUDA_ERROR_INVALID_HANDLE, "no such stream, or the default one");
		s->second.push_back(std::move(f));
		if (random() % 4 == 0) {
			auto any = std::next(streams.begin(), random() % streams.size());
			run(any->second, random() % (any->second.size() + 1));
		}
		return CUDA_SUCCESS;
	}

	void run(std::deque<std::function<void()>> &work, size_t n)
	{
		for (; n > 0; n--) {
			if (failure == CUDA_SUCCESS)
				work.front()();
			work.pop_front();
		}
	}

	void finish()
	{
		for (auto &s : streams)
			run(s.second, s.second.size());
	}

	// run_kernel runs a kernel, unless all that it would find out is known.
	void run_kernel(const Kernel *k, const Launch &launch)
	{
		const bool init = k->name == "kigo_init", jump = k->name == "kigo_jump";
		if (!remembers || k->name == "kigo_simple")
			return k->run(launch, random);
		Batch &batch = under_way[launch.args[init || jump]];
		if (init) {
			batch = {{}, true};
			std::lock_guard<std::mutex> lock(mutex);
			for (u32 i = 0; i < launch.number(k->n); i++) {
				batch.trailers.emplace_back(launch.pointer<char>(0) + i * 160, 160);
				batch.known = batch.known && known.count(batch.trailers.back());
			}
		}
		if (!batch.known)
			k->run(launch, random);
		if (k->name != "kigo_final")
			return;
		char *hash = launch.pointer<char>(1);
		std::lock_guard<std::mutex> lock(mutex);
		for (const std::string &t : batch.trailers) {
			if (batch.known)
				memcpy(hash, known[t].data(), 32);
			else
				known[t] = std::string(hash, 32);
			hash += 32;
		}
	}

	// spoil makes some of n hashes wrong.
	void spoil(u32 *hash, const u32 *before, u32 n)
	{
		for (; n > 0; n--, hash += 8, before += 8) {
			bool here = ++hashes == faults.error;
			if (faults.wrong && hashes > faults.sound && random() % (u64)faults.wrong == 0)
				here = true;
			if (!here)
				continue;
			if (faults.kind == "hash") {
				hash[7] ^= 1u << 24;
			} else if (faults.kind == "lost") {
				memcpy(hash, before, 32);
			} else if (faults.kind == "bad" || faults.kind == "good") {
				memset(hash, faults.kind == "bad" ? 0xff : 0, 32);
			} else {
				u32 bit = random() % (random() % 2 ? 8 : 256);
				hash[bit / 32] ^= 1u << bit % 32;
			}
		}
	}

	CUresult allocate(std::map<u64, size_t> *all, u64 *p, size_t bytes)
	{
		if (bytes == 0)
			return complain(CUDA_ERROR_INVALID_VALUE, "allocation of nothing");
		if (Faults::due(&faults.oom))
			return CUDA_ERROR_OUT_OF_MEMORY;
		if (all == &memory) {
			std::lock_guard<std::mutex> lock(mutex);
			if (bytes > (size_t)setting("MEMORY", 256 << 20) - taken[device])
				return CUDA_ERROR_OUT_OF_MEMORY;
			taken[device] += bytes;
		}
		void *block = malloc(bytes);
		memset(block, 0xa5, bytes);
		*p = reinterpret_cast<u64>(block);
		(*all)[*p] = bytes;
		return CUDA_SUCCESS;
	}

	CUresult release(std::map<u64, size_t> *all, u64 p)
	{
		auto a = all->find(p);
		if (a == all->end())
			return complain(CUDA_ERROR_INVALID_VALUE, "free of %llx, which is not allocated", p);
		finish();
		if (all == &memory) {
			std::lock_guard<std::mutex> lock(mutex);
			taken[device] -= a->second;
		}
		free(reinterpret_cast<void *>(p));
		all->erase(a);
		return CUDA_SUCCESS;
	}
};

static thread_local Context *current;

// enter begins a call that needs a context.
static CUresult enter(Context **c)
{
	if (!current)
		return complain(CUDA_ERROR_INVALID_CONTEXT, "no context is current to this thread");
	*c = current;
	if (Faults::due(&current->faults.die)) {
		std::lock_guard<std::mutex> lock(mutex);
		dead[current->device] = true;
		current->failure = error_dead;
	}
	return current->failure;
}

#define ENTER                                        \
	Context *c;                                  \
	if (CUresult r = enter(&c); r != CUDA_SUCCESS) \
	return r

extern "C" {

CUresult cuInit(unsigned flags)
{
	sleep_ms(setting("INIT", 0));
	std::lock_guard<std::mutex> lock(mutex);
	dead.clear();
	initialized = flags == 0 && setting("DEVICES", 1) > 0;
	return flags ? CUDA_ERROR_INVALID_VALUE : initialized ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE;
}

CUresult cuDriverGetVersion(int *version)
{
	*version = (int)setting("VERSION", 12080);
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int *count)
{
	std::lock_guard<std::mutex> lock(mutex);
	if (!initialized)
		return CUDA_ERROR_NOT_INITIALIZED;
	*count = (int)setting("DEVICES", 1);
	return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal)
{
	int count;
	if (CUresult r = cuDeviceGetCount(&count); r != CUDA_SUCCESS)
		return r;
	if (ordinal < 0 || ordinal >= count)
		return CUDA_ERROR_INVALID_DEVICE;
	*device = ordinal;
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetName(char *name, int len, CUdevice)
{
	snprintf(name, (size_t)len, "Kigo fake GPU");
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice)
{
	switch (attribute) {
	case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
		*value = 9;
		return CUDA_SUCCESS;
	case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
		*value = 0;
		return CUDA_SUCCESS;
	case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
		*value = 1;
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

CUresult cuDeviceTotalMem(size_t *bytes, CUdevice)
{
	*bytes = (size_t)setting("MEMORY", 256 << 20);
	return CUDA_SUCCESS;
}

CUresult cuCtxCreate(CUcontext *context, unsigned flags, CUdevice device)
{
	CUdevice same;
	if (CUresult r = cuDeviceGet(&same, device); r != CUDA_SUCCESS)
		return r;
	if (flags != 4)
		return complain(CUDA_ERROR_INVALID_VALUE, "context with flags %u, which would spin", flags);
	{
		std::lock_guard<std::mutex> lock(mutex);
		if (dead[device])
			return error_dead;
	}
	std::unique_ptr<Context> c(new Context(device));
	sleep_ms(c->faults.open);
	if (Faults::due(&c->faults.oom))
		return CUDA_ERROR_OUT_OF_MEMORY;
	current = c.release();
	*context = reinterpret_cast<CUcontext>(current);
	return CUDA_SUCCESS;
}

CUresult cuCtxDestroy(CUcontext context)
{
	Context *c = reinterpret_cast<Context *>(context);
	if (!c || c != current)
		return complain(CUDA_ERROR_INVALID_CONTEXT, "destroyed a context that is not this thread's");
	CUresult result = CUDA_SUCCESS;
	size_t left = c->memory.size() + c->pinned.size() + c->streams.size();
	if (c->failure == CUDA_SUCCESS && left)
		result = complain(CUDA_ERROR_CONTEXT_ALREADY_IN_USE, "%zu allocations and streams are left in a context", left);
	c->finish();
	while (!c->memory.empty())
		c->release(&c->memory, c->memory.begin()->first);
	while (!c->pinned.empty())
		c->release(&c->pinned, c->pinned.begin()->first);
	for (auto &stream : c->streams)
		delete reinterpret_cast<char *>(stream.first);
	current = nullptr;
	delete c;
	return result;
}

CUresult cuModuleLoadData(CUmodule *module, const void *image)
{
	ENTER;
	if (long r = setting("IMAGE", 0))
		return (CUresult)r;
	if (!image)
		return CUDA_ERROR_INVALID_VALUE;
	if (Faults::due(&c->faults.oom))
		return CUDA_ERROR_OUT_OF_MEMORY;
	*module = c->module = reinterpret_cast<CUmodule>(c);
	return CUDA_SUCCESS;
}

CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name)
{
	ENTER;
	if (!module || module != c->module)
		return complain(CUDA_ERROR_INVALID_HANDLE, "no such module");
	for (const Kernel &k : kernels)
		if (k.name == name) {
			*function = reinterpret_cast<CUfunction>(const_cast<Kernel *>(&k));
			return CUDA_SUCCESS;
		}
	return CUDA_ERROR_NOT_FOUND;
}

CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
	unsigned block_y, unsigned block_z, unsigned shared, CUstream stream, void **params, void **extra)
{
	ENTER;
	const Kernel *k = reinterpret_cast<const Kernel *>(function);
	if (!k || grid_x == 0 || grid_y != 1 || grid_z != 1 || block_x != THREADS || block_y != 1 || block_z != 1 || shared
		|| !params || extra)
		return complain(CUDA_ERROR_INVALID_VALUE, "launch of %u blocks of %u threads", grid_x, block_x);
	Launch launch = {grid_x, {}};
	for (int i = 0; i < k->params; i++)
		memcpy(&launch.args[i], params[i], 8);
	u32 n = launch.number(k->n);
	for (Range r : k->ranges(launch, n)) {
		if (r.at % 4)
			return complain(CUDA_ERROR_INVALID_VALUE, "%s: %llx is not aligned", k->name.c_str(), r.at);
		if (CUresult bad = c->check(k->name.c_str(), c->memory, r); bad != CUDA_SUCCESS)
			return bad;
	}
	return c->tell(stream, [=] {
		if (Faults::due(&c->faults.launch)) {
			c->failure = c->faults.code;
			return;
		}
		if (Faults::due(&c->faults.stall))
			sleep_ms(5000);
		if (c->faults.slow)
			std::this_thread::sleep_for(std::chrono::microseconds(c->faults.slow));
		u32 *hashes = k->name == "kigo_final" ? launch.pointer<u32>(1) : nullptr;
		std::vector<u32> before(hashes, hashes + (hashes ? n * 8 : 0));
		c->run_kernel(k, launch);
		if (hashes)
			c->spoil(hashes, before.data(), n);
	});
}

CUresult cuStreamCreate(CUstream *stream, unsigned flags)
{
	ENTER;
	if (flags)
		return CUDA_ERROR_INVALID_VALUE;
	if (Faults::due(&c->faults.oom))
		return CUDA_ERROR_OUT_OF_MEMORY;
	*stream = reinterpret_cast<CUstream>(new char); // an address, as real ones are, which Go may look at
	c->streams[*stream];
	return CUDA_SUCCESS;
}

CUresult cuStreamDestroy(CUstream stream)
{
	ENTER;
	auto s = c->streams.find(stream);
	if (s == c->streams.end())
		return complain(CUDA_ERROR_INVALID_HANDLE, "no such stream");
	c->run(s->second, s->second.size());
	c->streams.erase(s);
	delete reinterpret_cast<char *>(stream);
	return c->failure;
}

CUresult cuStreamSynchronize(CUstream stream)
{
	ENTER;
	auto s = c->streams.find(stream);
	if (s == c->streams.end())
		return complain(CUDA_ERROR_INVALID_HANDLE, "no such stream, or the default one");
	c->run(s->second, s->second.size());
	return c->failure;
}

CUresult cuMemAlloc(CUdeviceptr *p, size_t bytes)
{
	ENTER;
	u64 at;
	CUresult r = c->allocate(&c->memory, &at, bytes);
	if (r == CUDA_SUCCESS)
		*p = at;
	return r;
}

CUresult cuMemFree(CUdeviceptr p)
{
	ENTER;
	return c->release(&c->memory, p);
}

CUresult cuMemAllocHost(void **p, size_t bytes)
{
	ENTER;
	u64 at;
	CUresult r = c->allocate(&c->pinned, &at, bytes);
	if (r == CUDA_SUCCESS)
		*p = reinterpret_cast<void *>(at);
	return r;
}

CUresult cuMemFreeHost(void *p)
{
	ENTER;
	return c->release(&c->pinned, reinterpret_cast<u64>(p));
}

CUresult cuMemGetInfo(size_t *free_bytes, size_t *total)
{
	ENTER;
	std::lock_guard<std::mutex> lock(mutex);
	*total = (size_t)setting("MEMORY", 256 << 20);
	*free_bytes = *total - taken[c->device];
	return CUDA_SUCCESS;
}

static CUresult copy(const char *what, Context *c, const std::map<u64, size_t> &to_in, u64 to,
	const std::map<u64, size_t> &from_in, u64 from, size_t bytes, CUstream stream)
{
	CUresult r = c->check(what, to_in, {to, bytes});
	if (r == CUDA_SUCCESS)
		r = c->check(what, from_in, {from, bytes});
	if (r != CUDA_SUCCESS)
		return r;
	return c->tell(stream, [=] { memcpy(reinterpret_cast<void *>(to), reinterpret_cast<void *>(from), bytes); });
}

CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void *from, size_t bytes, CUstream stream)
{
	ENTER;
	return copy("copy to the device", c, c->memory, to, c->pinned, reinterpret_cast<u64>(from), bytes, stream);
}

CUresult cuMemcpyDtoHAsync(void *to, CUdeviceptr from, size_t bytes, CUstream stream)
{
	ENTER;
	return copy("copy from the device", c, c->pinned, reinterpret_cast<u64>(to), c->memory, from, bytes, stream);
}

CUresult cuMemsetD8Async(CUdeviceptr p, unsigned char value, size_t n, CUstream stream)
{
	ENTER;
	if (CUresult r = c->check("memset", c->memory, {p, n}); r != CUDA_SUCCESS)
		return r;
	return c->tell(stream, [=] { memset(reinterpret_cast<void *>(p), value, n); });
}

} // extern "C"
