# `make demo` and `make test` each work as the first command on a fresh clone.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# Wheels of torch-scatter built on this machine, one folder per torch, Python and device kind: a wheel built
# against one torch does not load in another, so pip's own cache is never used for it.
WHEELS ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/mlgcn_pyg/wheels

.PHONY: demo test lint clean
.DELETE_ON_ERROR:

demo: $(VENV)/.demo
	$(BIN)/mlgcn demo

test: $(VENV)/.scatter
	$(BIN)/ruff check .
	$(BIN)/python -m pytest

lint: $(VENV)/.test
	$(BIN)/ruff check .

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .hypothesis

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip setuptools wheel

$(VENV)/.demo: setup.cfg setup.py | $(BIN)/python
	$(BIN)/python -m pip install --quiet -e '.[plot]'
	touch $@

$(VENV)/.test: setup.cfg setup.py | $(BIN)/python
	$(BIN)/python -m pip install --quiet -e '.[test]'
	touch $@

# torch must be installed first: its version names the wheel's folder and its headers build the wheel.
$(VENV)/.scatter: $(VENV)/.test
	set -e; \
	key=$$($(BIN)/python -c 'import sys, torch; print(f"torch{torch.__version__}-cp{sys.version_info[0]}{sys.version_info[1]}-" + ("cuda" if torch.cuda.is_available() else "cpu"))'); \
	wheels="$(WHEELS)/$$key"; mkdir -p "$$wheels"; \
	if ! ls "$$wheels"/torch_scatter-*.whl >/dev/null 2>&1; then \
	  echo "building torch-scatter for $$key (once per machine, about six minutes)"; \
	  building=$$(mktemp -d "$$wheels/building.XXXXXX"); \
	  $(BIN)/python -m pip wheel --quiet --no-build-isolation --no-cache-dir --no-deps -w "$$building" 'torch-scatter>=2.1.2'; \
	  mv "$$building"/*.whl "$$wheels"/; rmdir "$$building"; \
	fi; \
	$(BIN)/python -m pip install --quiet --no-index --no-deps --force-reinstall "$$wheels"/torch_scatter-*.whl
	$(BIN)/python -c 'import torch_scatter'
	touch $@
