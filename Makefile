# The commands of the project. `make demo` and `make test` install what they need (Debian, Ubuntu).
CARGO ?= cargo
# Labs need root; cargo stays with the user.
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo -E)
ARCH := $(shell uname -m)
STATIC := $(ARCH)-unknown-linux-gnu
# A test program that hangs ends after 25 minutes and fails; the others go on.
PATIENCE := CARGO_TARGET_$(shell echo $(STATIC) | tr a-z- A-Z_)_RUNNER="timeout --kill-after=10 1500"
DSFUZZ := target/release/dsfuzz
# Stands in run.json of every run.
export DSFUZZ_REVISION := $(shell git describe --always --dirty --abbrev=12 2>/dev/null)

.PHONY: demo test test-vm bench check prove build program agent fuzz-checkers fuzz-readers corpora foreign

## One real run: five etcd nodes on this machine, real faults, a verdict, a report.
demo: setup-lab program
	$(SUDO) $(DSFUZZ) run examples/etcd-register.yaml

## Every test, those on real labs, real servers and a real browser included.
test: setup-test agent
	$(CARGO) build --workspace
	$(CARGO) test --workspace --no-run
	$(CARGO) test -p dsfuzz-checkers --features parquet --lib parquet
	$(SUDO) env PATH="$$PATH" $(PATIENCE) $(CARGO) test --workspace --no-fail-fast

## Faults on real kernels: three Debian VMs under qemu. Not among the tests; ten minutes and more. Options: make test-vm ARGS="--only faults,power"
test-vm: setup-vm
	$(CARGO) build --workspace
	$(SUDO) env PATH="$$PATH" $(CARGO) test --test vm -- $(ARGS)

## Speed and memory, compared in one run.
bench: setup-test build
	$(SUDO) env PATH="$$PATH" $(CARGO) bench --workspace

## Form, lints, documentation.
check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace -- -D warnings
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps

## What the project claims, shown on real clusters; resumable. Options: make prove ARGS="--lines valid,redis --seeds 1-10"
prove: setup-prove build
	$(SUDO) env PATH="$$PATH" $(CARGO) test --release --test prove -- $(ARGS)

## Every fast checker against brute force: make fuzz-checkers COUNT=1000000 ONLY="queue;lock" WITHOUT=model SEED=1
COUNT ?= 1000000
SEED ?= 1
fuzz-checkers:
	$(CARGO) test --release -p dsfuzz-checkers --test differences -- --count $(COUNT) --seed $(SEED) $(if $(ONLY),--only "$(ONLY)") $(if $(WITHOUT),--without "$(WITHOUT)")

## The readers of histories, guided by coverage: make fuzz-readers COUNT=1000000 ONLY="jsonl plume" SECONDS_MAX=600
READERS := jsonl jepsen-edn jepsen-json porcupine-etcd porcupine-kv plume
SECONDS_MAX ?= 0
fuzz-readers: export RUSTUP_AUTO_INSTALL = 0
fuzz-readers:
	@missing=; \
	$(CARGO) +nightly --version >/dev/null 2>&1 || missing="$$missing\n  a nightly compiler: rustup toolchain install nightly"; \
	$(CARGO) fuzz --version >/dev/null 2>&1 || missing="$$missing\n  cargo-fuzz: cargo install cargo-fuzz"; \
	command -v c++ >/dev/null || missing="$$missing\n  a C++ compiler for libFuzzer: apt-get install g++"; \
	[ -z "$$missing" ] || { printf "fuzz-readers: nothing was run, this is missing:$$missing\n" >&2; exit 255; }
	cd checkers && for reader in $(or $(ONLY),$(READERS)); do \
	  mkdir -p fuzz/corpus/$$reader; \
	  $(CARGO) +nightly fuzz run $$reader fuzz/corpus/$$reader src/history/fuzz/seeds/$$reader -- \
	    -runs=$(COUNT) -max_len=4096 -rss_limit_mb=2048 -max_total_time=$(SECONDS_MAX) || exit 1; \
	done

## Random faults on nodes that have a firewall, queueing disciplines, routes and control groups of their own: make foreign FAULTS=50 SEED=1
FAULTS ?= 50
foreign: setup-test
	$(CARGO) build --workspace
	$(SUDO) env PATH="$$PATH" DSFUZZ_TEST_FAULTS=$(FAULTS) DSFUZZ_TEST_SEED=$(SEED) \
	  $(CARGO) test --test end_to_end foreign -- --nocapture

## Histories with known verdicts, each with its time and memory; DSFUZZ_CORPORA names the folder.
corpora:
	$(CARGO) test --release -p dsfuzz-checkers --test corpora

## dsfuzz, its agent, and the clients of databases. In one build: other members ask for more features of what they share.
build: setup-build
	$(CARGO) build --release --workspace
	$(MAKE) agent

## dsfuzz and its agent, also as a static program for nodes with another C library.
program: setup-build
	$(CARGO) build --release
	$(MAKE) agent

agent:
	CARGO_TARGET_$(shell echo $(STATIC) | tr 'a-z-' 'A-Z_')_RUSTFLAGS="-C target-feature=+crt-static" \
	  $(CARGO) build --release -p dsfuzz-agent --target $(STATIC)
	@ldd target/$(STATIC)/release/dsfuzz-agent 2>&1 | grep -qE 'statically linked|not a dynamic executable' \
	  || { echo "the agent in target/$(STATIC)/release is not static" >&2; exit 1; }
	mkdir -p target/release
	cp target/$(STATIC)/release/dsfuzz-agent target/release/dsfuzz-agent-$(ARCH)

.PHONY: setup-build setup-lab setup-test setup-prove setup-vm
setup-build:
	@.ci/setup build
setup-lab:
	@.ci/setup build lab
setup-test:
	@.ci/setup build lab test
setup-prove:
	@.ci/setup build lab test prove
setup-vm:
	@.ci/setup build lab vm
