# `make demo` and `make test` each work as the first command on a fresh clone.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# Wheels of torch-scatter built on this machine, one folder per torch, Python and device kind: a wheel built
# against one torch does not load in another, so pip's own cache is never used for it.
WHEELS ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/mlgcn_pyg/wheels

# The oldest versions that setup.cfg allows, in an environment of their own.
LOWEST := .venv-lowest
# Tests run in several processes, one thread each. glibc keeps freed memory for the next test: returning it to the
# system and faulting it in again costs a large part of the time.
WORKERS ?= 4
PARALLEL    := -n logical --maxprocesses $(WORKERS) --dist worksteal
ENVIRONMENT := OMP_NUM_THREADS=1 MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=17179869184 \
               MALLOC_TOP_PAD_=67108864

.PHONY: demo test test-lowest lint docs clean
.DELETE_ON_ERROR:

demo: $(VENV)/.demo
	$(BIN)/mlgcn demo

test: lint $(VENV)/.scatter
	$(ENVIRONMENT) $(BIN)/python -m pytest $(PARALLEL)

# everything but the benchmarks, with the lowest versions of setup.cfg
test-lowest: $(LOWEST)/.test
	$(ENVIRONMENT) $(LOWEST)/bin/python -m pytest $(PARALLEL) --ignore=tests/test_benchmarks.py

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m mypy mlgcn_pyg

# the guides are run by one thread each: on busy machines, more threads wait for each other
docs: $(VENV)/.docs
	rm -rf build/docs build/docs-source
	$(BIN)/sphinx-apidoc -q --separate --module-first --no-toc -o build/docs-source mlgcn_pyg mlgcn_pyg/__main__.py
	cp .ci/docs/index.rst build/docs-source/
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build -q --fail-on-warning --keep-going -c .ci/docs build/docs-source build/docs
	@echo "open build/docs/index.html"

clean:
	rm -rf $(VENV) $(LOWEST) build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip setuptools wheel

$(VENV)/.demo: setup.cfg setup.py | $(BIN)/python
	$(BIN)/python -m pip install --quiet -e '.[plot,report]'
	touch $@

$(VENV)/.test: setup.cfg setup.py | $(BIN)/python
	$(BIN)/python -m pip install --quiet -e '.[test]'
	touch $@

$(VENV)/.docs: setup.cfg setup.py | $(BIN)/python
	$(BIN)/python -m pip install --quiet -e '.[docs]'
	touch $@

$(LOWEST)/.test: setup.cfg setup.py .ci/lowest.py
	$(PYTHON) -m venv --clear $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --upgrade pip
	$(LOWEST)/bin/python .ci/lowest.py > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip install --quiet --constraint $(LOWEST)/constraints.txt -e '.[test]'
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
