# Kigo's commands.  `make help` lists them; CONTRIBUTING.md tells when to use
# which.  All of them build and test with the CUDA engine, or with NO_CUDA=1
# without.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
.DELETE_ON_ERROR:

GO          ?= go
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
REVISION    ?= $(shell git rev-parse HEAD 2>/dev/null)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2 # 2026.2.2
PREFIX      ?= /usr/local

# What a target can be told.
FUZZTIME ?= 20s# how long each fuzz target runs
BENCH    ?= .#   benchmarks to run, a regular expression
COUNT    ?= 1#   how often; benchstat wants 10
SOAK     ?= 5m#  how long soak goes on
KILLS    ?= 300# how often crash kills a node at a random moment
EVERY    ?= 1#   mutate: run one mutant in EVERY,
FROM     ?= 0#   beginning with this one

# The race detector is written in C.
RACE := $(shell [ "$$($(GO) env CGO_ENABLED)" = 0 ] || echo -race)

# What builds the CUDA binding without toolkit or driver: our own header, and a
# library that looks for the driver when the program runs.  The flags stand before
# the binding's own; -O2 -g is Go's default, which they replace.
SHIM         := $(CURDIR)/gpu/internal/driver/shim
CUDA_CFLAGS  := $(if $(findstring $(SHIM),$(CGO_CFLAGS)),,-I$(SHIM) )$(or $(CGO_CFLAGS),-O2 -g)
CUDA_LDFLAGS := $(if $(findstring $(CURDIR)/bin/cuda,$(CGO_LDFLAGS)),,-L$(CURDIR)/bin/cuda )$(or $(CGO_LDFLAGS),-O2 -g)
CUDA_GOFLAGS := $(shell $(GO) env GOFLAGS) -tags=cuda

# Where the fake driver is found instead of NVIDIA's.
FAKE := LD_LIBRARY_PATH="$(CURDIR)/bin/cuda/fake"

ifndef NO_CUDA
export CGO_CFLAGS  := $(CUDA_CFLAGS)
export CGO_LDFLAGS := $(CUDA_LDFLAGS)
export GOFLAGS     := $(CUDA_GOFLAGS)
endif

# For .ci/nvcc, which tells what they mean.
export NVCC NVCCFLAGS CUDA_HOST_CXX MAKECMDGOALS

# What is nothing without device code.
ifdef NO_CUDA
ifneq ($(filter yardstick limits mutate-cuda gpu-bundle,$(MAKECMDGOALS)),)
$(error make $(MAKECMDGOALS) needs the CUDA engine: leave out NO_CUDA=$(NO_CUDA))
endif
endif

.PHONY: ready
ready:
	@.ci/prerequisites
ifndef NO_CUDA
	@.ci/nvcc check
	@.ci/nvcc fatbin kernels/src/peach.cu kernels/image
	@$(MAKE) --no-print-directory shim
endif

##@ Use

.PHONY: build
build: ready ## build bin/kigo
	@mkdir -p bin
	$(GO) build -ldflags "-X main.version=$(VERSION) -X main.revision=$(REVISION)" -o bin/kigo ./cmd/kigo

.PHONY: demo
demo: build ## watch a node find the honest chain among liars, then faults being found in files (two minutes)
	@docs/demo.sh

.PHONY: install
install: build ## install program, man pages and shell completions below PREFIX
	install -D -m 755 bin/kigo "$(DESTDIR)$(PREFIX)/bin/kigo"
	bin/kigo man "$(DESTDIR)$(PREFIX)/share/man/man1"
	install -d "$(DESTDIR)$(PREFIX)/share/"{bash-completion/completions,zsh/site-functions,fish/vendor_completions.d}
	bin/kigo completion bash > "$(DESTDIR)$(PREFIX)/share/bash-completion/completions/kigo"
	bin/kigo completion zsh > "$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_kigo"
	bin/kigo completion fish > "$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/kigo.fish"

.PHONY: cuda-toolchain
cuda-toolchain: ## install nvcc as Debian packages it (1.6 GB; as root)
	@.ci/cuda-toolchain

##@ Test

# What takes longest, mostly waiting, begins first.
SLOW := ./node/chaos ./cmd/kigo ./node/chainsync

.PHONY: test
test: ready $(if $(NO_CUDA),,fakegpu) ## run all tests, then the quick ones under the race detector
	$(if $(NO_CUDA),,.ci/nvcc run )$(GO) test $(SLOW) ./...
ifneq ($(RACE),)
	$(GO) test -race -short ./node/chaos ./node/... ./cpu/internal/...
	$(GO) test -race -short -run 'Scan|Run|Nodes|Systemd|Interrupted|Chaos|Health' ./cmd/kigo
	$(GO) test -race -short -run 'Conformance/.*/(concurrent|cancelled)' ./cpu
endif

