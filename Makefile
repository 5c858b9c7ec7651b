# Everything runs in a virtual environment in .venv; nothing but Python 3.11 or newer and its pip is assumed.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
RUN    ?= runs
# a process per core, but no more than memory holds; a file's tests stay together, so that its fixtures are made once
SPREAD ?= --numprocesses=logical --maxprocesses=4 --dist=loadfile --no-loadscope-reorder
# the many processes that tests start would each compile the package
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help install install-dev docs demo maeeg audiomae alignment diffusion tensorboard test test-all test-minimum format lint types benchmark clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "eeg2speech needs Python 3.11 or newer; name one: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-test: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.installed-test $(VENV)/.installed

$(VENV)/.installed-docs: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@ $(VENV)/.installed

install: $(VENV)/.installed ## Install into .venv
install-dev: $(VENV)/.installed-dev ## Install with everything a developer needs

demo: maeeg audiomae alignment diffusion ## Install, then run the three stages in a row on the embedded data

maeeg: $(VENV)/.installed ## Stage 1: train MAEEG and test it (ARGS="--data.store STORE" for your own data)
	$(BIN)/eeg2speech fit --config configs/maeeg.yaml $(ARGS)
	$(BIN)/eeg2speech test --config configs/maeeg.yaml --ckpt_path best $(ARGS)

audiomae: $(VENV)/.installed ## The small audio encoder that stage 2 takes over on the embedded data
	$(BIN)/eeg2speech fit --config configs/audiomae.yaml $(ARGS)
	$(BIN)/eeg2speech test --config configs/audiomae.yaml --ckpt_path best $(ARGS)

alignment: $(VENV)/.installed ## Stage 2, after `make maeeg audiomae`: align EEG with speech, and test it
	$(BIN)/eeg2speech fit --config configs/alignment.yaml $(ARGS)
	$(BIN)/eeg2speech test --config configs/alignment.yaml --ckpt_path best $(ARGS)

diffusion: $(VENV)/.installed ## Stage 3, after `make alignment`: speech from EEG, and a test of it
	$(BIN)/eeg2speech fit --config configs/diffusion.yaml $(ARGS)
	$(BIN)/eeg2speech test --config configs/diffusion.yaml --ckpt_path best $(ARGS)

tensorboard: $(VENV)/.installed ## Watch all runs in a browser (RUN=runs/alignment for one, ARGS="--port 6007")
	@echo "TensorBoard on $(RUN): its address is printed below; Ctrl-C ends it"
	$(BIN)/tensorboard --logdir $(RUN) $(ARGS)

test: $(VENV)/.installed-test ## Install, then run the tests
	$(BIN)/python -m pytest -m "not slow" $(SPREAD) $(ARGS)

test-all: $(VENV)/.installed-test ## Run the slow tests as well, with coverage
	$(BIN)/python -m pytest $(SPREAD) --cov --cov-report=term:skip-covered $(ARGS)

test-minimum: ## Run the tests in .venv-minimum with the oldest supported versions of the dependencies
	$(PYTHON) -m venv .venv-minimum
	.venv-minimum/bin/python -m pip install --quiet --disable-pip-version-check uv
	.venv-minimum/bin/uv pip install --quiet --python .venv-minimum/bin/python --resolution lowest-direct --editable '.[test]'
	.venv-minimum/bin/python -m pytest -m "not slow" -W default $(SPREAD) $(ARGS)  # old releases warn of newer ones

format: $(VENV)/.installed-dev ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only --quiet .

lint: $(VENV)/.installed-dev ## Check style, and who imports whom
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo

types: $(VENV)/.installed-dev ## Check types
	$(BIN)/mypy

benchmark: $(VENV)/.installed-dev ## Time the model and the data module against their alternatives
	$(BIN)/python -m tests.benchmarks.model
	$(BIN)/python -m tests.benchmarks.contrastive
	$(BIN)/python -m tests.benchmarks.audio
	$(BIN)/python -m tests.benchmarks.diffusion --seconds 1.28
	$(BIN)/python -m tests.benchmarks.loader
	$(BIN)/python -m tests.benchmarks.operations

docs: $(VENV)/.installed-docs ## Build the documentation: build/site/index.html
	@# not --quiet, which keeps --strict from counting warnings
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --config-file docs/mkdocs.yml

clean: ## Remove what was built, but no runs
	rm -rf $(VENV) .venv-minimum build *.egg-info .mypy_cache .ruff_cache .pytest_cache .coverage htmlcov
