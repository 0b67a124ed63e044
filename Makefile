# Two commands do everything: `make run` and `make test`. `make help` lists the rest.

PYTHON      ?=
ARGS        ?=
SEEDS       ?= 1000
PYTEST_ARGS ?= -n 3 --dist loadgroup

BIN       := .venv/bin
BOOTSTRAP  = @PYTHON='$(PYTHON)' scripts/bootstrap
WEB        = @$(BIN)/python hatch_build.py
COMPILE    = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
             --no-emit-index-url --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)
PACKAGE    = $(COMPILE) pyproject.toml --extra redis

.DEFAULT_GOAL := help
.PHONY: help run test check lint types format lock hunt crash mutants fuzz bench pictures build clean

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

run: ## Start the application on http://127.0.0.1:8000 (DLS_PORT=9000 make run: elsewhere).
	$(BOOTSTRAP) app
	$(WEB)
	$(BIN)/dls serve

test: lint ## Run the checks, then every test (PYTEST_ARGS="-k sqlite" to choose).
	@# What `make types` runs, on two cores.
	@$(BIN)/mypy & mypy=$$!; $(BIN)/python -m tests.node web tsc --noEmit \
		&& $(BIN)/python hatch_build.py; status=$$?; wait $$mypy && exit $$status
	@scripts/browser
	@scripts/redis
	@scripts/nginx
	@scripts/faketime
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: lint types ## Run every static check: lint and types.

lint: ## Check style, formatting and the import rules.
	$(BOOTSTRAP) dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

types: ## Check the types, of Python and of TypeScript.
	$(BOOTSTRAP) dev
	$(BIN)/mypy
	$(BIN)/python -m tests.node web tsc --noEmit

format: ## Format the code and apply the safe fixes.
	$(BOOTSTRAP) dev
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

lock: ## Bring the lock files up to date with pyproject.toml (UPGRADE=1 for the newest versions).
	$(BOOTSTRAP) uv
	$(COMPILE) requirements/uv.in -o requirements/uv.txt
	$(PACKAGE) --group build -o requirements/app.txt
	$(PACKAGE) --group dev -c requirements/app.txt -o requirements/dev.txt
	$(PACKAGE) --group dev --group fuzz -c requirements/dev.txt -o requirements/fuzz.txt
	$(PACKAGE) --group dev --group mutants -c requirements/dev.txt -o requirements/mutants.txt
	$(PACKAGE) --group build --group bench -c requirements/dev.txt -o requirements/bench.txt

hunt: ## Simulate histories with random faults until a promise breaks (SEEDS=10000; ARGS=--help).
	$(BOOTSTRAP) dev
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) $(ARGS)

crash: ## Kill and freeze real servers, cut connections, check every promise (ARGS=--help).
	$(BOOTSTRAP) dev
	@scripts/redis
	@$(BIN)/python -m tests.crash $(ARGS)

mutants: ## Break the code, one change at a time, and see that a test fails (ARGS=--help).
	$(BOOTSTRAP) mutants
	@scripts/redis
	@$(BIN)/python -m tools.mutants $(ARGS)

fuzz: ## Make up bytes until a parser crashes (ARGS="chat-stream --seconds 300").
	$(BOOTSTRAP) fuzz
	@$(BIN)/python -m tests.fuzz $(or $(ARGS),all)

bench: ## Measure (ARGS="..." for options).
	$(BOOTSTRAP) bench
	$(WEB)
	$(BIN)/python -m bench $(ARGS)

pictures: ## Make the README's pictures anew (DLS_PICTURES=FOLDER: one of every state, too).
	$(BOOTSTRAP) dev
	$(WEB)
	DLS_PICTURES_README=docs/images $(BIN)/python -m pytest -q tests/browser/pictures.py \
		$(if $(DLS_PICTURES),tests/browser/test_a11y.py)

build: ## Build the sdist and the wheel into dist/.
	$(BOOTSTRAP) app
	$(BIN)/python -m hatchling build

clean: ## Remove .venv, caches and builds. Data stays.
	rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf tests/aisdk/node_modules tools/mutants/web/node_modules bench/redis/node/node_modules
	rm -rf web/node_modules web/dist web/src/transport/dist
	rm -rf src/durable_llm_streams/server/static src/durable_llm_streams/server/.static-*
	find . -name __pycache__ -prune -exec rm -rf {} +
