# Everything lives in .venv; nothing else on the machine is touched. A second call installs nothing.
#   make audit                      the main job: certified audit of the paper's claims on real data
#   make audit ARGS="--seed 7"      arguments of `nonconv audit`
#   make test                       fast tests, a process a core        make test-slow   the rest
#   make lint                       ruff, mypy, import directions
#   make bench                      timings
#   make prove                      Coq checks the formal proofs of theorems/formal
# PYTHON chooses the interpreter (3.11 or newer). PIP_ARGS is handed to pip, for example to name the index of
# PyTorch's CPU builds, which are much smaller than the default ones.

PYTHON ?= python3
PIP_ARGS ?=
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: audit reference test test-slow lint bench prove setup clean

audit: $(READY)
	@$(BIN)/nonconv audit $(ARGS)

# The committed audit that README shows; from a clean checkout, so that it names a revision.
reference: $(READY)
	@$(BIN)/nonconv audit --out reports/reference

test: $(READY)
	@$(BIN)/python -m pytest -q -n auto --maxprocesses 8 --dist worksteal -m "not slow" $(ARGS)

test-slow: $(READY)
	@$(BIN)/python -m pytest -q -m slow $(ARGS)

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check -q .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/test_architecture.py

bench: $(READY)
	@$(BIN)/python -m benchmarks.engines $(ARGS)

# Needs Coq instead of .venv. Compiles copies under build/, lets Coq's separate checker read the compiled proofs again,
# and prints the axioms that they use. The second folder is the library of `nonconv check --coq`.
FORMAL = $(basename $(shell grep '\.v$$' theorems/formal/_CoqProject))
CERTIFICATE = Binomial Erf Enclosure Chain DeadNeuron

prove:
	@command -v coqc >/dev/null && command -v coqchk >/dev/null \
		|| { echo "make prove needs coqc and coqchk of Coq 8.16: install the Debian package coq, or coq with opam"; exit 2; }
	@mkdir -p build/formal build/certificate
	@cp theorems/formal/*.v build/formal && cp verify/certificate/coq/*.v build/certificate
	@cd build/certificate && echo 'From Interval Require Import Tactic.' > Needed.v && coqc -q Needed.v >/dev/null 2>&1 \
		|| { echo "make prove needs coq-interval 4.6 or newer: install the Debian package libcoq-interval, or coq-interval with opam"; exit 2; }
	@cd build/formal && for file in $(FORMAL); do coqc -q -Q . Nonconv $$file.v || exit 1; done
	@cd build/formal && coqchk -silent -Q . Nonconv $(addprefix -norec Nonconv.,$(FORMAL))
	@cd build/certificate && for file in $(CERTIFICATE); do coqc -q -w none -Q . Nonconv $$file.v || exit 1; done
	@cd build/certificate && coqchk -silent -Q . Nonconv $(addprefix -norec Nonconv.,$(CERTIFICATE))

setup: $(READY)

$(READY): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "nonconv needs Python 3.11 or newer; $(PYTHON) is older. Name another one: make PYTHON=python3.12"; exit 2; }
	@echo "setting up $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build *.egg-info
