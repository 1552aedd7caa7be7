# Hydra 1.3 does not run on Python 3.14
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.10; do \
  $$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
# The script `charrnn` does not start in a folder with a blank and a quote in its name.
CHARRNN := $(BIN)/python -m charrnn
ARGS ?=

.PHONY: help setup setup-dev train demo serve release-check dist test test-slow test-browser test-gpu test-slurm test-oldest faults mutants fmt lint tensorboard docs site bench results clean
.DEFAULT_GOAL := help

# the run that this makes, and no other that begins meanwhile; with ARGS="resume=..." the newest
# After Ctrl-C charrnn has said how to go on; make ends by the same signal, without words of its own.
define train_and_sample
@trap : INT; run=outputs/train/$$(date +%Y-%m-%d/%H-%M-%S); \
$(CHARRNN) train $(ARGS) $(1) $(if $(findstring resume=,$(ARGS))$(findstring .dir=,$(ARGS)),,hydra.run.dir=$$run hydra.sweep.dir=$$run) && \
$(CHARRNN) sample length=500 $$(test -d $$run && echo checkpoint=$$run) || \
{ code=$$?; test $$code = 130 || exit $$code; }
endef

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 14

# A shell without job control starts a job deaf to Ctrl-C, so the shell ends it. If the shell ends
# before make has got the signal, make complains.
end_job = trap 'kill $$job; echo "setup: interrupted; the same command continues it"; sleep 1; exit 0' INT; \
  trap 'kill $$job; exit 143' TERM HUP

# pip's words go into a log, which is shown where it fails. What it works on is named meanwhile.
define pip_install
@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off \
  --editable '.[$(EXTRAS)]' >.venv/pip.log 2>&1 & job=$$!; last=; $(end_job); \
while kill -0 $$job 2>/dev/null; do \
  sleep 2; \
  now=$$(sed -nE 's,^ *(Collecting|Downloading) ([^ ]*/)?([^][ ;<>=!~(]*).*,\1 \3,p; s,^(Installing) collected.*,\1 the packages,p' .venv/pip.log | tail -n 1); \
  test "$$now" = "$$last" || echo "setup: $$now"; last=$$now; \
done; \
wait $$job || { cat .venv/pip.log; echo "setup: pip failed; it says why above"; exit 1; }
endef

setup: $(BIN)/.ready  ## make .venv with what README uses (nothing to do when nothing changed)

$(BIN)/.ready: EXTRAS = serve
$(BIN)/.ready: pyproject.toml
	@test -n "$(PYTHON)" || { echo "setup: needs Python 3.10 to 3.13: install one, or name it: make setup PYTHON=/path/to/python3.13"; exit 2; }
	@echo "setup: $$($(PYTHON) --version) makes .venv, for this folder only, and pip installs torch,"
	@echo "  Lightning and the rest there, once: some minutes, 1.3 GB with the CPU build of torch"
	@test "$$(uname)" != Linux || command -v nvidia-smi >/dev/null || \
	  echo "  (pip's torch for Linux brings CUDA, 5.7 GB; there is no NVIDIA GPU here: README, CPU build)"
	@$(PYTHON) -m venv .venv & job=$$!; $(end_job); wait $$job
	$(pip_install)
	@$(CHARRNN) --version
	@touch $@

setup-dev: $(BIN)/.ready-dev  ## the same with the tools of a developer, and the extras that the tests need

$(BIN)/.ready-dev: EXTRAS = dev
$(BIN)/.ready-dev: $(BIN)/.ready
	@echo "setup: pip adds what the tests need: 0.6 GB"
	$(pip_install)
	@touch $@

train: setup  ## fetch the default corpus, train the default recipe, print a sample; ARGS="model=gru ..." overrides
	$(train_and_sample)

demo: setup  ## the same way in about a minute
	$(call train_and_sample,experiment=demo)

serve: setup  ## open a page to write on; without a model, one that learns a text by counting
	@trap : INT; $(CHARRNN) serve $(ARGS)

# the checker of the action that uploads them (v1.14.2 in release.yml)
CHECKER = twine==7.0.0 packaging==26.2

release-check:  ## whether the blocks that commands made are as new as the code (docs/marks.py)
	$(PYTHON) docs/marks.py

dist: release-check  ## the wheel and the sdist of a release, checked, in dist/
	rm -rf dist
	$(PYTHON) -m venv build/release
	build/release/bin/python -m pip install --quiet --disable-pip-version-check build $(CHECKER)
	build/release/bin/python -m build
	build/release/bin/python -m twine check --strict dist/*

test: setup-dev  ## the fast tests
	$(BIN)/python -m pytest -q -n 2 --dist worksteal $(ARGS)

test-slow: setup-dev  ## the tests that take minutes
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m 'slow and not browser and not slurm' $(ARGS)

test-browser: setup-dev  ## the pages in a real Chromium, which is installed where apt can
	@command -v chromium >/dev/null || { apt-get update && apt-get install --yes chromium; } || true
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[browser]'
	@test -z "$(TEST_BROWSER)" || $(BIN)/python -m playwright install --with-deps $(TEST_BROWSER)
	$(BIN)/python -m pytest -q -m browser $(ARGS)

test-gpu: setup-dev  ## what needs a CUDA GPU, on a machine that has one
	$(BIN)/python -m pytest -q -m gpu $(ARGS)

test-slurm: setup-dev  ## jobs on a SLURM of one machine, which is installed where apt can
	@command -v slurmctld >/dev/null || { apt-get update && apt-get install --yes slurmctld slurmd slurm-client; } || true
	$(BIN)/python -m pytest -q -m slurm $(ARGS)

test-oldest:  ## the fast tests with the oldest versions that pyproject.toml admits, in .venv-oldest
	$(PYTHON) tests/oldest.py $(ARGS)

faults: setup-dev  ## training killed again and again in every phase, and what was lost; some minutes
	$(BIN)/python -m pytest -q -n 2 -m faults $(ARGS)

mutants: setup-dev  ## whether the tests find faults that are put into the code; ARGS="numpy" those so named
	$(BIN)/python -m tests.mutants $(ARGS)

fmt: setup-dev  ## let ruff format the code, and mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lint: setup-dev  ## ruff, mypy for the oldest and the newest Python, and zizmor for the workflows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --python-version 3.10
	$(BIN)/mypy --python-version 3.13
	$(BIN)/zizmor --offline --quiet .github

# the folders in outputs/ one by one: it follows links, and outputs/latest is a run again
tensorboard: setup  ## every run below outputs/; ARGS="--port=6007 ..."
	$(BIN)/tensorboard --samples_per_plugin=images=100,text=100 $(ARGS) \
	  --logdir_spec=$$(cd outputs; find * -maxdepth 0 -type d | sed 's#.*#&:outputs/&#' | paste -sd, -)

docs: setup-dev  ## run the commands that the pages show, and write what they print there
	PYTHONPATH=. $(BIN)/python docs/outputs.py $(ARGS)

site: setup-dev  ## docs/, the API and the gallery's models as a site, in build/site; GALLERY=no trains none
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	$(if $(filter no,$(GALLERY)),,PYTHONPATH=. $(BIN)/python docs/gallery_pages.py $(GALLERY))
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: setup-dev  ## charrnn beside its peers, in one run, written on docs/results.md where it is whole
	$(BIN)/python -m benchmarks $(ARGS)

results: setup-dev  ## train the recipes that have no result yet, and write docs/results.md and README; hours
	$(BIN)/python -m benchmarks.recipes $(ARGS)
	$(if $(ARGS),,$(BIN)/python -m benchmarks.text_sizes)

clean:  ## remove the environment and caches; runs in outputs/ stay
	rm -rf .venv .venv-oldest build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
