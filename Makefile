# What people and CI call. `make help` lists it.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
CARGO ?= cargo

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: run
run: tools-build ## Start the whole platform in one process (Ctrl-C stops it)
	@$(CARGO) build --release --locked
	@exec "$${CARGO_TARGET_DIR:-target}/release/platform"

.PHONY: test
test: tools-test ## Run every test of the workspace
	@scripts/test

.PHONY: prove
prove: tools-build ## Prove that changes, replacements and upgrades cost no request (PROVE_SCALE, PROVE_SEED)
	@scripts/prove

.PHONY: fuzz
fuzz: tools-fuzz ## Fuzz every parser, FUZZ_SECONDS each (60); needs a nightly toolchain
	@scripts/fuzz

.PHONY: bench
bench: tools-bench ## Measure everything under load, beside its peers; writes benches/RESULTS.md
	@scripts/bench

.PHONY: bench-quick
bench-quick: tools-bench ## The same with one short round, to see that it works; writes target/bench/RESULTS.md
	@scripts/bench quick

.PHONY: bench-parts
bench-parts: tools-build ## Measure what a request and a change cost, part by part
	$(CARGO) bench --locked --package benches

.PHONY: bench-guard
bench-guard: tools-guard ## Fail when a request or a change takes over 5 % more instructions than recorded
	@scripts/bench-guard

.PHONY: lint
lint: tools-lint ## Check format, clippy, documentation, licences, dependency rules, and what deploys it
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items --locked
	@scripts/deny
	@scripts/lint-deploy

.PHONY: lint-deploy
lint-deploy: tools-deploy ## Check images, Compose files, monitoring, Terraform, workflows, units and scripts
	@scripts/lint-deploy

.PHONY: test-monitoring
test-monitoring: tools-monitoring ## Hold dashboards and alerts to the programs, by a real Prometheus
	@scripts/test-monitoring $(BINARIES_DIR)

.PHONY: test-docker
test-docker: tools-docker ## Hold the stack of containers to what it promises, where there is a Docker engine
	@scripts/test-docker

.PHONY: docker
docker: ## Build the image of every program
	@docker/build

.PHONY: test-images
test-images: tools-docker ## Run the programs as containers, where there is a Docker engine
	@scripts/test-images

.PHONY: tools-build
tools-build:
	@scripts/tools build

.PHONY: tools-bench
tools-bench:
	@scripts/tools bench

.PHONY: tools-guard
tools-guard: tools-build
	@scripts/tools guard

.PHONY: tools-test
tools-test:
	@scripts/tools test

.PHONY: tools-fuzz
tools-fuzz:
	@scripts/tools fuzz

.PHONY: tools-lint
tools-lint: tools-deploy
	@scripts/tools lint

.PHONY: tools-deploy
tools-deploy:
	@scripts/tools deploy

.PHONY: tools-docker
tools-docker:
	@scripts/tools docker

.PHONY: tools-monitoring
tools-monitoring:
	@scripts/tools monitoring
