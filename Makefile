# Two commands do everything on a machine with Python 3.11+ and git: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
WHEEL := $(VENV)/.wheel
SOURCES := $(shell find smithers_git commands agents packs hooks skills -type f -not -name '*.pyc' 2>/dev/null)
CORES := $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$((n < 2 ? 2 : n)))
WORKERS = $(CORES)
# Tests wait for processes. With two workers more than cores these are busy: 5,350 tests took 733 s of CPU in 379 s.
unit explore: WORKERS = $(shell echo $$(($(CORES) + 2)))

# Repositories that tests make and remove belong in memory: a disk without a journal was 25 times slower for it.
SCRATCH ?= $(shell if [ -d /dev/shm ] && [ -w /dev/shm ]; then echo /dev/shm; else echo $${TMPDIR:-/tmp}; fi)

# With it set, every pytest process would rewrite every assertion anew, and every `smithers` compile itself.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test lint types unit docs test-agents test-hooktools bench bench-peers explore soak kills power simulate stateful release-fixture sweep growth reliability reliability-page lock clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(READY): requirements.lock
	$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and "smithers-git needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

# Tests and the demo run the built wheel, not the checkout: a file missing from the wheel must fail here.
$(WHEEL): $(READY) pyproject.toml README.md LICENSE $(SOURCES)
	rm -rf $(VENV)/dist
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation -w $(VENV)/dist .
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-index --force-reinstall $(VENV)/dist/*.whl
	@touch $@

setup: $(WHEEL)  ## a virtual environment in .venv with the locked versions and the built wheel

demo: $(WHEEL)  ## the main job on a scratch repository, every step real, no model needed
	$(BIN)/smithers demo

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy
	$(BIN)/mypy packs/ticket-create/workflow.py

unit: $(WHEEL)
	TMPDIR=$(SCRATCH) $(BIN)/pytest -n $(WORKERS) -m "not soak and not agents and not hooktools"

test: lint types unit  ## lint, types and the tests, but for those of test-agents and soak

docs: $(WHEEL)  ## write docs/commands.md from the help texts
	$(BIN)/python docs/generate.py

# AGENTS="claude codex" installs and tests only these; the others are skipped by name.
test-agents: $(WHEEL)  ## install pinned agent CLIs into a cache folder and drive them against a stub model
	PYTHON=$(BIN)/python sh tests/agents/install.sh $(AGENTS)
	AGENTS="$(AGENTS)" TMPDIR=$(SCRATCH) $(BIN)/pytest -n $(WORKERS) -m agents tests/agents

test-hooktools: $(WHEEL)  ## install pinned pre-commit, husky and lefthook into a cache folder and commit with them
	PYTHON=$(BIN)/python sh tests/hooktools/install.sh
	TMPDIR=$(SCRATCH) $(BIN)/pytest -n $(WORKERS) -m hooktools tests/hooktools

bench: $(WHEEL)  ## overhead per durable step and other ratios, measured inside one run
	$(BIN)/python tests/bench/run.py

bench-peers: $(WHEEL)  ## the durable step beside DBOS, LangGraph and Burr, installed into a cache folder
	PYTHON=$(BIN)/python sh tests/bench/peers/install.sh
	$(BIN)/python tests/bench/peers.py --json

explore: $(WHEEL)  ## the properties of `make unit` with examples that nobody has tried (there they are always the same)
	SMITHERS_TEST_EXPLORE=1 TMPDIR=$(SCRATCH) $(BIN)/pytest -n $(WORKERS) -m "hypothesis and not soak"

soak: $(WHEEL)  ## the long versions of the crash tests
	TMPDIR=$(SCRATCH) $(BIN)/pytest -n $(WORKERS) -m soak

# SECONDS_EACH=600 looks at more images; CASES="land gc" at some operations only; SEED=3f2a at the same images.
power: $(WHEEL)  ## what a power loss may leave of each operation, laid out and recovered from
	SMITHERS_TEST_SECONDS=$(or $(SECONDS_EACH),60) SMITHERS_TEST_CASES="$(CASES)" \
		$(if $(SEED),SMITHERS_TEST_SEED=$(SEED)) TMPDIR=$(SCRATCH) $(BIN)/pytest -m soak tests/reliability/test_power.py

# KILLS=100 SEED=3f2a is one arena again.
kills: $(WHEEL)  ## kill -9 KILLS engines at random moments, with all else that happens to processes and disks
	SMITHERS_TEST_KILLS=$(or $(KILLS),10000) $(if $(SEED),SMITHERS_TEST_SEED=$(SEED)) TMPDIR=$(SCRATCH) \
		$(BIN)/pytest -m soak -k test_soak tests/reliability/test_kills.py

release-fixture: $(WHEEL)  ## write the repository that later versions have to read (NAME=VERSION)
	$(BIN)/python tests/reliability/releases/write.py $(NAME)

SEEDS ?= 100000

# SEED=17 plays this one and prints its scenario and all that happened; FIRST=5000 begins there.
simulate: $(WHEEL)  ## SEEDS simulated worlds around the real engine, in which anything goes wrong
	TMPDIR=$(SCRATCH) PYTHONPATH=tests $(BIN)/python -P -m reliability.simulate.run \
		$(if $(SEED),--seed $(SEED),--seeds $(SEEDS) --first $(or $(FIRST),0))

stateful: $(WHEEL)  ## EXAMPLES of any commands in any order, held to a model; SEED=17: the same ones again
	SMITHERS_TEST_EXAMPLES=$(or $(EXAMPLES),2000) $(if $(SEED),SMITHERS_TEST_SEED=$(SEED)) TMPDIR=$(SCRATCH) \
		$(BIN)/pytest -m soak tests/reliability/test_stateful.py

# ONLY="up,land:kill-before,EIO" names operations and faults, STRIDE=3 is content with a third of the points, SECONDS bounds
# each pair; the next call goes on behind what was tried, as long as the code is the same.
ONLY ?=
STRIDE ?= 1
SECONDS ?= 0
sweep: $(WHEEL)  ## end or fail every operation at each call that changes the disk (ONLY=, STRIDE=, SECONDS=)
	SMITHERS_TEST_SWEEP_ONLY="$(ONLY)" SMITHERS_TEST_SWEEP_STRIDE=$(STRIDE) SMITHERS_TEST_SWEEP_SECONDS=$(SECONDS) \
		TMPDIR=$(SCRATCH) $(BIN)/pytest -s -m soak tests/reliability/test_sweep.py

growth: $(WHEEL)  ## time and size of every command with 20,000 frames, 500 runs, 10,000 tickets
	TMPDIR=$(SCRATCH) $(BIN)/pytest -s -m soak tests/reliability/test_growth.py

# Each part can be called alone in the same way, with SMITHERS_REPORT set: its numbers are then of that run.
reliability: $(WHEEL)  ## every part of the proof at full size, hours; writes docs/reliability.md
	SMITHERS_REPORT=$(CURDIR)/docs/reliability $(MAKE) sweep power kills stateful simulate SEEDS=100000 growth bench-peers
	$(MAKE) reliability-page

reliability-page: $(READY)  ## write docs/reliability.md from the numbers that are there
	PYTHONPATH=tests $(BIN)/python -m reliability.page

lock: $(READY)  ## renew requirements.lock: names, versions and hashes only
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --group dev --extra sdk --universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate --no-emit-index-url --no-config -o requirements.lock

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