.PHONY: lint
lint: $(if $(NO_CUDA),,shim) ## gofmt, go vet, staticcheck, shellcheck where it is installed
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "gofmt these files:"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) vet .ci/mutate/*.go
	$(GO) vet .ci/kernels/*.go
	$(GO) run $(STATICCHECK) ./...
	@if command -v shellcheck >/dev/null; then shellcheck $(SCRIPTS); else echo "shellcheck is not installed (Debian: apt-get install shellcheck)"; fi

SCRIPTS := .ci/run .ci/prerequisites .ci/nvcc .ci/cuda-toolchain .ci/cuda-binary .ci/fuzz .ci/cross .ci/simd .ci/emulate bench/gpu.sh docs/demo.sh

.PHONY: fuzz
fuzz: ready ## run each fuzz target for FUZZTIME
	.ci/fuzz $(FUZZTIME)

.PHONY: crash
crash: ready ## kill a node at each named step of all it does, and KILLS times at random; nothing may be lost
	KIGO_TEST_CRASH=$(KILLS) $(GO) test -v -timeout 2h -run '^(TestKilled|TestFullDisk|TestFileTooLong)' ./cmd/kigo

.PHONY: soak
soak: ready ## leave a node for SOAK among peers that come, go and lie; it may take no more and more
	KIGO_TEST_SOAK=$(SOAK) $(GO) test -v -timeout 0 -run '^TestSoak$$' ./cmd/kigo

.PHONY: mutate
mutate: ready ## break rules and oracle one place at a time; the tests must notice
	$(GO) run .ci/mutate/*.go -every $(EVERY) -from $(FROM)

.PHONY: sanitize
sanitize: build ## run the C code under the address and undefined-behaviour sanitizers
	MAKE='$(MAKE)' .ci/simd sanitize

.PHONY: shim
shim:
	@$(MAKE) --no-print-directory -s -C gpu/internal/driver/shim

.PHONY: fakegpu
ifdef NO_CUDA
fakegpu: shim ## test the CUDA engine against a fake driver; with NO_CUDA=1 without its device code
	@$(MAKE) --no-print-directory -s -C gpu/internal/driver/fake
	CGO_CFLAGS="$(CUDA_CFLAGS)" CGO_LDFLAGS="$(CUDA_LDFLAGS)" GOFLAGS="$(CUDA_GOFLAGS)" $(FAKE) \
		KIGO_TEST_REQUIRE=cuda,cuda-fake $(GO) test -short ./gpu/...
else
# The device code as C++ is the same with and without nvcc: make test runs it.
fakegpu: build yardstick
	@$(MAKE) --no-print-directory -s -C gpu/internal/driver/fake
	.ci/cuda-binary
	$(FAKE) KIGO_TEST_REQUIRE=cuda,cuda-fake,nvcc,emulator,kernels,yardstick .ci/nvcc run $(GO) test -short -skip '^TestDeviceCode' ./gpu/... ./kernels/...
	$(FAKE) KIGO_TEST_REQUIRE=cuda-fake $(GO) test -short -run 'Fake|GPU' ./cmd/kigo ./bench
endif

.PHONY: yardstick
yardstick: ready ## compile the plain kernel that measurements and tests compare with
	@.ci/nvcc fatbin kernels/src/simple.cu kernels/yardstick/image

.PHONY: limits
limits: ready ## what the device code takes of each chip: no stack, no spills, few registers
	$(GO) run .ci/kernels/*.go limits kernels/image/ptxas.log

.PHONY: mutate-cuda
mutate-cuda: ready ## break the device code one place at a time; what checks it must notice
	.ci/nvcc run $(GO) run .ci/kernels/*.go mutate -every $(EVERY) -from $(FROM)

.PHONY: cross
cross: ready ## compile the portable build for other systems
	GOFLAGS= .ci/cross

.PHONY: emulate
emulate: build ## run bin/kigo on an emulated processor without AVX2
	.ci/emulate

##@ Measure

.PHONY: bench
bench: ready ## run the benchmarks, in a form fit for benchstat
	$(GO) test -run '^$$' -bench '$(BENCH)' -count $(COUNT) ./...

# Other code for measurements: threads in a block, blocks that a multiprocessor is
# to hold, and where MD2's blocks go (kernels/src/peach.cuh).
VARIANTS := t128-b4:128:4:0 t128-b3:128:3:0 t256-b1:256:1:0 t256-b3:256:3:0 t512-b1:512:1:0 t256-md2first:256:2:1 t256-md2last:256:2:2
BUNDLE   := bin/gpu-bundle

.PHONY: gpu-bundle
gpu-bundle: yardstick ## gather in bin/gpu-bundle what bench/gpu.sh needs on a machine with a GPU
	@rm -rf $(BUNDLE) && mkdir -p $(BUNDLE)/images
	@for v in $(VARIANTS); do \
		IFS=: read -r name threads blocks md2 <<<"$$v"; \
		NVCCFLAGS="$(NVCCFLAGS) -DTHREADS=$$threads -DBLOCKS=$$blocks -DMD2_BLOCKS=$$md2" .ci/nvcc fatbin kernels/src/peach.cu bin/cuda/variants/$$name; \
		cp bin/cuda/variants/$$name/peach.fatbin $(BUNDLE)/images/$$name.fatbin; \
	done
	$(GO) test -c -ldflags '-s -w' -o $(BUNDLE)/gpu.test ./gpu
	$(GO) build -ldflags "-s -w -X main.version=$(VERSION) -X main.revision=$(REVISION)" -o $(BUNDLE)/kigo ./cmd/kigo
	cp bench/gpu.sh $(BUNDLE)/
	@du -sh $(BUNDLE)

.PHONY: profile
profile: build ## cycles a trailer by part, for each SIMD engine
	MAKE='$(MAKE)' .ci/simd profile

##@ Housekeeping

.PHONY: clean
clean: ## remove what was built
	rm -rf bin
	cd kernels && rm -f {,yardstick/}image/{*.fatbin,ptxas.log,manifest}

.PHONY: help
help: ## list the targets
	@echo "make TARGET, or make NO_CUDA=1 TARGET without the CUDA engine"
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile
