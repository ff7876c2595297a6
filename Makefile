PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PROTOCOL ?= protocols/cross_domain.yaml

SINCE ?= HEAD~1
QUICK ?= tests/claims tests/data tests/protocol tests/stats tests/test_layers.py tests/test_privates.py \
	tests/test_project.py tests/test_provenance.py tests/test_tables.py tests/test_words.py

.PHONY: bench test quick lint types security audit pytest coverage mutation test-lowest hooks check-commits \
	check-wheel lock sbom licences clean

bench: $(VENV)/.installed
	$(BIN)/mmbench run $(PROTOCOL)

test: lint types security pytest

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: $(VENV)/.installed-test
	$(BIN)/mypy
	$(BIN)/mypy --config-file tests/mypy.ini tests benchmarks

security: $(VENV)/.installed-test
	$(BIN)/bandit --quiet --recursive -ll mmbench baselines 2>/dev/null

# What a change breaks most often, before a commit; make test is the whole.
quick: lint types
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadgroup -m "not slow" $(QUICK) $(PYTEST_ARGS)

# Branch coverage of the whole suite, without what runs in processes of its own; fails below the bound in pyproject.toml.
coverage: $(VENV)/.installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadgroup --cov --cov-report=term $(PYTEST_ARGS)

# Changes the code of statistics and store bit by bit and counts which changes no test notices: hours.
mutation: $(VENV)/.installed-dev
	$(BIN)/mutmut run
	$(BIN)/mutmut results

# Asks a service on the internet about known vulnerabilities of what is installed.
audit: $(VENV)/.installed-test
	$(BIN)/python -m pip install --quiet pip-audit
	$(BIN)/pip-audit --local --skip-editable

pytest: $(VENV)/.installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadgroup $(PYTEST_ARGS)

# The quick tests with the lowest versions that pyproject.toml allows; torch and torchvision stay.
test-lowest: VENV := .venv-lowest
test-lowest:
	$(PYTHON) -m venv $(VENV)
	$(PYTHON) .ci/lowest.py >$(VENV)/lowest.txt
	$(BIN)/python -m pip install --quiet --constraint $(VENV)/lowest.txt --editable '.[test]'
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadgroup -m "not slow" $(PYTEST_ARGS)

hooks: $(VENV)/.installed-dev
	$(BIN)/pre-commit install

# Subjects of the commits since SINCE: imperative, at most 72 characters.
check-commits: $(VENV)/.installed-dev
	@for commit in $$(git rev-list --no-merges $(SINCE)..HEAD); do \
		git log -1 --format=%B $$commit >$(VENV)/message; \
		$(BIN)/commit-check --config .github/commit-check.toml --no-banner --message $(VENV)/message || exit 1; \
	done

# A wheel and a source archive, the wheel installed into an environment of its own and used there.
check-wheel: | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet build twine
	rm -rf dist build/wheel-check
	$(BIN)/python -m build --quiet
	$(BIN)/twine check --strict dist/*
	$(PYTHON) -m venv build/wheel-check
	build/wheel-check/bin/python -m pip install --quiet dist/*.whl
	cd build/wheel-check && bin/mmbench list protocols && bin/mmbench run quickstart --results results

# What development and CI were last tried with; torch is chosen by each machine (CPU, or a CUDA version).
lock: $(VENV)/.installed-dev
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --no-annotate \
		--constraint .ci/torch.txt --custom-compile-command "make lock" pyproject.toml \
		--output-file requirements-dev.lock

# A software bill of materials (CycloneDX) of mmbench and what it needs, and the licences of these.
sbom: $(VENV)/.installed-dev
	mkdir -p build
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --of JSON -o build/sbom.json $(BIN)/python

licences: $(VENV)/.installed-dev
	$(BIN)/python .ci/licences.py >docs/licences.md

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "mmbench needs Python 3.11 or newer; try: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.installed-test: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@ $(VENV)/.installed

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@ $(VENV)/.installed-test $(VENV)/.installed

clean:
	rm -rf $(VENV) .venv-lowest build dist *.egg-info
