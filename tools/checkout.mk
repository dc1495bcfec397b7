# Of a checkout alone: the program is this folder's, in a virtual environment, and there are targets for developers.
VENV := .venv
BIN := $(VENV)/bin
DIGITS := $(BIN)/python -m digits
SETUP = @sh tools/setup.sh $(VENV) "$(PYTHON)"
# also where the folder is a copy, or was moved, with what was installed there
export PYTHONPATH := $(CURDIR)/src

BENCHMARKS := bench bench-data bench-samplers
$(BENCHMARKS): OPTIONS += $(if $(DATA),--data "$$DATA")
PYTEST := $(BIN)/python -m pytest

.PHONY: cluster check test lint fuzz soak docs reference pictures lock clean-caches $(BENCHMARKS)

cluster: ## start a Dask cluster of WORKERS on this computer, to try out CLUSTER
	$(SETUP) keras cluster
	@exec $(BIN)/python tools/cluster.py $(if $(WORKERS),"$$WORKERS")

##@ Develop
check: lint ## style, types and the quick tests, for a change in progress: some minutes
	@$(PYTEST) -n 2 --dist worksteal -m "not slow"

test: ## all tests; installs Chromium and PostgreSQL for them where that is possible
	$(SETUP) dev
	@sh tools/browser.sh || true
	@sh tools/postgres.sh || true
	@$(PYTEST) -n 2 --dist worksteal

docs: ## build/docs/index.html, the documentation as a site
	$(SETUP) docs
	@$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going -b html docs build/docs
	@echo build/docs/index.html

# speed of the Keras networks beside plain Keras, and their accuracy by minutes; an hour with AMX, else hours
bench:
	$(SETUP) dev
	@$(DIGITS) data $(strip $(OPTIONS))
	@$(BIN)/python -m benchmarks networks $(strip $(OPTIONS))

# how fast the competition's files are read, against plain pandas; needs DATA or data/raw
bench-data:
	$(SETUP) dev
	@$(BIN)/python -m benchmarks data $(strip $(OPTIONS))

# samplers of make tune by replayed searches, without a fit; a quarter of an hour
bench-samplers:
	$(SETUP) dev
	@$(BIN)/python -m benchmarks.samplers

# style and types
lint:
	$(SETUP) dev
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

# the data reader against an obvious parser on 60,000 mutated files; minutes
fuzz:
	$(SETUP) dev
	@$(PYTEST) --hypothesis-profile=fuzz tests/data/test_csv_reader.py -k mutated

# all commands killed, in pairs, and on damaged files, ROUNDS times each at random; an hour for 100
ROUNDS := 100
SOAK := $(addprefix tests/cli/test_,soak.py damage.py in_parallel.py)
soak:
	$(SETUP) dev
	@SOAK_KILLS=$(ROUNDS) DAMAGE_ROUNDS=$(ROUNDS) PAIRS=$(ROUNDS) $(PYTEST) -s $(SOAK)

# docs/reference/: params from the schema, commands from the program
reference:
	$(SETUP) dev
	@$(BIN)/python tools/reference.py

# docs/images/: the first parts of report and demo, augmented images; needs Chromium, and a finished make submit
pictures: report demo
	$(SETUP) dev
	@sh tools/browser.sh && $(BIN)/python tools/pictures.py

# requirements/: choose the packages' versions anew, within pyproject.toml's bounds; needs uv
lock:
	sh tools/lock.sh

clean: clean-caches
clean-caches:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
