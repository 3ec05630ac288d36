# Two commands do everything: `make demo` and `make test`. Both may be run again at any time.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# To build: libseccomp-dev. To run the supermarket: redis-server. To test, beside these: the tools that look at
# what we did from outside.
BUILD_PACKAGES := gcc libc6-dev libseccomp-dev
DEMO_PACKAGES  := redis-server
TEST_PACKAGES  := nftables iproute2 jq curl
BENCH_PACKAGES := wrk haproxy nginx-light hyperfine

BIN := $(CURDIR)/target/release
KUBECTL := target/kubectl-1.20/usr/bin/kubectl
export CARGO_TERM_PROGRESS_WHEN ?= auto

.PHONY: help
help: ## Say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: demo
demo: setup-demo build ## Build, start a cluster, open the supermarket, tour it, leave it running
	@examples/supermarket/demo.sh $(BIN)

.PHONY: build
build: setup-build ## Build the release binary
	cargo build --release --workspace --bins --locked

.PHONY: test
test: setup ## Run every test: units, properties, simulation, real containers, real clusters
	cargo build --workspace --all-targets --locked
	cargo test --workspace --locked --no-fail-fast -- $(TEST_FLAGS)

.PHONY: lint
lint: setup-build ## Check format and lints
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

.PHONY: bench
bench: setup-demo setup-bench build ## Measure the figures of the README on this machine
	@bench/run.sh $(BIN)

.PHONY: setup
setup: setup-build setup-demo setup-test ## Install what building and testing needs (Debian, Ubuntu)

# $(call install,PACKAGES): nothing if all are there already.
define install
	@missing=$$(dpkg-query -W -f '$${Package} $${Status}\n' $(1) 2>/dev/null \
	    | awk '/ok installed/ {print $$1}' | grep -vxFf - <(printf '%s\n' $(1)) || true); \
	if [ -n "$$missing" ]; then \
	    echo "installing:" $$missing; \
	    sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	    $$sudo apt-get update -qq; \
	    DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi
endef

.PHONY: setup-build setup-demo setup-test setup-bench
setup-build:
	$(call install,$(BUILD_PACKAGES))
setup-demo:
	$(call install,$(DEMO_PACKAGES))
	@# Debian starts its own server on install; the supermarket brings its own.
	@if [ -d /run/systemd/system ]; then systemctl disable --now -q redis-server 2>/dev/null || true; fi
setup-test:
	$(call install,$(TEST_PACKAGES))
	@# Unpacked beside, since Debian's kubectl may clash with another that is here already.
	@if [ ! -x $(KUBECTL) ] && command -v apt-get >/dev/null; then \
	    echo "fetching: kubernetes-client"; \
	    work=$$(mktemp -d); trap 'rm -rf "$$work"' EXIT; chmod 755 "$$work"; \
	    (cd "$$work" && { apt-get download -qq kubernetes-client 2>/dev/null || \
	        { apt-get update -qq && apt-get download -qq kubernetes-client; }; }); \
	    mkdir -p $(dir $(KUBECTL)); dpkg -x "$$work"/kubernetes-client*.deb target/kubectl-1.20; \
	fi
setup-bench:
	$(call install,$(BENCH_PACKAGES))
