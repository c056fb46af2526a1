# One way to run things; CI calls the same. `make help` lists the targets.
PYTHON ?= python3
BIN := .venv/bin
# A server on PostgreSQL needs a driver more; on SQLite, the default, it is not installed.
RUN_LOCK := $(if $(filter postgres%,$(DATABASE_URL)),postgres,run)
UV := $(or $(shell command -v uv),.make/uv/bin/uv)
# Half of what tests do is to wait for other processes. With two test processes for each core, a third of the cores' time
# was idle. The files come in order: those that take longest come first.
TEST_PROCESSES ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) * 3)))
# Two kill storms with each of them end `make prove`: as buyers and shops usually are, and with more of what is rare.
PROVE_PROVIDERS ?= simulator stripe mollie paypal adyen
RARE = --share cancel=0.2 --share hold=0.7 --share void=0.3 --share lapse=0.3 --share refund=0.9
RARE_ON_PAGES = --share shop-cancels=0.25 --share expires=0.25
LOCK = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-annotate --no-header $(if $(UPGRADE),--upgrade) pyproject.toml --group build

.DEFAULT_GOAL := help
.PHONY: help run shop test browser check translations format bench prove fuzz mutants lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: .venv/$(RUN_LOCK).stamp ## set up .venv, then serve (DATABASE_URL, PORT, … as in the README)
	@$(BIN)/paidonce dev --demo

shop: .venv/dev.stamp ## run paidonce and the shop of examples/shop, which sells through it (PORT, SHOP_PORT)
	@$(BIN)/python examples/shop/start.py

# Tests start hundreds of processes. Without stored byte code each of them would compile all of its modules again.
test browser bench prove fuzz: export PYTHONDONTWRITEBYTECODE =

test: .venv/dev.stamp ## run all tests, on SQLite and on a real PostgreSQL (ARGS="-k refund" for a part)
	@$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder $(ARGS)

browser: .venv/browser.stamp ## test the pages in a real browser (ARGS="--every-look", ARGS=--screenshots for docs/)
	@$(BIN)/python -m pytest -n 2 --dist loadscope tests/browser $(ARGS)

check: .venv/dev.stamp ## check lint, format, types, and which module may import which
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

translations: .venv/dev.stamp ## collect new messages of the buyer's pages into the catalogues of all languages
	@mkdir -p .make
	@$(BIN)/pybabel --quiet extract --mapping pyproject.toml --keyword mark --no-location --sort-output --omit-header \
		--width 120 --output-file .make/messages.pot src/paidonce/buyer_pages
	@$(BIN)/pybabel --quiet update --input-file .make/messages.pot --output-dir src/paidonce/buyer_pages/locale \
		--domain messages --omit-header --no-fuzzy-matching --ignore-obsolete --width 120

format: .venv/dev.stamp ## format the code and fix what ruff can fix
	@$(BIN)/ruff check --fix --exit-zero --quiet
	@$(BIN)/ruff format

bench: .venv/bench.stamp ## measure, and write docs/performance.md (PEER=URL ONLY=create,get COMPARE=FILE ARGS="--soak …")
	@$(BIN)/python -m bench --onto bench/results/latest.json --docs docs \
		$(if $(PEER),--peer $(PEER)) $(if $(ONLY),--only $(ONLY)) $(if $(COMPARE),--compare $(COMPARE)) $(ARGS)

prove: .venv/dev.stamp ## run the long tests: every crash point and pair, power cuts, mutants, then kills (SECONDS=1200 for pairs)
	@PAIDONCE_PROOF=long PAIDONCE_PROOF_SECONDS=$(or $(SECONDS),1200) $(BIN)/python -m pytest -n 2 tests/proof
	@PAIDONCE_PROOF=long $(BIN)/python -m pytest -n 2 --dist loadfile -m "postgresql_in_prove or in_prove or longer_in_prove"
	@set -e; for provider in $(PROVE_PROVIDERS); do \
		on_pages=`[ $$provider = simulator ] || echo "$(RARE_ON_PAGES)"`; \
		$(BIN)/paidonce prove --provider $$provider --seconds 50; \
		$(BIN)/paidonce prove --provider $$provider --seconds 10 $(RARE) $$on_pages; done

fuzz: .venv/dev.stamp ## fuzz the API for long, on both databases (FUZZ_EXAMPLES=300)
	@PAIDONCE_PROOF=long FUZZ_EXAMPLES=$(or $(FUZZ_EXAMPLES),300) $(BIN)/python -m pytest -n 2 --timeout 1800 -k schemathesis tests/conformance

mutants: .venv/mutants.stamp ## run mutation tests (ONLY=payments,events SHOW=payments SAMPLE=100 SEED=1)
	@nice $(BIN)/python -m tests.mutation $(if $(ONLY),--only $(ONLY)) $(if $(SHOW),--show $(SHOW)) \
		$(if $(SAMPLE),--sample $(SAMPLE)) $(if $(SEED),--seed $(SEED)) $(ARGS)

lock: $(UV) ## lock the dependencies (UPGRADE=1 for the newest versions)
	@mkdir -p requirements
	@$(LOCK) --output-file requirements/run.txt
	@$(LOCK) --extra postgres --constraints requirements/run.txt --output-file requirements/postgres.txt
	@$(LOCK) --extra postgres --group dev --constraints requirements/postgres.txt --output-file requirements/dev.txt
	@$(LOCK) --extra postgres --group dev --group bench --constraints requirements/dev.txt --output-file requirements/bench.txt
	@$(LOCK) --extra postgres --group dev --group mutants --constraints requirements/dev.txt --output-file requirements/mutants.txt
	@$(LOCK) --extra postgres --group dev --group browser --constraints requirements/dev.txt --output-file requirements/browser.txt

clean: ## remove .venv and caches; databases stay
	@rm -rf .venv .make .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist

# Each lock holds the one before: run ⊂ postgres ⊂ dev ⊂ bench, browser, mutants. A stamp says which is installed.
# pip from outside the environment, where it is new enough, saves installing pip itself: 5 of 12 seconds.
.venv/%.stamp: requirements/%.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "paidonce needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Setting up .venv from requirements/$*.txt (once) …"
	@set -e; \
	if $(PYTHON) -c 'import pip, sys; sys.exit(tuple(map(int, pip.__version__.split(".")[:2])) < (22, 3))' 2>/dev/null; then \
		test -x $(BIN)/python || $(PYTHON) -m venv --without-pip .venv; \
		pip="$(PYTHON) -m pip --python $(BIN)/python"; \
	else \
		test -x $(BIN)/pip || $(PYTHON) -m venv --clear .venv; \
		pip="$(BIN)/python -m pip"; \
	fi; \
	options="-qq --disable-pip-version-check --no-input --no-compile --no-deps"; \
	$$pip install $$options --require-hashes --requirement requirements/$*.txt; \
	$$pip install $$options --no-build-isolation --editable .
	@touch $(if $(filter dev bench browser mutants,$*),.venv/run.stamp .venv/postgres.stamp) $(if $(filter bench browser mutants,$*),.venv/dev.stamp) \
		$(if $(filter postgres,$*),.venv/run.stamp) $@

.make/uv/bin/uv:
	@$(PYTHON) -m venv .make/uv
	@.make/uv/bin/pip install -qq --disable-pip-version-check uv
