# Every target makes the environment first if it is missing, or out of date with pyproject.toml or constraints.txt.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
# What tests beyond `make test` need, joined by commas; they skip without.
EXTRAS := explain,pretrain,slurm,track,ray
# PYTHON=/path/to/python picks an interpreter; without it, the first of these that runs, is in range and has venv.
PYTHON ?=
CANDIDATES := python3.11 python3.12 python3.10 python3 python
IN_RANGE := import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))

# Tests run side by side, those of a file in one process, as they share what is made for them; in the order of conftest.py.
PARALLEL := -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# What the benchmarks measure with; random weights and rendered scenes without.
MODEL ?=
DATA ?=
OF_MODEL := $(if $(MODEL),--model "$(MODEL)")
OF_DATA := $(if $(DATA),--data "$(DATA)")

.PHONY: help setup demo test test-extra test-all torture lint bench bench-quick bench-scaling parity docs clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

setup: $(VENV)/.installed ## Make .venv with everything pinned in constraints.txt

# Running a candidate is the only proof that it works: a version manager's shim can be on the path and still fail.
$(BIN)/python:
	@python=""; \
	for candidate in $(if $(PYTHON),"$(PYTHON)",$(CANDIDATES)); do \
	    if "$$candidate" -c '$(IN_RANGE)' >/dev/null 2>&1; then python="$$candidate"; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "make: no Python 3.10, 3.11 or 3.12 with venv among: $(or $(PYTHON),$(CANDIDATES)); set PYTHON=/path/to/python" >&2; \
	    exit 2; \
	fi; \
	echo "making $(VENV) with $$("$$python" --version)"; \
	"$$python" -m venv --clear $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt -e '.[dev]'
	@touch $@

$(VENV)/.docs-installed: pyproject.toml constraints.txt | $(VENV)/.installed
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt -e '.[docs]'
	@touch $@

# Not part of .installed: `make test` does without extras, and their tests then skip, saying what they need.
$(VENV)/.extras-installed: pyproject.toml constraints.txt | $(VENV)/.installed
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt -e '.[dev,$(EXTRAS)]'
	@touch $@

demo: $(VENV)/.installed ## Run the whole way from images to an answer, without the network
	$(BIN)/frostline demo

test: $(VENV)/.installed ## Run the tests that need nothing beyond the repository
	$(BIN)/python -m pytest $(PARALLEL) -m "not shared and not slow and not browser and not torture"

# pytest exits with 5 when it selects no test: an error above, but an extra that has nothing to run has not failed.
test-extra: $(VENV)/.extras-installed ## Run only what test-all adds to test: extras, browser, trainings of minutes, real data
	$(BIN)/python -m pytest $(PARALLEL) -m "(shared or slow or extra or browser) and not torture" || { status=$$?; [ $$status -eq 5 ] && echo "no test is marked so"; }

test-all: $(VENV)/.extras-installed ## Run everything but torture
	$(BIN)/python -m pytest $(PARALLEL) -m "not torture"

torture: $(VENV)/.installed ## Kill studies two hundred times and fuzz the readers, 10 minutes each: some hours
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist worksteal -m torture -v -rP

lint: $(VENV)/.installed ## Check style, format, types, import rules, and pins for known vulnerabilities
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	.ci/audit $(BIN)

bench: $(VENV)/.installed ## Measure everything against plain Ultralytics; MODEL=weights.pt DATA=data.yaml for your own
	$(BIN)/python benchmarks/study.py $(OF_MODEL) $(OF_DATA) --workloads 320,320+mosaic,640 --repeats 3,3,1
	$(BIN)/python benchmarks/levers.py $(OF_MODEL)
	$(BIN)/python benchmarks/loader.py
	$(BIN)/python benchmarks/together.py $(OF_MODEL) $(OF_DATA)
	$(BIN)/python benchmarks/gpu.py

bench-quick: $(VENV)/.installed ## The same, once each and for small images alone
	$(BIN)/python benchmarks/study.py $(OF_MODEL) $(OF_DATA) --workloads 320
	$(BIN)/python benchmarks/levers.py $(OF_MODEL) --repeats 6
	$(BIN)/python benchmarks/gpu.py

bench-scaling: $(VENV)/.installed ## Measure time and memory by image size, frozen depth and arms
	$(BIN)/python benchmarks/scaling.py $(OF_MODEL)

parity: $(VENV)/.installed ## Compare losses and mAP50 with plain Ultralytics, with seeds and intervals
	$(BIN)/python benchmarks/parity.py $(OF_MODEL)

docs: $(VENV)/.docs-installed ## Build the documentation into site/
	$(BIN)/mkdocs build --strict

clean: ## Remove caches and what was built; .venv and runs/ stay
	rm -rf site build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
