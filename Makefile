# The front door. `make demo` and `make test` set up everything they need; `make help` lists the targets.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

.PHONY: help setup demo test check format lock clean

help:
	@echo "make setup    the private environment in .venv (about 6 GB, 8 GB free; 10-18 minutes on 2 cores, once)"
	@echo "make demo     images -> checkpoint -> certified backbone -> fine-tuned models -> table, on a CPU"
	@echo "make test     make check, then all tests, in two processes; ARGS=-n8 takes more"
	@echo "make check    ruff, mypy --strict, import-linter, codespell"
	@echo "make format   let ruff lay out the code"
	@echo "make lock     write requirements.lock anew from setup.cfg"
	@echo "make clean    remove .venv and the checkers' caches"

setup:
	@$(PYTHON) tools/setup_environment.py

demo: setup
	@$(BIN)/densebench demo $(ARGS)

test: check
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: setup
	@sh tools/lock.sh

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
