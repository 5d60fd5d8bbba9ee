# Two commands are all a newcomer needs: `make demo` and `make test`. Both set up .venv by themselves.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
RUN    := $(VENV)/.run-ready
DEV    := $(VENV)/.dev-ready
AUDIT  := $(VENV)/.audit
PYTEST := $(BIN)/python -m pytest -p xdist -n 2 --dist worksteal -q

SECONDS ?= 60

.PHONY: help demo demo-cluster test chaos envtest test-envtest test-endpoints bench lint format crds rbac clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(RUN) ## three machines from one manifest, a rolling update, and nothing left behind
	@$(BIN)/python -m capt.demo

demo-cluster: $(RUN) ## a whole cluster, from its VPC to its machines, and nothing left behind
	@$(BIN)/python -m capt.demo --cluster

test: $(DEV) ## the whole test suite
	$(PYTEST)

chaos: $(DEV) ## bad days by printed seeds, for SECONDS=60; CAPT_CHAOS_SEED=7 plays one again
	CAPT_CHAOS_SECONDS=$(SECONDS) $(BIN)/python -m pytest -q -s --timeout=0 tests/integration/test_chaos.py

envtest: $(RUN) ## obtain a real control plane: etcd, kube-apiserver, kube-controller-manager
	@$(BIN)/python -m hack.envtest obtain

test-envtest: $(DEV) envtest ## the integration tests on a real control plane, and its roles against its audit log
	@rm -rf $(AUDIT) && mkdir $(AUDIT)
	CAPT_TEST_APISERVER=real CAPT_TEST_AUDIT=$(AUDIT) $(PYTEST) -m 'not embedded' tests/integration tests/conformance
	$(BIN)/python -m hack.check_rbac $(AUDIT)

test-endpoints: $(DEV) ## 1,000 control planes whose endpoint arrives although everything goes wrong (two minutes)
	CAPT_ENDPOINT_RUNS=1000 $(BIN)/python -m pytest -q tests/integration/test_endpoint_success.py

bench: $(DEV) envtest ## how fast everything is, beside its peers, as a table (about five minutes)
	@$(BIN)/python -m hack.bench

lint: $(DEV) ## formatting, lint rules, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEV) ## rewrite to the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

crds: $(RUN) ## generate manifests/crds and manifests/workspace from capt/api
	$(BIN)/python hack/generate_crds.py

rbac: $(RUN) ## generate the roles in manifests from what the controllers declare
	$(BIN)/python hack/generate_rbac.py

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "capt needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": set PYTHON=python3.x")'
	@echo "setting up $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(RUN): pyproject.toml constraints.txt | $(BIN)/python
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[embedded]'
	@touch $@

$(DEV): $(RUN)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --group dev
	@touch $@
