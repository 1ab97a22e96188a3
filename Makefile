# The front door of the repository: `make setup`, `make demo`, `make test`; `make help` lists the rest.
# Every target can be repeated, needs no root and writes only below this folder (and the tools' own caches).
# Portable on purpose (GNU Make 3.81 and later, any sh): no grouped targets, no .ONESHELL.

PYTHON ?= python3
export PYTHON

BIN := .venv/bin
# Inside frontend/, where its tools are called.
NODE_BIN := ../node_modules/.bin
PAGE := backend/app/static/index.html
PAGE_SOURCES := $(shell find frontend/src frontend/public -type f -not -name '*.test.*') \
	frontend/index.html frontend/vite.config.ts frontend/tsconfig.json frontend/tsconfig.app.json \
	frontend/tsconfig.base.json
REPORTS := $(CURDIR)/.reports
# The tests of the back end mostly wait for processes that they kill: one more at a time than there are cores.
TEST_PROCESSES ?= $(shell expr $$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2) + 1)

# Answers that some machines set otherwise: npx must never fetch a package that only has a tool's name.
export npm_config_yes := false
export NX_NO_CLOUD := true

.PHONY: help setup demo chaos test test-backend test-frontend e2e drift schema budget ci bench wheel lock clean \
	lint lint-python lint-layers lint-rules lint-lock lint-page types types-backend types-frontend

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F '|' '{ printf "%-18s %s\n", $$1, $$2 }'

# ---- set-up: each stamp stands for one finished step, so a second run does nothing ----

INSTALLED := .stamps/package .stamps/node

setup: $(INSTALLED) $(PAGE) ## install everything and build the page

.stamps/tools: scripts/check_tools.sh
	@sh scripts/check_tools.sh
	@mkdir -p .stamps && touch $@

.stamps/python: .stamps/tools backend/requirements-dev.txt backend/requirements-installer.txt scripts/install_python.sh
	@echo "[1/4] Python packages into .venv (15 seconds the first time)"
	@sh scripts/install_python.sh
	@touch $@

.stamps/package: .stamps/python backend/pyproject.toml scripts/install_package.sh
	@echo "[2/4] the paceline command into .venv/bin"
	@sh scripts/install_package.sh
	@touch $@

.stamps/node: .stamps/tools package.json package-lock.json frontend/package.json .npmrc
	@echo "[3/4] Node packages and OpenCode into node_modules (20 to 60 seconds)"
	@npm ci --no-fund --no-audit
	@touch $@

$(PAGE): .stamps/node $(PAGE_SOURCES)
	@echo "[4/4] the page into backend/app/static"
	@cd frontend && $(NODE_BIN)/vite build --logLevel warn
	@touch $@

# ---- running ----

demo: setup ## set up, then start Paceline with a scripted model and sample runs
	@$(BIN)/paceline demo

# ---- checks ----

test: test-backend test-frontend ## every test but the browser's

test-backend: setup
	@mkdir -p $(REPORTS) && rm -f $(REPORTS)/backend.xml
	@cd backend && ../$(BIN)/pytest -n $(TEST_PROCESSES) --dist worksteal --junit-xml=$(REPORTS)/backend.xml

test-frontend: $(INSTALLED)
	@mkdir -p $(REPORTS) && rm -f $(REPORTS)/frontend.xml
	@cd frontend && $(NODE_BIN)/vitest run --reporter=default --reporter=junit \
		--outputFile.junit=$(REPORTS)/frontend.xml

e2e: setup ## the tests in a real browser ($CHROMIUM, an installed one, or the packaged one; it says which)
	@mkdir -p $(REPORTS) && rm -f $(REPORTS)/e2e.xml
	@cd frontend && $(NODE_BIN)/vitest run --config vitest.e2e.config.ts --reporter=default --reporter=junit \
		--outputFile.junit=$(REPORTS)/e2e.xml

lint: lint-python lint-layers lint-rules lint-lock lint-page ## style, import layers, house rules, completeness of the lock

lint-python: $(INSTALLED)
	@$(BIN)/ruff check --config backend/pyproject.toml backend scripts $(wildcard bench)

lint-layers: $(INSTALLED)
	@cd backend && ../$(BIN)/lint-imports --no-logo --no-cache

lint-rules: $(INSTALLED)
	@$(BIN)/python scripts/gates

lint-lock: $(INSTALLED)
	@node scripts/complete_lock.mjs --check

lint-page: $(INSTALLED)
	@cd frontend && $(NODE_BIN)/biome ci --colors=off --error-on-warnings .

types: types-backend types-frontend ## mypy --strict and tsc

types-backend: $(INSTALLED)
	@cd backend && ../$(BIN)/mypy

types-frontend: $(INSTALLED)
	@cd frontend && $(NODE_BIN)/tsc -b

drift: $(INSTALLED) ## the page's types are those of the API
	@sh scripts/generate_schema.sh --check

schema: $(INSTALLED) ## write the page's types anew from the API
	@sh scripts/generate_schema.sh

budget: setup ## what a browser loads first stays small
	@node scripts/check_budget.mjs

chaos: setup ## kill the server, race its clients, feed it garbage: minutes (SEED=n repeats one, WRITE=1 keeps the figures)
	@cd backend && ../$(BIN)/python -m app.tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(WRITE),--write) $(CHAOS)

ci: setup ## everything above, each once; ends with the number of tests
	@rm -rf $(REPORTS)
	@$(MAKE) --no-print-directory -k lint types drift budget test e2e; status=$$?; \
		$(BIN)/python scripts/count_tests.py || status=1; exit $$status

# ---- the rest ----

bench: $(INSTALLED) ## run the comparisons of bench/
	@found=0; for file in bench/bench_*.py; do \
		[ -e "$$file" ] || continue; found=1; echo "== $$file"; $(BIN)/python "$$file" || exit 1; \
	done; [ $$found -eq 1 ] || { echo "There is no bench/bench_*.py."; exit 1; }

wheel: setup ## build the wheel into backend/dist
	@cd backend && ../$(BIN)/python -m hatchling build -t wheel

lock: .stamps/tools ## renew the locks after a change of versions (needs uv and npm 11)
	@npm install --no-fund --no-audit && node scripts/complete_lock.mjs
	@cd backend && PATH="$(CURDIR)/$(BIN):$$PATH" sh ../scripts/lock_python.sh

clean: ## remove what was installed, built and left behind
	@rm -rf .venv node_modules .stamps .reports .tmp .nx backend/app/static backend/dist frontend/.cache
	@rm -rf .pytest_cache .ruff_cache .mypy_cache .hypothesis backend/.pytest_cache backend/.ruff_cache \
		backend/.mypy_cache backend/.hypothesis
