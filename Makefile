# Gigz. `make help` explains every target.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# A dozen processes start again and again: without compiled modules each takes 4 s of processor time instead of 1.6 s.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo test test-unit test-long faults bench bench-spiders bench-matcher bench-api fuzz codegen words lint format lock up down status contract clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

$(BIN)/gigz: requirements/lock.txt requirements/uv.txt pyproject.toml
	@echo "installing from requirements/lock.txt into $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Gigz needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Remedy: make PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements/lock.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $(BIN)/gigz

install: $(BIN)/gigz ## the environment in .venv, from the lock, with the gigz command

demo: install ## from a crawl to a page where found shows are confirmed (ARGS=--once: run through and stop)
	@$(BIN)/gigz demo $(ARGS)

# Files side by side, and in their order: the long ones with engines first, so that none is left over at the end.
test: install ## the whole suite; starts and stops engines of its own (ARGS="-n 0 tests/api": one after the other, a part)
	@$(BIN)/python -m tests.browsers
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

test-unit: install ## the tests that need no engine, no socket and no data of other people
	@$(BIN)/python -m pytest -q -n 2 -m "not stack and not network and not data" $(ARGS)

faults: install ## 10,000 messages while workers are killed 200 times; ends with PASS or FAIL (ARGS="--kills 40 --seed 7")
	@$(BIN)/python -m tests.faults.driver $(ARGS)

test-long: install ## the tests that take minutes and are not in `make test`: engines stopped and killed in more ways
	@$(BIN)/python -m pytest -m long $(ARGS)

bench: install ## stages beside other frameworks, sinks beside bare loops, latency; ARGS="--parts memory": a million messages
	@$(BIN)/python -m tests.bench.run $(ARGS)

bench-spiders: install ## a crawl with delivery beside the same crawl with its items thrown away, and its memory (some minutes)
	@$(BIN)/python -m tests.bench.spiders $(ARGS)

bench-matcher: install ## what scoring costs beside rapidfuzz, and how throughput holds from 10,000 to 1,000,000 concerts (needs 5 GB)
	@PYTHONPATH=. $(BIN)/python tests/bench/matcher.py $(or $(ARGS),tests/matchers/facts/listings.jsonl)

bench-api: install ## the API under fifty users, beside a bare route: p50, p95, p99 for each route (ARGS="--concerts 100000 --entries 20000")
	@$(BIN)/python -m tests.bench.api_load $(ARGS)

fuzz: install ## requests made up from the OpenAPI document to an API with data in it; ends with PASS or FAIL (ARGS="--examples 100 --seed 7")
	@$(BIN)/python -m tests.api.fuzz $(ARGS)

lint: install ## ruff, strict mypy, the committed contract
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/gigz contract --check

format: install ## let ruff rewrite what it can
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

up: install ## start the local stack: Kafka, PostgreSQL, ClickHouse, Meilisearch
	@$(BIN)/gigz up $(ARGS)

down: install ## stop what `make up` and `make demo` started
	@$(BIN)/gigz down $(ARGS)

status: install ## what runs, where, since when, and the lag of each stage
	@$(BIN)/gigz status $(ARGS)

contract: install ## write AsyncAPI and JSON Schema of all topics to docs/contract, OpenAPI to docs/api/openapi.json
	@$(BIN)/gigz contract

words: install ## new texts of the pages into api/pages/catalogues, and which are not translated yet
	@$(BIN)/python -m tests.words $(ARGS)

codegen: install ## a client of the API in Python, from docs/api/openapi.json, into .client (ARGS=FOLDER)
	@$(BIN)/python -m tests.codegen $(ARGS)

lock: ## resolve pyproject.toml anew: versions and hashes, no addresses
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header $(ARGS) pyproject.toml --group dev -o requirements/lock.txt

clean: ## remove the environment and caches (data in GIGZ_HOME stay)
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
