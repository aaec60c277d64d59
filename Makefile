# Every task that a person runs. `make help` lists them.
PYTHON ?= python3
UV_VERSION := 0.13.8
UV := .tools/bin/uv
BIN := .venv/bin

# Bytecode is compiled once at set-up; an environment that forbids it would make every start a second slower.
export PYTHONDONTWRITEBYTECODE =
# The Python at hand is the one that is used: nothing but packages is fetched.
export UV_PYTHON_DOWNLOADS = never

.DEFAULT_GOAL := help
.PHONY: help setup demo test bench bench-list lint format types layers generate check-generated ci images e2e kind-up kind-e2e kind-down clean

help:  ## List the tasks
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.ready  ## Make .venv with the loopwright command and everything the tests need

.venv/.ready: pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if (3, 11) <= v < (3, 14) else f"{sys.executable} is Python {v[0]}.{v[1]}; expected 3.11 to 3.13. Name one: make setup PYTHON=python3.11")'
	@test -x $(UV) || { $(PYTHON) -m venv .tools && .tools/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION); }
	@echo "installing the locked packages into .venv ..."
	@$(UV) sync --quiet --locked --extra local --compile-bytecode --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')"
	@touch $@

demo: setup  ## Watch the loop close on the churn example, in about three minutes (SEED=7)
	@$(BIN)/python examples/churn/demo.py --seed $(or $(SEED),7)

test: setup  ## Pass the tests
	@$(BIN)/python -m pytest -q -n 2 --dist loadscope --no-loadscope-reorder -m "not long" tests/integration tests/unit

bench: setup  ## Measure everything in bench/ in half an hour, on two cores with nothing else to do; bench-NAME: one part
	@$(BIN)/python -m bench.suite

bench-%: setup
	@$(BIN)/python -m bench.$*

bench-list: setup  ## What bench-NAME can be, and how long each takes
	@$(BIN)/python -m bench.suite --list

lint: setup  ## Style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: setup  ## Put code into the one format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: setup  ## Types, strictly
	$(BIN)/mypy

layers: setup  ## Imports go one way
	$(BIN)/lint-imports

generate: setup  ## Write what is generated: pipelines, the schema, the reference of loop.yaml, copies in manifests
	$(BIN)/python -m pipelines.compile
	$(BIN)/loopwright schema > loop.schema.json
	$(BIN)/python docs/generate_loop_reference.py
	$(BIN)/python -m dashboards.generate
	$(BIN)/python manifests/generate.py
	$(BIN)/python serving/generate.py

check-generated: generate  ## What is generated is what is committed
	git diff --exit-code -- components pipelines loop.schema.json dashboards docs helm manifests serving

ci: lint types layers check-generated  ## The slower checks; with a cluster in KUBECONFIG the end-to-end tests too
	@$(BIN)/python -m pytest -q -n 2 --dist loadscope -m long tests/integration tests/unit
	@$(BIN)/python -m pytest -q -n 2 --dist loadscope tests/package tests/manifests
	@$(BIN)/python -m pytest -q -m "not long" tests/e2e

# docker or buildah; for buildah as root without user namespaces: BUILD_FLAGS="--isolation chroot --network host".
BUILDER ?= $(notdir $(firstword $(shell command -v docker buildah)))
BUILD_FLAGS ?=
TARGETS ?= component predictor monitor trigger
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

images:  ## Build the images loopwright/{component-python,predictor,monitor,trigger}, one after the other
	@test -n "$(BUILDER)" || { echo "there is neither docker nor buildah; expected one of them on PATH" >&2; exit 1; }
	@for target in $(TARGETS); do \
	    name=$$target; if [ $$target = component ]; then name=component-python; fi; \
	    $(BUILDER) build $(BUILD_FLAGS) --build-arg VERSION=$(VERSION) --target $$target \
	        --tag docker.io/loopwright/$$name:$(VERSION) . || exit 1; \
	done

e2e: setup  ## All end-to-end tests on the cluster of KUBECONFIG; what the cluster lacks they skip, and say so
	@test -n "$$KUBECONFIG" || { echo "KUBECONFIG is not set; expected the path of a cluster's" >&2; exit 1; }
	@$(BIN)/python -m pytest -q tests/e2e

kind-up: setup images  ## A kind cluster with Envoy Gateway, Argo, KServe and our images (WITH_PROMETHEUS=1; needs docker, kind, helm)
	@manifests/kind/up.sh

kind-e2e: setup  ## The end-to-end tests on that cluster
	@manifests/kind/e2e.sh

kind-down:  ## Delete that cluster
	@kind delete cluster --name loopwright

clean:  ## Remove everything that was installed and made here
	rm -rf .venv .tools dist build demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
