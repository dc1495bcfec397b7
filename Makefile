# Runs the pipeline; `make help` is made from the comments that stand behind two number signs.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory --no-builtin-rules

## DATA=PATH            a zip or folder with the competition's files, or the word practice
## PARAMS=FILE          another params file instead of params.yaml
## SET="KEY=VALUE ..."  params that differ from the file, as in SET="train.epochs=3 train.seed=7"
## ONLY="NAME ..."      baseline, study: what to fit, as in ONLY="mlp-128 svm*"
## SEEDS=5              study: fits of every recipe, from as many seeds
## WORKERS=2            baseline, tune: fits at the same time; without it, one per core, and two
## BUDGET=30            tune, train, ensemble, submit: minutes for all fits together; without it, 30 and 5
## STORAGE=postgresql://USER:WORD@HOST/NAME   tune: a database in which several machines share a search and its budget
## UPLOAD=0             submit: write and check the file only; without it, it is sent to Kaggle, once, if there are credentials
## FORCE=1              submit: send it once more, though Kaggle has it already
## REQUIRE_GPU=1        tune, train and later: stop where TensorFlow sees no GPU, in place of using the processor
## PYTHON=python3.12    the Python to set up with, 3.11 to 3.13
## DEBUG=1              tracebacks instead of one-line errors
DATA ?=
PARAMS ?= params.yaml
SET ?=
ONLY ?=
SEEDS ?=
WORKERS ?=
BUDGET ?=
STORAGE ?=
UPLOAD ?=
FORCE ?=
REQUIRE_GPU ?=
DEBUG ?=
PYTHON ?=

VENV := .venv
BIN := $(VENV)/bin
NO := 0 n no No NO off Off OFF false False FALSE
# of this folder, also where it is a copy of one, or was moved, with what was installed there
export PYTHONPATH := $(CURDIR)/src$(if $(PYTHONPATH),:$(PYTHONPATH))
# as environment variables they need no quoting
export DATA PARAMS SET ONLY SEEDS WORKERS BUDGET STORAGE
ALSO := $${WORKERS:+ baseline.workers=$$WORKERS tune.workers=$$WORKERS}$${BUDGET:+ tune.budget=$$BUDGET train.budget=$$BUDGET}$${STORAGE:+ tune.storage=$$STORAGE}
OPTIONS := --params "$$PARAMS" --set "$$SET$(ALSO)" --data "$$DATA"
DIGITS = $(BIN)/python -m digits $(OPTIONS) --only "$$ONLY" --seeds "$$SEEDS" $(if $(UPLOAD),--upload $(if $(filter-out $(NO),$(UPLOAD)),always,never)) $(if $(filter-out $(NO),$(FORCE)),--force) \
	$(if $(filter-out $(NO),$(REQUIRE_GPU)),--require-gpu) $(if $(filter-out $(NO),$(DEBUG)),--debug)

.PHONY: help setup data baseline tune tune-dashboard train ensemble submit score submissions leaderboard study report screenshot test fuzz bench bench-data bench-baseline lint lock clean

help: ## this page
	@printf 'From a competition to a submission:\n\n'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20
	@printf '\nVariables:\n\n'
	@sed -n 's/^## /  /p' $(MAKEFILE_LIST)

setup: ## a virtual environment with the locked packages; every other target does this by itself
	@{ [ -z "$(PYTHON)" ] && cmp -s requirements.lock $(VENV)/installed; } || sh tools/setup.sh $(VENV) $(PYTHON)

data: setup ## find or download the competition's files, check them, split them into folds and a holdout
	@$(DIGITS) fetch prepare

baseline: setup ## data, then scikit-learn models over the folds, ranked
	@$(DIGITS) fetch prepare baseline

tune: setup ## data, then a search for a better network
	@$(DIGITS) fetch prepare tune

tune-dashboard: setup ## look at the search in a browser, also while it runs (needs optuna-dashboard)
	@$(DIGITS) fetch prepare dashboard

train: setup ## data, then Keras networks for BUDGET minutes: folds first, then all labelled images
	@$(DIGITS) fetch prepare train

ensemble: setup ## data, train, then a blend of all finished networks and baselines
	@$(DIGITS) fetch prepare train ensemble

submit: setup ## data, train, ensemble, then the checked file, to Kaggle where there are credentials, and its score
	@$(DIGITS) fetch prepare train ensemble submit

score: setup ## ask Kaggle for the scores that are not there yet
	@$(DIGITS) score

submissions: setup ## what has become of each submission, with estimates and scores
	@$(DIGITS) submissions

leaderboard: setup ## where your Kaggle account stands
	@$(DIGITS) leaderboard

study: setup ## published recipes beside their figures: optimizers, first networks, demonstrations; half an hour, or ONLY=
	@$(DIGITS) fetch prepare study

report: setup ## reports/index.html: where you stand, what was tried, what is wrong, in pictures
	@$(DIGITS) report

screenshot: report ## docs/report.png, of the report's first part; needs Chromium
	@sh tools/browser.sh && $(BIN)/python tools/screenshot.py reports/index.html docs/report.png

test: setup ## the tests; those of the report in a browser need Chromium, which is installed where that is possible
	@sh tools/browser.sh || true
	@$(BIN)/python -m pytest -n 2 --dist worksteal

fuzz: setup ## the data reader against an obvious parser on 60,000 mutated files; minutes
	@$(BIN)/python -m pytest --hypothesis-profile=fuzz tests/test_dataset.py -k mutated

bench: export override SET := data.holdout=0.2 $(SET)
bench: setup ## speed of the Keras networks beside plain Keras, and their accuracy by minutes; an hour with AMX, some hours without
	@$(DIGITS) fetch prepare
	@$(BIN)/python -m benchmarks networks $(OPTIONS)

bench-data: setup ## how fast the competition's files are read, against plain pandas; needs DATA or data/raw
	@$(BIN)/python -m benchmarks data $(OPTIONS)

bench-baseline: setup ## images per second of scikit-learn fits, one at a time and one per core; after make data
	@$(BIN)/python -m benchmarks baseline $(OPTIONS)

lint: setup ## style and types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

lock: setup ## choose the packages' versions anew, within pyproject.toml's bounds (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--group dev --upgrade -o requirements.lock pyproject.toml

clean: ## remove what can be made again: runs, arrays, reports, caches; data/raw, submissions and .venv stay
	rm -rf runs reports data/processed data/practice .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
