# Every target makes its own virtual environment in .venv: `make demo` is all a fresh machine needs.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
OUT ?= brain_sweep
# Each test process simulates several devices of its own; more processes than two buy little.
WORKERS ?= 2
PYTEST_ARGS ?=
SITE := docs/_build/html
BENCH_ARGS ?=
MUTANTS_ARGS ?=

.PHONY: help demo test mutants lint docs bench clean

help:
	@echo "make demo    sweep a whole-brain network; writes a netCDF file and a figure to $(OUT)/"
	@echo "make test    run the whole test suite      (PYTEST_ARGS='-k labels' for a part of it)"
	@echo "make mutants show changes of the core that no test notices (MUTANTS_ARGS='--sample 100')"
	@echo "make docs    build the documentation, notebooks executed, into $(SITE)/"
	@echo "make lint    ruff, mypy and the layers of the imports"
	@echo "make bench   print the benchmark table     (BENCH_ARGS=--quick for tiny sizes)"
	@echo "make clean   remove .venv, caches and everything built"

demo: $(VENV)/.demo
	@$(BIN)/python examples/brain_sweep.py $(OUT)

test: $(VENV)/.test
	@$(BIN)/python -m pytest -n $(WORKERS) $(PYTEST_ARGS)

mutants: $(VENV)/.test
	@$(BIN)/python -m tests.mutants $(MUTANTS_ARGS)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.docs
	@echo "Executing pages and notebooks (those that changed) ..."
	@set -o pipefail; $(BIN)/python -m sphinx -W --keep-going -q -b html docs $(SITE) 2>&1 \
	  | { grep -v '^$$\|IPKernelApp' || true; }
	@$(BIN)/python docs/check_links.py $(SITE)
	@echo "documentation: $(SITE)/index.html"

bench: $(VENV)/.demo
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

clean:
	rm -rf $(VENV) $(OUT) docs/_build docs/api build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# $(VENV)/.demo and $(VENV)/.test: this checkout, editable, with the extra of that name. pip names
# hundreds of files on its way; one line a package is enough to see that something happens.
$(VENV)/.%: pyproject.toml | $(BIN)/python
	@echo "Installing gridax[$*] into $(VENV) (a few minutes the first time) ..."
	@set -o pipefail; $(BIN)/python -m pip install --disable-pip-version-check -e '.[$*]' | awk \
	  '/^(Collecting|Obtaining dependency information for) / { \
	     name = $$1 == "Collecting" ? $$2 : $$5; sub(/[^A-Za-z0-9._-].*/, "", name); \
	     if (!seen[name]++) {print "  " name; fflush()}} \
	   /^Installing collected/ {print "  unpacking all " NF - 3 " ..."; fflush()}'
	@touch $@

# The first Python that is new enough and really starts (a version manager's shim may not).
# Where a distribution ships Python without ensurepip, its own pip fills the environment.
$(BIN)/python:
	@for python in $(PYTHON) python3 python3.13 python3.12 python3.11 python; do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	    echo "Creating $(VENV) with $$($$python --version) ..."; \
	    $$python -m venv --clear $(VENV) >/dev/null 2>&1 && exit 0; \
	    $$python -m venv --clear --without-pip $(VENV) \
	      && $$python -m pip --python $(BIN)/python install --quiet pip && exit 0; \
	    rm -rf $(VENV); \
	    echo "$$python cannot create a virtual environment: install its venv module" \
	      "(on Debian and Ubuntu: apt-get install python3-venv)." >&2; exit 1; \
	  fi; \
	done; \
	echo "gridax needs Python 3.11 or newer, and none was found on the PATH." \
	  "Install it, or name it: make demo PYTHON=/path/to/python3.11" >&2; exit 1
