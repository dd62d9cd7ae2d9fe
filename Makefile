# `make demo` and `make test` do everything, from a machine that has Rust and nothing else.

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
CARGO_DENY_VERSION := 0.20.2
# rustup's folder is not on the PATH of a shell that is older than the installation.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin

.PHONY: help setup build images demo test chaos planted peers score fuzz fuzz-parse fuzz-unpack lint deny ci clean

help: ## Show this
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup: ## Find Docker, or install and start it (NO_INSTALL=1 only says what to type)
	@images/setup.sh

build: ## Build the release binary
	cargo build --release

images: setup build ## Build the images of all toolchains
	$(TARGET_DIR)/release/greenroom images build

demo: setup build ## Repair the broken projects of fixtures/tasks in real containers
	$(TARGET_DIR)/release/greenroom demo

# The debug build is the one that the tests need anyway.
test: ## Run every test, against real containers too
	@images/setup.sh tests
	cargo build --workspace
	$(TARGET_DIR)/debug/greenroom images build
	GREENROOM_DOCKER_TESTS=1 cargo test --workspace

chaos: setup ## Stop the program at every seam and at random instants, hundreds of times (long)
	cargo build
	GREENROOM_CHAOS=full GREENROOM_DOCKER_TESTS=1 cargo test --test chaos -- --nocapture --test-threads 1
	GREENROOM_CHAOS=full GREENROOM_DOCKER_TESTS=1 cargo test --test snapshots -- --nocapture long_run
	GREENROOM_CHAOS=full cargo test --test main flipped_byte_anywhere

planted: setup ## Plant bugs one by one; the suite must catch each of them
	GREENROOM_PLANTED=1 cargo test --test planted -- --nocapture

peers: setup ## Run whole repairs through a LiteLLM proxy (installs it into a venv below the target folder)
	tests/peers/setup.sh
	GREENROOM_PEER_TESTS=1 GREENROOM_DOCKER_TESTS=1 cargo test --test peers --test main -- litellm

# Real tool output with ground truth from elsewhere: a folder with *.jsonl, predict.py and score.py.
CORPORA ?= ../shared/corpora
score: ## Score the parsers on CORPORA
	cargo build --release
	python3 $(CORPORA)/predict.py $(TARGET_DIR)/release/greenroom $(TARGET_DIR)/predictions.jsonl
	python3 $(CORPORA)/score.py $(TARGET_DIR)/predictions.jsonl

# Any bytes make a report, and any bytes for an archive stay in their folder. Findings land in parsers/fuzz and fuzz;
# the ones kept as seeds are in their seeds folders.
FUZZ_SECONDS ?= 60
fuzz: fuzz-parse fuzz-unpack ## Fuzz the parsers and the unpacking of files, FUZZ_SECONDS each (needs cargo-fuzz; stable Rust will do)

fuzz-parse:
	mkdir -p parsers/fuzz/corpus/parse
	cd parsers && cargo fuzz run -s none parse fuzz/corpus/parse fuzz/seeds/parse ../fixtures/output -- \
		-max_total_time=$(FUZZ_SECONDS) -max_len=16384 -rss_limit_mb=1024 -timeout=25

fuzz-unpack:
	mkdir -p fuzz/corpus/unpack
	cargo fuzz run -s none unpack fuzz/corpus/unpack fuzz/seeds/unpack -- \
		-max_total_time=$(FUZZ_SECONDS) -max_len=16384 -rss_limit_mb=1024 -timeout=25

lint: ## Check formatting, clippy and the shell scripts
	cargo fmt --all --check
	cargo clippy --all-targets --workspace -- -D warnings
	@if command -v shellcheck >/dev/null; then shellcheck images/*.sh .ci/run; else echo "lint: shellcheck is not installed; the scripts go unread"; fi

deny: ## Check dependencies: duplicates, licences, sources, and advisories where they can be fetched
	@test "$$(cargo deny --version 2>/dev/null)" = "cargo-deny $(CARGO_DENY_VERSION)" || \
		cargo install cargo-deny --locked --version $(CARGO_DENY_VERSION)
	cargo deny --workspace check bans licenses sources
	@if cargo deny --workspace fetch db; then cargo deny --workspace check --disable-fetch advisories; \
	else echo "deny: the advisory database cannot be fetched from here; advisories were NOT checked"; fi

ci: ## What continuous integration runs
	.ci/run

clean: ## Remove what cargo built (not the images: `greenroom images remove`)
	cargo clean
