# Two commands do everything: `make up` runs the portal, `make test` runs every test.
.DEFAULT_GOAL := help
PYTHON ?= python3
UV := .venv/bin/uv
export PYTHONPATH := sdk

.PHONY: help
help:  ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: venv
venv: .venv/.locked  ## Make the virtual environment from the lock

.venv/.locked: requirements.lock
	@test -x $(UV) || { $(PYTHON) -m venv .venv && .venv/bin/pip install -q --disable-pip-version-check uv==$$(sed -nE 's/^uv==([0-9.]+).*/\1/p' requirements.lock); }
	@$(UV) pip install -q --python .venv/bin/python --require-hashes -r requirements.lock
	@touch $@

.PHONY: lock
lock:  ## Resolve pyproject.toml anew into requirements.lock
	$(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --group dev pyproject.toml -o requirements.lock

.PHONY: lint
lint: venv  ## ruff, mypy, import-linter
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo 2>/dev/null || .venv/bin/lint-imports
