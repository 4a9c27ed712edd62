SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
PIP    := .venv/bin/python -m pip --disable-pip-version-check
UV     := build/uv/bin/uv
FUZZ_S ?= 60
LOCK   := pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes --quiet \
          --custom-compile-command "make lock"
CODE   := injector webhook tests

# Static, without an executable stack or a build id: one file that runs in any image, and the same bytes each time.
LAUNCHER_VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"$$/\1/p' injector/__init__.py)
LAUNCHER_FLAGS   = -std=c11 -static -Os -s -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror \
                   -fstack-protector-strong -ffunction-sections -Wl,--gc-sections,--build-id=none \
                   -Wl,-z,noexecstack,-z,relro,-z,now -DLAUNCHER_VERSION='"$(LAUNCHER_VERSION)"'

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: .venv/ready launcher ## Create .venv from the locked packages and build the launcher

.venv/ready: .venv/locked pyproject.toml
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.venv/locked: requirements/dev.txt
	@tools/make-venv $(PYTHON)
	$(PIP) install --quiet --require-hashes --only-binary :all: --no-compile --requirement $<
	@touch $@

# The clouds' own clients, against which the tests' fakes are held; nothing else uses them.
.venv/sdks: .venv/locked requirements/sdks.txt
	$(PIP) install --quiet --require-hashes --only-binary :all: --no-compile --requirement requirements/sdks.txt
	@touch $@

.PHONY: launcher
launcher: build/launcher ## Build the static launcher

build/launcher: $(sort $(wildcard injector/launcher/*.[ch])) injector/__init__.py
	@tools/need-musl
	@mkdir -p $(@D)
	musl-gcc $(LAUNCHER_FLAGS) -o $@ $(filter %.c,$^)

.PHONY: demo
demo: setup ## Show an injection on this machine, without a cluster
	@.venv/bin/secret-injector demo

.PHONY: fmt
fmt: setup ## Format the code and apply the safe fixes
	.venv/bin/ruff format $(CODE)
	.venv/bin/ruff check --fix $(CODE)

.PHONY: check
check: setup ## Check format, lint, types and the import rules
	.venv/bin/ruff format --check $(CODE)
	.venv/bin/ruff check $(CODE)
	.venv/bin/mypy
	.venv/bin/lint-imports

.PHONY: test
test: setup .venv/sdks ## Run every test that needs no cluster
	@tools/need-age
	.venv/bin/pytest

.PHONY: golden
golden: setup ## Rewrite the golden files; read their diff
	.venv/bin/pytest tests/golden --update-golden

.PHONY: e2e
e2e: setup ## Run the examples on a real one-node Kubernetes
	.venv/bin/python -m tests.e2e.testbed build
	.venv/bin/pytest tests/e2e

.PHONY: e2e-campaigns
e2e-campaigns: setup ## Create pods under load while the webhook is upgraded, rolled back and set otherwise
	.venv/bin/python -m tests.e2e.testbed build
	.venv/bin/pytest tests/e2e/campaigns

# Atheris, which only make fuzz uses.
.venv/fuzzer: .venv/locked requirements/fuzz.txt
	$(PIP) install --quiet --require-hashes --only-binary :all: --no-compile --requirement requirements/fuzz.txt
	@touch $@

.PHONY: fuzz
fuzz: setup .venv/fuzzer ## Fuzz every parser, FUZZ_S seconds each (FUZZ=TARGET for one)
	@tools/need-clang
	.venv/bin/python -m tests.fuzz --seconds $(FUZZ_S) $(FUZZ)

.PHONY: bench
bench: setup ## Measure start-up, fetching and admission
	.venv/bin/python -m tests.bench

.PHONY: image
image: setup ## Build the container image
	.venv/bin/python -m tests.e2e.testbed image

.PHONY: lock
lock: $(UV) ## Resolve the locked packages again
	$(UV) $(LOCK) --group dev --output-file requirements/dev.txt $(LOCKFLAGS)
	$(UV) $(LOCK) --constraint requirements/dev.txt --output-file requirements/runtime.txt $(LOCKFLAGS)
	$(UV) $(LOCK) --group sdks --constraint requirements/dev.txt --output-file requirements/sdks.txt $(LOCKFLAGS)
	$(UV) pip compile --group fuzz --universal --python-version 3.11 --generate-hashes --quiet \
	  --custom-compile-command "make lock" --output-file requirements/fuzz.txt $(LOCKFLAGS)
	$(UV) pip compile requirements/image.in --universal --python-version 3.15 --generate-hashes --quiet \
	  --custom-compile-command "make lock" --output-file requirements/image.txt $(LOCKFLAGS)

$(UV):
	$(PYTHON) -m venv build/uv
	build/uv/bin/pip install --quiet uv==0.13.9

.PHONY: clean
clean: ## Remove everything that make created
	rm -rf .venv build dist htmlcov .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
