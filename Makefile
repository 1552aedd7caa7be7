PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

.PHONY: help setup train demo test test-browser test-oldest faults lint tensorboard bench results clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 14

setup: $(BIN)/.ready  ## make .venv with everything in it (nothing to do when nothing changed)

$(BIN)/.ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

train: setup  ## fetch the default corpus, train the default recipe, print a sample; ARGS="model=gru ..." overrides
	$(BIN)/charrnn train $(ARGS)
	$(BIN)/charrnn sample length=500

demo: setup  ## the same way in about a minute
	$(BIN)/charrnn train experiment=demo $(ARGS)
	$(BIN)/charrnn sample length=500

test: setup  ## the fast tests
	$(BIN)/python -m pytest -q -n 2 $(ARGS)

test-browser: setup  ## the pages in a real Chromium, which is installed where apt can
	@command -v chromium >/dev/null || { apt-get update && apt-get install --yes chromium; } || true
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[browser]'
	$(BIN)/python -m pytest -q -m browser $(ARGS)

test-oldest:  ## the fast tests with the oldest versions that pyproject.toml admits, in .venv-oldest
	$(PYTHON) tests/oldest.py $(ARGS)

faults: setup  ## training killed again and again in every phase, and what was lost; some minutes
	$(BIN)/python -m tests.faults $(ARGS)

lint: setup  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

tensorboard: setup  ## every run below outputs/, named by what differs; ARGS="port=6007 ..."
	$(BIN)/charrnn tensorboard $(ARGS)

bench: setup  ## charrnn beside its peers, in one run
	$(BIN)/python -m benchmarks $(ARGS)

results: setup  ## train the recipes that have no result yet, and write docs/results.md; hours
	$(BIN)/python -m benchmarks.recipes $(ARGS)

clean:  ## remove the environment and caches; runs in outputs/ stay
	rm -rf .venv .venv-oldest build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
