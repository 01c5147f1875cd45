# Set-up is part of each command: a fresh clone needs nothing but make.
PYTHON ?= python3
FILE ?= $(firstword $(wildcard examples/01-minimal/*.yaml))
ARGS ?=

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check -q
CMAKE_SOURCES := $(shell find engine backend -name '*.[ch]pp' -o -name CMakeLists.txt) CMakeLists.txt
CLUSTER = $(BIN)/python -c 'import sys, yaml; \
  print(yaml.safe_load(open(sys.argv[1]))["metadata"]["name"])' $(FILE)
# The requirement lists of pyproject.toml, one per line.
REQUIREMENTS := $(VENV)/bin/python -c 'import sys, tomllib; \
  p = tomllib.load(open("pyproject.toml", "rb")); n = p["project"]; \
  print(*{"build": p["build-system"]["requires"] + ["ninja", "cmake>=3.25"], \
          "run": n["dependencies"], "dev": n["optional-dependencies"]["dev"]}[sys.argv[1]], sep="\n")'

.PHONY: help up down test check bench e2e crds fmt lint types build setup dev cpp-tests

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-8s %s\n", $$1, $$2 }' Makefile

up: setup ## bring up FILE (default: the minimal example) and say how to trade on it
	@$(BIN)/tradingctl up -f $(FILE)
	@CLUSTER=$$($(CLUSTER)) examples/01-minimal/place-order.sh --show

down: ## stop it; the data stays (ARGS="--purge --yes" removes it)
	@if [ -x $(BIN)/tradingctl ]; then $(BIN)/tradingctl down --name $$($(CLUSTER)) $(ARGS); \
	  else echo "nothing runs: .venv is not there"; fi

test: dev cpp-tests ## run everything but Kubernetes and what is marked "long"
	@echo 'left out: searches of minutes each; run them by: make test ARGS="-m long crds"'
	$(BIN)/pytest -m "not kubernetes and not long" $(ARGS)

check: lint types ## style, types, layers, tidiness, fresh generated files
	$(BIN)/pytest -q crds/trading_contract/tests/unit/test_tidy.py \
	  crds/trading_contract/tests/unit/test_crd.py

bench: dev ## measure; ARGS=… goes to benchmarks/run.py
	@mkdir -p build
	@$(BIN)/cmake -S . -B build/bench -G Ninja -DTRADING_BENCHMARKS=ON \
	  -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja >build/bench.log || (cat build/bench.log; exit 1)
	@$(BIN)/cmake --build build/bench
	@$(BIN)/python benchmarks/run.py $(ARGS)

e2e: dev ## the promises on a real Kubernetes: KUBECONFIG, else one made here; ARGS=… goes to pytest
	@.ci/setup $(PYTHON) kubernetes
	@.ci/e2e $(ARGS)

crds: setup ## write the CustomResourceDefinitions from the models
	@mkdir -p build
	for kind in tradingclusters symbolmoves; do \
	  $(BIN)/python -m trading_contract.crd $$kind > build/$$kind.yaml; \
	  cp build/$$kind.yaml charts/trading-operator/crds-generated/$$kind.yaml; \
	  mv build/$$kind.yaml crds/$$kind.yaml; \
	done

fmt: dev ## format Python
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

lint: dev ## ruff and the layers of the packages
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

types: dev ## mypy, strict
	$(BIN)/mypy

build: $(VENV)/.run ## build the package into .venv, C++ included, fresh or not
	flock build.lock $(PIP) install --no-deps --no-build-isolation -e .
	@touch $(VENV)/.built

# What everything needs: system packages, environment, the package with its extensions.
setup: $(VENV)/.built
	@.ci/setup $(PYTHON)

# What tests and checks need on top.
dev: setup $(VENV)/.dev

$(BIN)/python:
	@.ci/setup $(PYTHON)
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml | $(BIN)/python
	$(REQUIREMENTS) build > $(VENV)/requirements.txt
	$(REQUIREMENTS) run >> $(VENV)/requirements.txt
	flock build.lock $(PIP) install -r $(VENV)/requirements.txt
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(REQUIREMENTS) dev > $(VENV)/requirements-dev.txt
	flock build.lock $(PIP) install -r $(VENV)/requirements-dev.txt
	@touch $@

$(VENV)/.built: $(VENV)/.run $(CMAKE_SOURCES) | $(BIN)/python
	@echo "building the C++ extensions"
	flock build.lock $(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

cpp-tests: dev
	@mkdir -p build
	@$(BIN)/cmake -S . -B build/tests -G Ninja -DTRADING_TESTS=ON -DTRADING_BENCHMARKS=ON \
	  -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja >build/tests.log || (cat build/tests.log; exit 1)
	$(BIN)/cmake --build build/tests
	$(BIN)/ctest --test-dir build/tests --output-on-failure --no-tests=error
