# make test: everything that must pass.  make reproduce: every claim at smoke scale, and the report.
# make docs: the documentation in site/, which opens from disk.
VENV := .venv
PYTHON := $(VENV)/bin/python
PIP := $(PYTHON) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
STAMPS := pyproject.toml constraints.txt

.PHONY: test lint reproduce docs clean

test: lint
	$(PYTHON) -m pytest -n 2 --dist loadgroup

lint: $(VENV)/.installed-dev
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy

reproduce: $(VENV)/.installed
	$(VENV)/bin/rostra reproduce --scale smoke

docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --strict

clean:
	rm -rf $(VENV) rostra-results site

$(PYTHON):
	python3 -m venv $(VENV)

$(VENV)/.installed: $(PYTHON) $(STAMPS)
	$(PIP) --editable '.[audio,compiled,fair,rl,sheets]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) --editable '.[dev]'
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(PIP) --editable '.[docs]'
	touch $@
