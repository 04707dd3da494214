# make demo   set up, then train the digits recipe into runs/digits
# make test   set up, then run the tests, two files at a time
# make lint   check style and formatting
# make wheel  build dist/*.whl and the source archive, and check both
# make tables write the tables of results/README.md and the figures beside it
# make docs   build the documentation site into site/, its links checked
# make bench  set up, then compare speeds side by side, for up to 20 minutes;
#             ARGS=--full takes hours
#
# PYTHON is the interpreter (3.11 or newer) that makes the environment VENV.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test lint wheel tables docs bench

demo: $(VENV)/.installed
	$(BIN)/python -m keras_graft.launch --workdir=runs/digits

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadfile

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

wheel: $(VENV)/.installed-dev
	rm -rf build dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python -m twine check --strict dist/*

tables: $(VENV)/.installed
	$(BIN)/python -m keras_graft.compare.tables results/README.md results

docs: $(VENV)/.installed-docs
	$(BIN)/python -m mkdocs build --strict

bench: $(VENV)/.installed-bench
	$(BIN)/python benchmarks/bench.py $(ARGS)

# The stamps say what is installed, so that a second call starts at once.
$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install -c constraints.txt -e '.[command]'
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install -c constraints.txt -e '.[dev]'
	touch $@ $(VENV)/.installed

$(VENV)/.installed-bench: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install -c constraints.txt -e '.[bench]'
	touch $@ $(VENV)/.installed

$(VENV)/.installed-docs: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install -c constraints.txt -e '.[docs]'
	touch $@
