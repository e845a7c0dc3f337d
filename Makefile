# Two commands on a fresh machine: `make demo` and `make test`. Each sets up what it needs.
VENV   ?= .venv
PYTHON ?= python3
BIN     = $(VENV)/bin
READY   = $(VENV)/.ready
# Where Python may write no bytecode it would compile our modules at every start.
COMPILE = $(BIN)/python -m compileall -q pipeline jobs cluster

.PHONY: install demo test check fix bench clean

install: $(READY)

$(READY): pyproject.toml setup.py constraints.txt $(wildcard pipeline/kernels/*.py pipeline/kernels/*.pxd)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt -e '.[report,ssh,slurm,test,dev]'
	@$(BIN)/python -m pipeline.kernels
	@$(COMPILE)
	@touch $@

demo: $(READY)
	$(BIN)/sawlog demo demo
	$(BIN)/sawlog volume demo/maillog*
	@echo "the same in pictures: demo/report.html"

test: $(READY)
	$(BIN)/pytest -n auto --dist loadfile $(ARGS)

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)
	@$(COMPILE)
	$(BIN)/python -m tests.benchmarks $(ARGS)

clean:
	rm -rf $(VENV) build demo *.egg-info pipeline/kernels/*.c pipeline/kernels/*.so
