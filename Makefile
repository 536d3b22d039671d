# `make demo` shows the main job on a shipped fixture, `make test` runs everything there is to check.
# Both set up .venv by themselves; they need Python >= 3.10, make and PyPI.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check format clean

demo: .venv/.installed
	@$(BIN)/nginx-stream-lint fixtures/demo/nginx.conf || test $$? -eq 1

test: .venv/.installed
	$(BIN)/ruff check src tests
	$(BIN)/ruff format --check src tests
	$(BIN)/mypy
	$(BIN)/python -m pytest

format: .venv/.installed
	$(BIN)/ruff check --fix src tests
	$(BIN)/ruff format src tests

.venv/.installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable '.[probe]' --group dev
	touch $@

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
