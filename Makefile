# Set-up is part of each command: a fresh clone needs nothing but make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help build
help:
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

build: ## build and install the package into .venv (C++ included)
	flock build.lock $(BIN)/pip install -q --no-build-isolation -e '.[dev]'
