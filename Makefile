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

.PHONY: bench
bench: tools-build ## Measure what a request and a change cost, part by part
	$(CARGO) bench --locked --package benches

.PHONY: lint
lint: tools-lint ## Check format, clippy, documentation, licences and dependency rules
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items --locked
	@scripts/deny

.PHONY: docker
docker: ## Build the image of every program
	@docker/build

.PHONY: test-images
test-images: ## Run the programs as containers, where there is a Docker engine
	@scripts/test-images

.PHONY: tools-build
tools-build:
	@scripts/tools build

.PHONY: tools-test
tools-test:
	@scripts/tools test

.PHONY: tools-lint
tools-lint:
	@scripts/tools lint
