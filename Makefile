# Kigo's commands.  `make NO_CUDA=1 help` lists them; CONTRIBUTING.md tells when
# to use which.

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
EVERY    ?= 1#   mutate: run one mutant in EVERY,
FROM     ?= 0#   beginning with this one

# The race detector is written in C.
RACE := $(shell [ "$$($(GO) env CGO_ENABLED)" = 0 ] || echo -race)

# The CUDA engine is not part of this version, and a build that says nothing
# would look as if it were.
.PHONY: ready
ready:
ifndef NO_CUDA
	@echo "kigo: this version has no CUDA engine yet; build without it:" >&2
	@echo "          make NO_CUDA=1 $(MAKECMDGOALS)" >&2
	@exit 1
endif
	@.ci/prerequisites

##@ Use

.PHONY: build
build: ready ## build bin/kigo
	@mkdir -p bin
	$(GO) build -ldflags "-X main.version=$(VERSION) -X main.revision=$(REVISION)" -o bin/kigo ./cmd/kigo

.PHONY: demo
demo: build ## verify real and synthetic chains, watch faults and liars being found (under a minute)
	@docs/demo.sh

.PHONY: install
install: build ## install program, man pages and shell completions below PREFIX
	install -D -m 755 bin/kigo "$(DESTDIR)$(PREFIX)/bin/kigo"
	bin/kigo man "$(DESTDIR)$(PREFIX)/share/man/man1"
	install -d "$(DESTDIR)$(PREFIX)/share/"{bash-completion/completions,zsh/site-functions,fish/vendor_completions.d}
	bin/kigo completion bash > "$(DESTDIR)$(PREFIX)/share/bash-completion/completions/kigo"
	bin/kigo completion zsh > "$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_kigo"
	bin/kigo completion fish > "$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/kigo.fish"

##@ Test

.PHONY: test
test: ready ## run all tests, then the quick ones under the race detector
	$(GO) test ./...
ifneq ($(RACE),)
	$(GO) test -race -short ./cmd/... ./node/... ./cpu/internal/...
	$(GO) test -race -short -run 'Conformance/.*/(concurrent|cancelled)' ./cpu
endif

.PHONY: lint
lint: ## gofmt, go vet, staticcheck, shellcheck where it is installed
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "gofmt these files:"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) vet .ci/mutate/*.go
	$(GO) run $(STATICCHECK) ./...
	@if command -v shellcheck >/dev/null; then shellcheck $(SCRIPTS); else echo "shellcheck is not installed (Debian: apt-get install shellcheck)"; fi

SCRIPTS := .ci/run .ci/prerequisites .ci/fuzz .ci/cross .ci/simd .ci/emulate docs/demo.sh

.PHONY: fuzz
fuzz: ready ## run each fuzz target for FUZZTIME
	.ci/fuzz $(FUZZTIME)

.PHONY: mutate
mutate: ready ## break rules and oracle one place at a time; the tests must notice
	$(GO) run .ci/mutate/*.go -every $(EVERY) -from $(FROM)

.PHONY: sanitize
sanitize: build ## run the C code under the address and undefined-behaviour sanitizers
	MAKE='$(MAKE)' .ci/simd sanitize

# What builds the CUDA binding without toolkit or driver: our own header, and a
# library that looks for the driver when the program runs.
CUDA_ENV = CGO_CFLAGS="-O2 -g -I$(CURDIR)/gpu/internal/driver/shim" CGO_LDFLAGS="-O2 -g -L$(CURDIR)/bin/cuda"

.PHONY: fakegpu
fakegpu: ## test the CUDA engine, which nothing uses yet, against a fake driver
	$(MAKE) --no-print-directory -C gpu/internal/driver/shim
	$(MAKE) --no-print-directory -C gpu/internal/driver/fake
	$(CUDA_ENV) $(GO) vet -tags cuda ./gpu/... ./kernels/...
	$(CUDA_ENV) LD_LIBRARY_PATH="$(CURDIR)/bin/cuda/fake" KIGO_TEST_REQUIRE=cuda,cuda-fake \
		$(GO) test -short -tags cuda ./gpu/...

.PHONY: cross
cross: ready ## compile the portable build for other systems
	.ci/cross

.PHONY: emulate
emulate: build ## run bin/kigo on an emulated processor without AVX2
	.ci/emulate

##@ Measure

.PHONY: bench
bench: ready ## run the benchmarks, in a form fit for benchstat
	$(GO) test -run '^$$' -bench '$(BENCH)' -count $(COUNT) ./...

.PHONY: profile
profile: build ## cycles a trailer by part, for each SIMD engine
	MAKE='$(MAKE)' .ci/simd profile

##@ Housekeeping

.PHONY: clean
clean: ## remove what was built
	rm -rf bin

.PHONY: help
help: ## list the targets
	@echo "make NO_CUDA=1 TARGET"
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } /^[a-z]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' Makefile
