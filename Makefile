# `make demo` shows the main job on a shipped fixture, `make test` runs everything there is to check.
# Both set up .venv by themselves; they need Python >= 3.10, make and PyPI.
PYTHON ?= python3
BIN := .venv/bin
# As pip does for what it installs, and Python where PYTHONDONTWRITEBYTECODE does not forbid it.
BYTECODE := $(BIN)/python -m compileall -q src
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test test-pyodide bench conformance trace-conformance evidence docs format clean

# Exit status 1 says that there are findings: here there should be.
demo: .venv/.demo
	@$(BIN)/nginx-stream-lint fixtures/demo/nginx.conf || test $$? -eq 1

test: .venv/.test
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

# The wheel in a real Pyodide, which npm installs; needs node >= 20.
test-pyodide: .venv/.test
	$(BIN)/python -m pytest tests/pyodide

# Our commands beside others on the same generated files; QUICK=1 for two rounds. Exit status 2 (of
# make) where a goal is missed.
bench: .venv/.test
	$(BYTECODE)
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick)

# Thousands of random configurations and requests against every nginx that is here.
conformance: .venv/.test
	$(BIN)/python -m tests.conformance.test_delivery --cases $(or $(CASES),10000)
	$(BIN)/python -m tests.conformance.random_routes --nginx old --cases $(or $(ROUTES),100000)
	$(BIN)/python -m tests.conformance.random_routes --nginx new --cases $(or $(ROUTES),100000)

# Sixty chains of real proxies with one thing wrong, each traced three times.
trace-conformance: .venv/.test
	$(BIN)/python -m tests.trace.chains --runs $(or $(RUNS),3)

# What the rules' pages and the folklore page say was measured; both nginx are needed.
evidence: .venv/.test
	$(BIN)/python -m tests.conformance.record
	$(BIN)/python -m tests.conformance.folklore
	$(BIN)/python -m tests.pages

# What the linter loads in place of its YAML; the pages and the man page that are made from the code;
# then the site in site/.
docs: .venv/.test
	$(BIN)/python -m tests.compiled
	$(BIN)/python -m tests.pages
	$(BIN)/python -m tests.manpage
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

format: .venv/.test
	$(BIN)/ruff check --fix src tests benchmarks
	$(BIN)/ruff format src tests benchmarks

.venv/.demo: pyproject.toml
	$(PYTHON) -m venv .venv
	$(PIP) --editable .
	$(BYTECODE)
	touch $@

# The pip of an old Python knows no dependency groups.
.venv/.test: .venv/.demo
	$(PIP) --upgrade 'pip>=25.1'
	$(PIP) --editable '.[probe,trace]' --group dev
	touch $@

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis dist site
