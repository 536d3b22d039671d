# `make demo` checks a fixture, `make test` runs all checks and tests. Both create .venv; they need
# Python >= 3.10, make and PyPI. They install the versions that requirements/ locks, or, with NEWEST=1,
# into .venv-newest, the newest versions that pyproject.toml allows.
PYTHON ?= python3
VENV := $(if $(NEWEST),.venv-newest,.venv)
BIN := $(VENV)/bin
# Compile the sources, as pip does for packages that it installs.
BYTECODE := $(BIN)/python -m compileall -q src
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

LOCKED := --require-hashes --requirement requirements/build.txt --requirement
EDITABLE := --no-deps --no-build-isolation --editable .

.PHONY: demo test test-pyodide release-check bench bench-quick conformance fuzz trace-conformance evidence \
	docs picture format lock clean

# Exit status 1 means findings: the demo has some.
demo: $(VENV)/.demo
	@$(BIN)/nginx-stream-lint fixtures/demo/nginx.conf || test $$? -eq 1

test: $(VENV)/.test
	$(BIN)/ruff check src tests benchmarks fuzz
	$(BIN)/ruff format --check src tests benchmarks fuzz
	$(BIN)/mypy
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

# Test the wheel in a real Pyodide, which npm installs. Needs node and npm.
test-pyodide: $(VENV)/.test
	$(BIN)/python -m pytest tests/pyodide

# Build what a tag would publish, check it, install it, run the demo and the hook from it, and print what
# would be published.
release-check: $(VENV)/.test
	$(BIN)/python -m tests.release_check

# Compare an installed wheel with other programs on the same generated files, and write
# docs/benchmarks.md. Fails if a ratio is above its limit. The quick form takes a minute or two and
# writes nothing.
bench: $(VENV)/.test
	$(BIN)/python -m benchmarks --page docs/benchmarks.md

bench-quick: $(VENV)/.test
	$(BIN)/python -m benchmarks --quick

# Compare `explain` with every installed nginx, or with NGINX=/path/to/nginx, for thousands of random
# configurations and requests. Fails if one disagrees.
WITH := $(if $(NGINX),--nginx $(NGINX))
conformance: $(VENV)/.test
	$(BIN)/python -m tests.conformance.test_delivery $(WITH) --cases $(or $(CASES),10000)
	$(BIN)/python -m tests.conformance.test_handshakes $(WITH) --cases $(or $(HANDSHAKES),10000)
	$(BIN)/python -m tests.conformance.random_routes $(WITH) --cases $(or $(ROUTES),100000)
	$(BIN)/python -m tests.conformance.random_answers $(WITH) --cases $(or $(CASES),10000)
	$(BIN)/python -m tests.conformance.random_chains $(WITH) --cases $(or $(CASES),10000)

# Check invariants with random inputs of every kind. Fails if one is broken, with a reproducer below
# fuzz/reproducers. TARGETS are names; default: all.
fuzz: $(VENV)/.test
	nice -n 10 $(BIN)/python -m fuzz --minutes $(or $(MINUTES),10) $(TARGETS)

# Trace sixty chains of real proxies, each with one fault, three times.
trace-conformance: $(VENV)/.test
	$(BIN)/python -m tests.trace.chains --runs $(or $(RUNS),3)

# Measure what the rules' pages and the folklore page say; needs both nginx. RULE=name measures one rule.
evidence: $(VENV)/.test
	$(BIN)/python -m tests.conformance.record $(RULE)
	$(if $(RULE),,$(BIN)/python -m tests.conformance.folklore)
	$(BIN)/python -m tests.pages

# Write what is made from the code: pages, shown output, the man page, the schema of the settings;
# then the site in site/.
docs: $(VENV)/.test
	$(BIN)/python -m tests.pages
	$(BIN)/python -m tests.manpage
	$(BIN)/python -m tests.shown
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Draw the README's picture of the HTML report; needs Chromium.
picture: $(VENV)/.test
	$(BIN)/python -m tests.picture

# The first run wraps the long lines that the check would refuse, the last one formats what it fixed.
format: $(VENV)/.test
	$(BIN)/ruff format src tests benchmarks fuzz
	$(BIN)/ruff check --fix src tests benchmarks fuzz
	$(BIN)/ruff format src tests benchmarks fuzz

# Lock the newest versions that pyproject.toml allows. The lock for development comes first, so that the
# others get the same versions of what they share.
COMPILE := $(BIN)/uv pip compile --no-config --quiet --universal --python-version 3.10 --upgrade \
	--generate-hashes --no-annotate --no-emit-index-url --custom-compile-command 'make lock'
lock: $(VENV)/.test
	$(COMPILE) pyproject.toml --extra probe --extra trace --group dev --output-file requirements/dev.txt
	$(COMPILE) pyproject.toml -c requirements/dev.txt --output-file requirements/run.txt
	$(COMPILE) --group build -c requirements/dev.txt --output-file requirements/build.txt
	$(COMPILE) --group systems -c requirements/dev.txt --output-file requirements/systems.txt
	$(COMPILE) --group release -c requirements/dev.txt --output-file requirements/release.txt

ifdef NEWEST
# The pip of an old Python has no dependency groups.
$(VENV)/.demo: $(VENV)/.test
$(VENV)/.test: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade 'pip>=25.1'
	$(PIP) --upgrade --upgrade-strategy eager --editable '.[probe,trace]' --group dev
	$(BYTECODE)
	touch $(VENV)/.demo $(VENV)/.test
else
$(VENV)/.demo: pyproject.toml requirements/build.txt requirements/run.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) $(LOCKED) requirements/run.txt
	$(PIP) $(EDITABLE)
	$(BYTECODE)
	touch $@

$(VENV)/.test: $(VENV)/.demo requirements/dev.txt
	$(PIP) $(LOCKED) requirements/dev.txt
	$(PIP) $(EDITABLE)
	touch $@
endif

clean:
	rm -rf .venv .venv-newest .venv-bench .mypy_cache .pytest_cache .ruff_cache .hypothesis dist site
