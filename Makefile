# `make demo` and `make test` set up everything they need; only Python 3.11 or newer has to be installed.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar off

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow fmt fmt-check lint types rooms docs check wheel clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# ---- setup: a virtual environment, updated only when pyproject.toml has changed -------------------------------------

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "CancerNet needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 | tail -n 1)." >&2; \
	  echo "Name another: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: pyproject.toml | $(VENV)/.made
	@echo "Installing CancerNet into $(VENV) (the first time this downloads PyTorch, which takes minutes) ..."
	@$(PIP) -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/.made
	@echo "Installing CancerNet and its development tools into $(VENV) (the first time this takes minutes) ..."
	@$(PIP) -e '.[dev]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-docs: pyproject.toml | $(VENV)/.made
	@echo "Installing CancerNet and its documentation tools into $(VENV) (the first time this takes minutes) ..."
	@$(PIP) -e '.[docs]'
	@touch $@ $(VENV)/.installed

# ---- for users ------------------------------------------------------------------------------------------------------

demo: $(VENV)/.installed ## Set up, then classify examples/slides with the bundled model
	@mkdir -p demo
	$(BIN)/cancernet classify examples/slides --out demo/predictions.parquet --overlays demo/overlays --overwrite --format quiet
	@$(BIN)/python examples/show_predictions.py demo/predictions.parquet demo/overlays

test: $(VENV)/.installed-dev ## Set up, then run the tests except the slow ones
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto -m "not slow and not gpu"

# ---- for developers -------------------------------------------------------------------------------------------------

test-slow: $(VENV)/.installed-dev ## Run the slow tests: kills, thousands of files, the wheel
	$(BIN)/python -m pytest -m "slow and not gpu"

fmt: $(VENV)/.installed-dev ## Format the code and apply ruff's automatic fixes
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

fmt-check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check

lint: $(VENV)/.installed-dev ## Lint
	$(BIN)/ruff check

types: $(VENV)/.installed-dev ## Check types
	$(BIN)/mypy

rooms: $(VENV)/.installed-dev ## Check the import rules between rooms
	$(BIN)/lint-imports

docs: $(VENV)/.installed-docs ## Build the documentation site into site/; warnings are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

check: fmt-check lint types rooms test ## Run all checks, and the tests except the slow ones

wheel: $(VENV)/.installed-dev ## Build dist/*.whl, including the models
	$(BIN)/python -m build --wheel --no-isolation

clean: ## Remove everything the targets above created, including the environment
	rm -rf $(VENV) build dist demo site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
