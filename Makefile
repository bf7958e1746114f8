# Everything a person or a machine does with this checkout. `make help` lists it.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
GATEWAYD ?= $(BIN)/gatewayd
AXE := build/npm/node_modules/axe-core/axe.min.js
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help install run test cover compiled test-compiled prove bench lint types format clean install-systemd

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("gatewayd needs Python 3.11 or newer; try: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "gatewayd needs the venv module; on Debian: apt-get install python3-venv" >&2; exit 1; }

$(VENV)/.installed: setup.cfg pyproject.toml | $(BIN)/python
	@echo "installing gatewayd into $(VENV)"
	@$(PIP) install -e .
	@touch $@

$(VENV)/.installed-test: setup.cfg pyproject.toml sdk/setup.cfg sdk/pyproject.toml | $(BIN)/python
	@echo "installing gatewayd, its SDK and what their tests need into $(VENV)"
	@$(PIP) install -e '.[test]' -e ./sdk
	@touch $@ $(VENV)/.installed

# The page is judged by axe-core, from npm. Without npm the tests that need it fail, and say how to get it.
$(AXE): tests/admin/npm/package.json tests/admin/npm/package-lock.json
	@mkdir -p build/npm && cp $^ build/npm/
	@{ npm ci --prefix build/npm --no-audit --no-fund --loglevel=error >/dev/null && touch $@; } || echo "axe-core was not installed: is npm there?" >&2

$(VENV)/.installed-bench: $(VENV)/.installed-test
	@echo "installing the gateways to compare with into $(VENV); nginx and haproxy are taken where they are installed"
	@$(PIP) install -e '.[bench]'
	@touch $@

install: $(VENV)/.installed ## create .venv and install gatewayd into it

run: install ## start the five demo agents and gatewayd in front of them; Ctrl-C stops all of it
	@exec $(GATEWAYD) demo

test: $(VENV)/.installed-test $(AXE) ## run every test: unit, contract, fault, end to end, docs (or TRIED=tests/edge)
	$(BIN)/python -m pytest $(TRIED)

cover: $(VENV)/.installed-test $(AXE) ## run every test and show what they do not reach; fails below 95 %, below 100 % in the core of the SDK
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report --fail-under=95
	$(BIN)/python -m coverage report --fail-under=100 --include='sdk/gatewayd_sdk/_core/*'

# A copy of the package with its modules compiled, and all else that the tests read. It is made anew whenever a file of
# the package changes; nothing compiled is ever beside a file that somebody edits.
COMPILED := build/compiled

$(COMPILED)/.made: $(shell find gatewayd -name __pycache__ -prune -o -print) setup.py setup.cfg pyproject.toml | $(VENV)/.installed-test
	@echo "compiling what every request goes through into $(COMPILED)"
	@rm -rf $(COMPILED) && mkdir -p $(COMPILED)
	@cp -r gatewayd setup.py setup.cfg pyproject.toml README.md $(COMPILED)
	@cd $(COMPILED) && $(abspath $(BIN))/python -W ignore setup.py --quiet build_ext --inplace && rm -rf build
	@touch $@

compiled: $(COMPILED)/.made ## compile into build/compiled what every request goes through (GATEWAYD_COMPILE=1: fail where that cannot be)
	@cp -r tests conf docs sdk systemd Makefile ruff.toml *.md $(COMPILED)

# The paths of the data plane, tried on the compiled build: what it promises must not depend on how it was built.
test-compiled: TRIED = tests/edge tests/proxy tests/policies tests/stores/shared tests/stores/journal tests/stores/sqlite tests/books \
	tests/metrics tests/test_build.py tests/test_rates.py tests/test_records.py tests/test_periods.py tests/process/test_parcel.py tests/process/test_reload.py tests/stores/test_ledger_model.py tests/stores/test_tampering.py \
	tests/test_app.py tests/test_bell.py tests/test_course.py tests/test_exchange.py tests/test_framing.py tests/test_outbox.py tests/test_ring.py tests/test_routing.py tests/test_sealing.py tests/test_slow_callers.py

test-compiled: compiled ## run the tests of what is compiled on the compiled build
	cd $(COMPILED) && PYTHONPATH=$(abspath $(COMPILED)) TRIED_BUILD=compiled $(abspath $(BIN))/python -m pytest $(TRIED)

prove: $(VENV)/.installed-test ## try the promises at length, on a real PostgreSQL and Valkey: some 15 minutes
	$(BIN)/python -m tests.prove.long --seed $(or $(SEED),1) --rounds 1000 --kills 300 --outage 60

bench: $(VENV)/.installed-bench compiled ## measure what gatewayd costs beside others, compiled where it can be; a table here, JSON in build/bench.json
	@cd $(COMPILED) && PYTHONPATH=$(abspath $(COMPILED)) $(abspath $(BIN))/python -m tests.bench --output $(abspath build/bench.json) $(BENCH)

PREFIX ?= /usr/local
SYSTEM_VENV ?= $(PREFIX)/lib/gatewayd
UNITS := $(DESTDIR)/etc/systemd/system

install-systemd: ## as root: install gatewayd for this machine, with its systemd units (DESTDIR, PREFIX)
	@test -x $(SYSTEM_VENV)/bin/gatewayd || { $(PYTHON) -m venv $(SYSTEM_VENV) && $(SYSTEM_VENV)/bin/python -m pip install --quiet . && $(SYSTEM_VENV)/bin/gatewayd --version; }
	@install -d $(DESTDIR)$(PREFIX)/bin $(UNITS)/gatewayd.service.d $(DESTDIR)/etc/gatewayd
	@ln -sf $(SYSTEM_VENV)/bin/gatewayd $(DESTDIR)$(PREFIX)/bin/gatewayd
	@install -m 644 systemd/gatewayd.service systemd/gatewayd@.service systemd/gatewayd.socket $(UNITS)
	@install -m 644 systemd/gatewayd.service.d/notify-reload.conf $(UNITS)/gatewayd.service.d
	@sed -i 's#/usr/local/bin/gatewayd#$(PREFIX)/bin/gatewayd#' $(UNITS)/gatewayd.service $(UNITS)/gatewayd@.service
	@echo "write /etc/gatewayd/gatewayd.toml and /etc/gatewayd/jwt-secret, then: systemctl daemon-reload && systemctl enable --now gatewayd"

lint: $(VENV)/.installed-test ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.installed-test ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.installed-test ## mypy --strict
	$(BIN)/mypy

clean: ## remove what was installed and what tests left behind
	rm -rf $(VENV) build dist *.egg-info .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis
