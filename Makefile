# make test: everything that must pass.  make reproduce: every claim at smoke scale, and the report.
VENV := .venv
PYTHON := $(VENV)/bin/python
PIP := $(PYTHON) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
STAMPS := pyproject.toml constraints.txt

.PHONY: test lint reproduce clean

test: lint
	$(PYTHON) -m pytest -n 2 --dist loadgroup

lint: $(VENV)/.installed-dev
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy

reproduce: $(VENV)/.installed
	$(VENV)/bin/rostra reproduce --scale smoke

clean:
	rm -rf $(VENV) rostra-results

$(PYTHON):
	python3 -m venv $(VENV)

$(VENV)/.installed: $(PYTHON) $(STAMPS)
	$(PIP) --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) --editable '.[dev]'
	touch $@
