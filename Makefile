PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PROTOCOL ?= protocols/cross_domain.yaml

.PHONY: bench test lint types security audit pytest test-lowest clean

bench: $(VENV)/.installed
	$(BIN)/mmbench run $(PROTOCOL)

test: lint types security pytest

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: $(VENV)/.installed-test
	$(BIN)/mypy

security: $(VENV)/.installed-test
	$(BIN)/bandit --quiet --recursive -ll mmbench baselines 2>/dev/null

# Asks a service on the internet about known vulnerabilities of what is installed.
audit: $(VENV)/.installed-test
	$(BIN)/python -m pip install --quiet pip-audit
	$(BIN)/pip-audit --local --skip-editable

pytest: $(VENV)/.installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 $(PYTEST_ARGS)

# The quick tests with the lowest versions that pyproject.toml allows; torch and torchvision stay.
test-lowest: VENV := .venv-lowest
test-lowest:
	$(PYTHON) -m venv $(VENV)
	$(PYTHON) tests/lowest.py >$(VENV)/lowest.txt
	$(BIN)/python -m pip install --quiet --constraint $(VENV)/lowest.txt --editable '.[test]'
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 -m "not slow" $(PYTEST_ARGS)

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "mmbench needs Python 3.11 or newer; try: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.installed-test: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) .venv-lowest build *.egg-info
