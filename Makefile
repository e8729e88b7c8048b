# The project's commands; `make` alone lists them. What CI runs is what a person runs.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

BIN := .venv/bin
PYTHON_SOURCES := layers functions cli sandbox scripts tests bench
MACHINE := $(if $(filter aarch64 arm64,$(shell uname -m)),arm64,x86_64)

# sam needs a region even where it only reads a file. A deployment asks for the user's own.
ifeq ($(filter deploy rehearse,$(MAKECMDGOALS)),)
export AWS_DEFAULT_REGION ?= us-east-1
endif
export SAM_CLI_TELEMETRY := 0
# Without bytecode each of the many processes of a run compiles its libraries anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help
help: ## list the commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

.PHONY: run
run: build ## the main job on the local cloud (KEEP=1 leaves it up, with the live page)
	@$(BIN)/python -m sandbox.demo $(if $(KEEP),--keep)

.PHONY: live
live: build ## the two flows on a page, with a guided tour, on the local cloud
	@$(BIN)/python -m sandbox.live

.PHONY: test
test: build ## all tests but the long ones
	@$(BIN)/python -m pytest -m "not soak and not live" \
	    -n 3 --dist loadfile --no-loadscope-reorder

.PHONY: browser
browser: build .venv-browser/ready ## the tests of the live page, in the system's Chromium
	@$(WITH_BROWSER) $(BIN)/python -m pytest -m live tests/live -rs -n 3 --dist loadfile

.PHONY: soak
soak: build ## the long tests
	@$(BIN)/python -m pytest -m soak

.PHONY: bench
bench: build ## what it costs, against plain yardsticks (ONLY=importer, FULL=1)
	@$(BIN)/python -m bench $(ONLY) $(if $(FULL),--full)

.PHONY: check
check: .venv/ready .venv-sam/ready ## format, lint, types, import contracts, template
	@$(BIN)/ruff format --check $(PYTHON_SOURCES)
	@$(BIN)/ruff check $(PYTHON_SOURCES)
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@.venv-sam/bin/sam validate --lint
	@$(BIN)/python scripts/events_page.py --check
	@$(BIN)/python scripts/scaling_page.py --check
	@$(BIN)/python scripts/runbook_page.py --check
	@$(BIN)/python scripts/costs_page.py --check
	@$(BIN)/python scripts/architecture_picture.py --check

.PHONY: fix
fix: .venv/ready ## format, and mend what the linter can
	@$(BIN)/ruff check --fix $(PYTHON_SOURCES)
	@$(BIN)/ruff format $(PYTHON_SOURCES)

.PHONY: build
build: .aws-sam/ready ## build functions and layers for this machine, as sam does

.PHONY: deploy
# As it is written: identifiers of Mixpanel begin with a dollar sign.
deploy: override export SET := $(value SET)
deploy: .venv/ready .venv-sam/ready ## build for Lambda and deploy (CONFIG_ENV=brand-b, SET="NAME=VALUE …", ASK=1)
	@scripts/deploy

.PHONY: rehearse
rehearse: .venv/ready .venv-sam/ready .venv-ministack/ready ## deploy into an emulator, update, test and remove
	@$(BIN)/python -m scripts.rehearsal

.PHONY: samlocal
samlocal: build ## every sample event through sam local, against the local cloud (needs Docker)
	@$(BIN)/python -m scripts.samlocal

.PHONY: docs
docs: .venv/ready ## write the pages that are generated from the code
	@$(BIN)/python scripts/events_page.py
	@$(BIN)/python scripts/scaling_page.py
	@$(BIN)/python scripts/runbook_page.py
	@$(BIN)/python scripts/costs_page.py
	@$(BIN)/python scripts/architecture_picture.py

.PHONY: pictures
pictures: build .venv-browser/ready ## photograph the live page for the README (needs Chromium)
	@$(WITH_BROWSER) $(BIN)/python -m scripts.live_picture

.PHONY: lock
lock: .venv/ready ## pin the newest versions of all requirements, with hashes
	@scripts/lock

# Set-up. A stamp is written last, so that a set-up that was broken off is done again.
# The operator's command runs from the source; what builds it is in the requirements.

INSTALL_COMMAND := $(BIN)/python -m pip install -q --disable-pip-version-check \
    --no-index --no-deps --no-build-isolation --editable .

.venv/ready: requirements-uv.txt requirements-dev.txt scripts/python
	@python=$$(scripts/python); \
	echo "setting up .venv with $$python"; \
	rm -rf .venv; "$$python" -m venv .venv; \
	scripts/install .venv requirements-dev.txt; \
	$(INSTALL_COMMAND); \
	touch $@

.venv-sam/ready: .venv/ready requirements-sam.txt
	@echo "setting up .venv-sam"; \
	rm -rf .venv-sam; $(BIN)/python -m venv .venv-sam; \
	scripts/install .venv-sam requirements-sam.txt; \
	touch $@

.venv-ministack/ready: .venv/ready requirements-ministack.txt
	@echo "setting up .venv-ministack"; \
	rm -rf .venv-ministack; $(BIN)/python -m venv .venv-ministack; \
	scripts/install .venv-ministack requirements-ministack.txt; \
	touch $@

# Playwright alone; all else comes from .venv.
WITH_BROWSER := PYTHONPATH=.venv-browser/lib/python3.13/site-packages

.venv-browser/ready: .venv/ready requirements-browser.txt
	@echo "setting up .venv-browser"; \
	rm -rf .venv-browser; $(BIN)/python -m venv .venv-browser; \
	scripts/install .venv-browser requirements-browser.txt; \
	touch $@

BUILT_FROM := $(shell find layers functions -type f -not -path '*/__pycache__/*' 2>/dev/null)

.aws-sam/ready: .venv/ready .venv-sam/ready template.yaml $(BUILT_FROM)
	@echo "building functions and layers for $(MACHINE)"; \
	mkdir -p .aws-sam; log=.aws-sam/build.log; \
	ARCHITECTURE=$(MACHINE) BUILD_PYTHON=$(abspath $(BIN)/python) \
	    .venv-sam/bin/sam build --cache-dir .aws-sam/cache-$(MACHINE) > $$log 2>&1 \
	    || { cat $$log; exit 1; }; \
	touch $@
