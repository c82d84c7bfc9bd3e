# Every target makes its own virtual environment in .venv: `make demo` is all a fresh machine needs.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
# The lowest versions that pyproject.toml declares, in an environment of their own.
MINIMUM := .venv-minimum
# The wheel, in an environment that has nothing else but what it requires.
WHEEL := build/wheel
OUT ?= brain_sweep
# Each test process simulates several devices of its own; more processes than two buy little.
WORKERS ?= 2
PYTEST_ARGS ?=
# The quick tier of the tests, which `test`, `coverage` and `test-minimum` run.
QUICK := tests -m "not slow"
SITE := docs/_build/html
BENCH_ARGS ?=
MUTANTS_ARGS ?=
# What a source distribution must contain: a packager builds, tests and documents gridax from it.
IN_SDIST := LICENSE README.md CHANGELOG.md CONTRIBUTING.md CITATION.cff Makefile pyproject.toml \
  src/gridax/py.typed tests/conftest.py docs/conf.py notebooks examples benchmarks

.PHONY: help demo test test-all test-minimum coverage mutants lint docs bench dist clean

help:
	@echo "make demo          sweep a whole-brain network; writes a netCDF file and a figure to $(OUT)/"
	@echo "make test          run the quick tests           (PYTEST_ARGS='-k labels' for a part of them)"
	@echo "make test-all      run all tests, with clusters, faults, browser and notebooks"
	@echo "make test-minimum  run the quick tests with the lowest versions that gridax supports"
	@echo "make coverage      run the quick tests and print which lines they miss"
	@echo "make mutants       show changes of the core that no test notices (MUTANTS_ARGS='--sample 100')"
	@echo "make lint          ruff, mypy and the layers of the imports"
	@echo "make docs          build the documentation, notebooks executed, into $(SITE)/"
	@echo "make bench         print the benchmark table     (BENCH_ARGS=--quick for tiny sizes)"
	@echo "make dist          build the wheel and the sdist into dist/, check them, try the wheel"
	@echo "make clean         remove environments, caches and everything built"

demo: $(VENV)/.demo
	@$(BIN)/gridax demo $(OUT)

test: $(VENV)/.dev
	@$(BIN)/python -m pytest -n $(WORKERS) $(QUICK) $(PYTEST_ARGS)

test-all: $(VENV)/.dev
	@$(BIN)/python -m pytest -n $(WORKERS) $(PYTEST_ARGS)

test-minimum: $(MINIMUM)/.installed
	@$(MINIMUM)/bin/python -m pytest -n $(WORKERS) $(QUICK) $(PYTEST_ARGS)

coverage: $(VENV)/.dev
	@$(BIN)/python -m pytest -n $(WORKERS) --cov --cov-report=term-missing:skip-covered $(QUICK) $(PYTEST_ARGS)

mutants: $(VENV)/.dev
	@$(BIN)/python -m tests.mutants $(MUTANTS_ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.docs
	@echo "Executing the pages and notebooks that changed; the longest take minutes ..."
	@set -o pipefail; $(BIN)/python -m sphinx -W --keep-going -q -b html docs $(SITE) 2>&1 \
	  | { grep --line-buffered -v '^$$\|IPKernelApp' || true; }
	@$(BIN)/python docs/check_links.py $(SITE)
	@echo "documentation: $(SITE)/index.html"

bench: $(VENV)/.demo
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

dist: $(VENV)/.dev
	@rm -rf dist $(WHEEL)
	@$(BIN)/python -m build --outdir dist .
	@$(BIN)/python -m twine check --strict dist/*
	@tar -tzf dist/*.tar.gz | cut -d / -f 2- > dist/contents; for path in $(IN_SDIST); do \
	  grep -Eq "^$$path(/|\$$)" dist/contents \
	    || { echo "the sdist lacks $$path: add it to [tool.hatch.build.targets.sdist]" >&2; exit 1; }; \
	done; rm dist/contents
	@echo "Installing the wheel into $(WHEEL) ..."
	@$(BIN)/python -m venv --without-pip $(WHEEL)
	@$(BIN)/python -m pip --python $(WHEEL)/bin/python install --quiet dist/*.whl
	@$(WHEEL)/bin/python -m gridax --help > $(WHEEL)/help.txt
	@cd $(WHEEL) && bin/python -m gridax demo
	@echo "checked: dist/"

clean:
	rm -rf $(VENV) $(MINIMUM) $(OUT) docs/_build docs/api build dist .coverage .coverage.* \
	  .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# This checkout, editable, with what a target needs. pip names hundreds of files on its way; one line
# a package is enough to see that something happens.
$(VENV)/.demo: NEEDS = -e '.[demo]'
$(VENV)/.docs: NEEDS = -e '.[notebooks]' --group docs
$(VENV)/.dev: NEEDS = -e '.[notebooks]' --group dev
$(VENV)/.%: pyproject.toml | $(BIN)/python
	@echo "Installing gridax and what \`make $(MAKECMDGOALS)\` needs into $(VENV) (a few minutes the first time) ..."
	@set -o pipefail; $(BIN)/python -m pip install --disable-pip-version-check $(NEEDS) | awk \
	  '/^Collecting / { \
	     name = $$2; sub(/[^A-Za-z0-9._-].*/, "", name); \
	     if (!seen[name]++) {print "  " name; fflush()}} \
	   /^Installing collected/ {print "  unpacking all " NF - 3 " ..."; fflush()}'
	@touch $@

# pip cannot choose the lowest versions, uv can.
$(MINIMUM)/.installed: pyproject.toml | $(MINIMUM)/bin/python
	@echo "Installing the lowest versions that gridax supports into $(MINIMUM) ..."
	@$(MINIMUM)/bin/python -m pip install --disable-pip-version-check --quiet uv
	@$(MINIMUM)/bin/uv pip install --quiet --python $(MINIMUM)/bin/python \
	  --resolution lowest-direct -e '.[notebooks]' --group test
	@touch $@

# The first Python that is new enough and really starts (a version manager's shim may not). The lowest
# versions have wheels for the lowest Python only. Where a distribution ships Python without
# ensurepip, its own pip fills the environment; `--group` came with pip 25.1.
$(BIN)/python: PYTHONS = python3 python3.14 python3.13 python3.12 python3.11 python
$(BIN)/python: ACCEPTED = >= (3, 11)
$(MINIMUM)/bin/python: PYTHONS = python3.11 python3 python
$(MINIMUM)/bin/python: ACCEPTED = == (3, 11)
$(BIN)/python $(MINIMUM)/bin/python: %/bin/python:
	@for python in $(PYTHON) $(PYTHONS); do \
	  if $$python -c 'import sys; sys.exit(not sys.version_info[:2] $(ACCEPTED))' >/dev/null 2>&1; then \
	    echo "Creating $* with $$($$python --version) ..."; \
	    { $$python -m venv --clear $* >/dev/null 2>&1 \
	      || { $$python -m venv --clear --without-pip $* \
	           && $$python -m pip --python $@ install --quiet pip; }; } \
	      && $@ -m pip install --disable-pip-version-check --quiet --upgrade 'pip>=25.1' && exit 0; \
	    rm -rf $*; \
	    echo "$$python cannot create a virtual environment: install its venv module" \
	      "(on Debian and Ubuntu: apt-get install python3-venv)." >&2; exit 1; \
	  fi; \
	done; \
	echo "$* needs Python $(ACCEPTED), and none was found on the PATH." \
	  "Install it, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1
