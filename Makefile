# Two commands do everything on a machine with Python ≥ 3.11 and make:
#   make check   sets up .venv and runs the main job (results/: table, figures, results.json)
#   make test    sets up .venv and runs the tests (make test-slow: the long ones)
# Both are safe to run again (check keeps what is complete). PYTHON=python3.12 chooses the interpreter.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Fast tests, and the rest of their cases (thorough), compile without XLA's optimisations, which
# halves their time. Slow ones, those on bits and overflow (as_compiled), and those with other
# versions compile as users do. XLA knows these flags in the versions of constraints.txt. Each file
# of tests stays in one process (loadfile), where its tests share what they compile.
REST := slow or thorough or fuzz or as_compiled
QUICK := XLA_FLAGS="--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false \
  --xla_cpu_parallel_codegen_split_count=1 $(XLA_FLAGS)"
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# What must hold before a change lands, in this order: .ci/run does all, .github/workflows one each.
STEPS := coverage test-slow fuzz lint types docs notebooks dist versions check bad-input

.PHONY: steps bad-input check quick test coverage fuzz test-slow versions dist lint types docs \
  notebooks bench bench-gpu clean

steps:
	@printf '%s\n' $(STEPS)

check: $(VENV)/.installed
	$(BIN)/stablesde check

quick: $(VENV)/.installed
	$(BIN)/stablesde check --quick

test: $(VENV)/.installed-dev
	$(QUICK) $(BIN)/python -m pytest -n auto --dist loadfile -m "not ($(REST))"

coverage:  # of the lines of the package, by the fast tests
	PYTEST_ADDOPTS="--cov=stablesde --cov-report=term:skip-covered" $(MAKE) test

test-slow: $(VENV)/.installed-dev
	$(QUICK) $(BIN)/python -m pytest -n auto --dist loadfile -m "thorough and not slow and not as_compiled"
	$(BIN)/python -m pytest -n auto -m "slow or as_compiled"

fuzz: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n auto -m fuzz

# With the newest and the oldest supported versions, and with the Pythons between (noxfile.py).
versions: $(VENV)/.installed-dev
	$(BIN)/nox -s newest oldest pythons

# Builds the wheel and the sdist, installs the wheel where the repository is out of sight, tries it.
dist: $(VENV)/.installed-dev
	rm -rf dist
	$(BIN)/python -m build --quiet
	$(BIN)/python tests/programs/try_wheel.py dist

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/ruff format --check --line-length 70 docs/*.md notebooks/*.ipynb
	$(BIN)/codespell

types: $(VENV)/.installed-dev
	$(BIN)/mypy

docs: $(VENV)/.installed-dev
	$(BIN)/mkdocs build --strict

notebooks: $(VENV)/.installed-dev
	$(BIN)/python notebooks/run.py

bench: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks.import_time
	$(BIN)/python -m benchmarks.noise
	$(BIN)/python -m benchmarks.levy
	$(BIN)/python -m benchmarks.multiplicative
	$(BIN)/python -m benchmarks.pairwise
	$(BIN)/python -m benchmarks.random_batch
	$(BIN)/python -m benchmarks.minibatch
	$(BIN)/python -m benchmarks.sampler_law
	$(BIN)/python -m benchmarks.density_speed
	$(BIN)/python -m benchmarks.skewed_law
	$(BIN)/python -m benchmarks.estimator_coverage
	$(BIN)/python -m benchmarks.fokker_planck
	$(BIN)/python -m benchmarks.engine
	$(BIN)/python -m benchmarks.memory
	$(BIN)/python -m benchmarks.gradients
	$(BIN)/python -m benchmarks.devices
	$(BIN)/python -m benchmarks.schemes
	$(BIN)/python -m benchmarks.slope_coverage
	$(BIN)/python -m benchmarks.compression
	$(BIN)/python -m benchmarks.against_diffrax
	$(BIN)/python -m benchmarks.federated
	-$(BIN)/python -m benchmarks.pruning_methods  # needs the data ECG5000
	-$(BIN)/python -m benchmarks.training_theory  # needs the data ECG5000
	-$(BIN)/python -m benchmarks.training_step  # needs ECG5000, MNIST and the extra "bench"
	-$(BIN)/python -m benchmarks.against_torch  # needs the extra "bench"

bad-input: $(VENV)/.installed  # ends in one clear line
	tests/programs/bad_input $(BIN)/stablesde

bench-gpu:  # on a machine with a GPU, JAX and the dependencies; no network: PYTHON=python3
	XLA_PYTHON_CLIENT_PREALLOCATE=false $(PYTHON) -m benchmarks.gpu --out results-gpu

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "stablesde needs Python 3.11 or newer (set PYTHON=...)")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e .
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e ".[dev]"
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) .nox dist site results
