# make demo: watch the main job in the lab.  make test: the tests.  Both set up what they need.
PYTHON ?= python3
VENV := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast test-slurm-latest lint bench bench-gateway clean lock

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

setup:  ## environments, system packages where it may, tiny models; seconds when all is there
	@$(PYTHON) -m lab.setup

demo: setup  ## publish a model in the lab and watch it until it answers (HEADLESS=1: without hands)
	@$(VENV)/python -m lab.demo

test: setup lint  ## lint and every test, the whole story on real Slurm included
	@$(VENV)/python -m pytest

test-fast:  ## the tests that need neither Slurm nor an engine nor a browser
	@$(VENV)/python -m pytest -m "not slurm and not engine and not browser and not story"

test-slurm-latest:  ## the scheduler's contract on the newest Slurm, in a chroot (root, mmdebstrap; a minute the first time)
	@bash tests/contracts/slurm-latest.sh up
	@PATH="$${FOLDER:-/var/tmp/dayzero-slurm-latest}/bin:$$PATH" DAYZERO_OTHER_SLURM=research \
	  DAYZERO_OTHER_PYTHON=python-pyslurm $(VENV)/python -m pytest \
	  tests/contracts -k slurm; status=$$?; bash tests/contracts/slurm-latest.sh down; exit $$status

lint:  ## style and layers
	@$(VENV)/ruff check .
	@$(VENV)/lint-imports

bench: setup  ## the benchmarks, each beside what a user would pick instead
	@$(VENV)/python -m bench

bench-gateway: setup  ## the gateway beside nginx, LiteLLM's proxy, Portkey and the Rust routers, in one run
	@$(VENV)/python -m bench gateway

COMPILE := $(VENV)/uv pip compile -q --upgrade --generate-hashes --no-emit-index-url --no-emit-find-links --python-version 3.11

lock:  ## resolve the pinned requirements again (requirements/torch.txt is pinned by hand: see docs/decisions)
	@$(COMPILE) requirements/main.in -o requirements/main.txt
	@$(COMPILE) requirements/dev.in -o requirements/dev.txt
	@$(COMPILE) --overrides requirements/engine-overrides.txt requirements/engine.in -o requirements/engine.txt
	@$(COMPILE) --overrides requirements/engine-overrides.txt requirements/quantize.in -o requirements/quantize.txt

clean:  ## stop the lab's Slurm and remove what the lab made; environments stay
	@-$(VENV)/python -m lab.slurm down --dir .lab/slurm
	@rm -rf .lab/state .lab/shared .lab/hub .lab/slack .lab/mail .lab/slurm .lab/logs
