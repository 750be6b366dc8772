# Every target makes .venv from $(PYTHON) and installs what it needs there, in the versions of constraints.txt;
# nothing is installed again until pyproject.toml or constraints.txt change.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
INSTALL := $(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench docs

help:
	@echo "make demo   classify recordings, forecast a series and translate sentences, in two minutes"
	@echo "make test   the whole test suite"
	@echo "make lint   ruff"
	@echo "make bench  the benchmarks"
	@echo "make docs   the documentation, in docs/_build/html"

demo: $(VENV)/.installed-core
	$(RUN) examples/demo.py

test: $(VENV)/.installed-dev
	$(RUN) -m pytest --numprocesses 2 --dist worksteal

lint: $(VENV)/.installed-dev
	$(RUN) -m ruff check .

bench: $(VENV)/.installed-benchmarks
	$(RUN) benchmarks/throughput.py
	$(RUN) benchmarks/recurrences.py
	$(RUN) benchmarks/accuracy.py
	$(RUN) benchmarks/long_memory.py
	$(RUN) benchmarks/forecasting.py
	$(RUN) benchmarks/forecast_accuracy.py
	$(RUN) benchmarks/seq2seq.py
	$(RUN) benchmarks/seq2seq_accuracy.py

docs: $(VENV)/.installed-docs
	$(RUN) -m sphinx --fail-on-warning --keep-going --builder html docs docs/_build/html

$(RUN):
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-core: pyproject.toml constraints.txt | $(RUN)
	$(INSTALL) .
	@touch $@

# the extras of pyproject.toml, each with a file that says that it is installed
$(VENV)/.installed-%: pyproject.toml constraints.txt | $(RUN)
	$(INSTALL) ".[$*]"
	@touch $@
