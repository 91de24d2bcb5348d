# Everything a person or CI runs. Nothing outside this checkout is written, but for pip's own cache.
PYTHON ?= python3
ARGS ?=
VENV := .venv
python := $(VENV)/bin/python
export PYTHONDONTWRITEBYTECODE := 1

.DEFAULT_GOAL := help
.PHONY: help setup run test e2e lint format lock compile openapi benchmarks clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/ready ## make the virtual environment .venv

$(VENV)/ready: requirements.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(not (3, 11) <= v <= (3, 13) and f"Python 3.11, 3.12 or 3.13 is needed, got {v[0]}.{v[1]}: make setup PYTHON=python3.12")'
	@echo "setting up .venv: about a minute, more where packages must be downloaded (some 400 MB)"
	$(PYTHON) -m venv --clear $(VENV)
	$(python) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt
	@touch $@

run: setup ## data -> train -> serve -> benchmark on this machine; ARGS="-p TARGET_ACCURACY=0.8 --keep-serving"
	$(python) -m pipelines run train-and-serve $(ARGS)

# Three workers on two processors, because many tests wait (for a server, for a backoff) and use none.
test: setup lint ## all tests that need no cluster
	@mkdir -p .tmp
	TMPDIR=$(CURDIR)/.tmp $(python) -m pytest --basetemp=.tmp/pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not e2e" $(ARGS)

e2e: setup ## the tests on a cluster (KUBECONFIG)
	@mkdir -p .tmp
	TMPDIR=$(CURDIR)/.tmp $(python) -m pytest --basetemp=.tmp/pytest-e2e -m e2e --durations=15 $(ARGS)

lint: setup ## style, types, and generated files
	$(python) -m ruff check --no-cache
	$(python) -m ruff format --check --no-cache
	$(python) -m mypy --cache-dir=.mypy_cache
	$(python) -m pipelines compile --check

format: setup ## put the code in form
	$(python) -m ruff check --no-cache --fix
	$(python) -m ruff format --no-cache

compile: setup ## write the compiled workflows under kustomize/base and the generated tables of README
	$(python) -m pipelines compile --write

openapi: setup ## merge Argo's and Kubernetes' schemas for kustomize; ARGO=.../swagger.json KUBERNETES=.../swagger.json
	$(python) -m pipelines.site.schema $(ARGO) $(KUBERNETES) kustomize/base/openapi.json

benchmarks: setup ## every figure that README shows
	for benchmark in benchmarks/*.py; do $(python) $$benchmark || exit 1; done

lock: ## pin all requirements anew (needs uv)
	uv pip compile --universal --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
		--python-version 3.11 --all-extras --upgrade pyproject.toml -o requirements.txt
	uv pip compile --universal --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
		--python-version 3.11 --extra steps --constraint requirements.txt pyproject.toml -o requirements-steps.txt

clean: ## remove what these commands made: .venv, workspace, caches
	rm -rf $(VENV) workspace .tmp build dist .mypy_cache .ruff_cache .hypothesis *.egg-info
