# `make` alone explains itself. Nothing here needs more than make and Python 3.11 or 3.12.

.DEFAULT_GOAL := help
.PHONY: help run test check lint types migrations installed format bench faults clean
VENV_PYTHON := .venv/bin/python

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# `exec`: the stack becomes make's own child and ends with it, even after kill -9 of make.
run: ## Start everything on this machine (PORT=8000) and say where it is
	@sh scripts/set_up.sh local
	@exec env CRM_STOP_WITH_PARENT=$$PPID $(VENV_PYTHON) -m flask --app wsgi local run

test: ## Run every test (ARGS="tests/flows -k inbox" for some)
	@sh scripts/set_up.sh dev
	@$(VENV_PYTHON) scripts/chromium.py
	@exec $(VENV_PYTHON) -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

check: lint types migrations ## Lint, formatting, types, and the migrations from nothing

lint: installed
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m ruff format --check .

types: installed
	$(VENV_PYTHON) -m mypy

migrations: installed
	$(VENV_PYTHON) scripts/check_migrations.py

installed:
	@sh scripts/set_up.sh dev

format: ## Format the code
	@sh scripts/set_up.sh dev
	$(VENV_PYTHON) -m ruff check --fix .
	$(VENV_PYTHON) -m ruff format .

bench: ## Measure throughput and latency against a floor of the same run
	@sh scripts/set_up.sh dev
	@exec $(VENV_PYTHON) -m benchmarks $(ARGS)

faults: ## Kill, cut and restart real processes, three times over and in full size; ten thousand races
	@sh scripts/set_up.sh dev
	@CHARLA_RACES=10000 $(VENV_PYTHON) -m pytest -q tests/services/test_routing_races.py -k one_free_place
	@CHARLA_RACES=10000 $(VENV_PYTHON) -m pytest -q tests/services/delivery/test_claim_races.py
	@for round in 1 2 3; do CHARLA_FAULTS=full $(VENV_PYTHON) -m pytest -q -s -m faults tests/faults tests/jobs $(ARGS) || exit 1; done

clean: ## Remove what was installed and built here; the data in var/ stays
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache
	find crm tests -name __pycache__ -prune -exec rm -rf {} +
