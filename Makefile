# Two commands for a new user: `make demo` and `make test`. Each sets up .venv by itself.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-$(shell cat requirements.lock pyproject.toml | cksum | cut -d' ' -f1)
DEMO_ROOT ?= demo
STACK_ROOT ?= stack
PICTURE_ROOT ?= $(DEMO_ROOT)

# A quarter of all lines, hardly any of which is ever imported: compiled by whoever does.
UNCOMPILED := tests?|transformers/models|diffusers/(pipelines|models)|phonenumbers|ray/(rllib|serve|tune|data|train)|databricks|pip

.PHONY: help setup demo stack stack-status stack-stop test test-slow bench lint lock audit dashboards pictures clean

help:  ## what each target does
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP)  ## the virtual environment, from the lock file

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 12) else f"found Python {v[0]}.{v[1]}; expected 3.11 or 3.12; set PYTHON=/path/to/python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the locked packages into $(VENV) (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -r requirements.lock
	@$(BIN)/python -m compileall -qq -j 0 -x "/($(UNCOMPILED))/" $(VENV)/lib || true  # some hold files of other Pythons
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@rm -f $(VENV)/.installed-*; touch $@

demo: setup  ## the main job on synthetic replicas: seven sources to a registered, scored model
	@$(BIN)/cxr run --scale tiny --replicas --data-root $(DEMO_ROOT)

stack: setup  ## PostgreSQL, Prefect, MLflow, an object store and workers as local processes
	@$(BIN)/cxr stack up --folder $(STACK_ROOT)

stack-status:  ## how each process of the stack is
	@$(BIN)/cxr stack status --folder $(STACK_ROOT)

stack-stop:  ## stop all of them; what they keep stays
	@$(BIN)/cxr stack stop --folder $(STACK_ROOT)

# Three at a time on two cores: a fifth of what the tests take is waiting for processes to start.
test: setup  ## lint, types, import contracts and the tests that CI runs
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports
	@$(BIN)/python -m pytest -n 3 --dist loadfile -m "not slow and not gpu"

test-slow: setup  ## what takes longer: kill -9 storms, the whole demo, real data end to end
	@$(BIN)/python -m pytest -m "slow and not gpu" --timeout 5400

bench: setup  ## speed and memory beside named rivals; results go to docs/benchmarks.md
	@$(BIN)/python -m tests.bench.run
	@$(BIN)/python -m tests.bench.llm
	@$(BIN)/python -m tests.bench.loading
	@$(BIN)/python -m tests.bench.training
	@$(BIN)/python -m tests.bench.generation
	@$(BIN)/python -m tests.bench.evaluation
	@$(BIN)/python -m tests.bench.serving
	@$(BIN)/python -m tests.bench.scale

lint: setup  ## format, then check style, types and import contracts
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix . && $(BIN)/mypy && $(BIN)/lint-imports

lock:  ## resolve the newest versions that fit pyproject.toml into requirements.lock
	@$(PYTHON) tests/make_lock.py

audit: setup  ## pins, licences and known vulnerabilities of the locked packages; exit 3: not looked up
	@$(BIN)/python -m tests.audit

dashboards: setup  ## write Grafana's dashboards from infra/dashboards
	@$(BIN)/python -m infra.dashboards

pictures: setup  ## take the pictures of docs/pages.md anew, in Chromium, from replicas
	@$(BIN)/python -m tests.pictures $(PICTURE_ROOT)

clean:  ## remove what the demo and the tools wrote
	rm -rf $(DEMO_ROOT) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
