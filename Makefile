# Runs the pipeline. `make help` is made from the comments here: ##@ begins a group of targets, ## says what a target
# or a variable is for. Which stages a command runs is known to `python -m digits`.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory --no-builtin-rules

## DATA=PATH            a zip or folder with the competition's files, or the word practice
## PARAMS=FILE          another params file instead of params.yaml
## SET="KEY=VALUE ..."  params that differ from the file, as in SET="train.epochs=3 train.seed=7"
## ONLY="NAME ..."      baseline, recipes: what to fit, as in ONLY="mlp-256 svm*"; clean-runs: what to remove
## SEEDS=5              recipes: fits of every recipe, each from another seed
## WORKERS=2            baseline, tune: fits in parallel; without it, one per core, and as many as are fastest together
## BUDGET=30            tune, train, ensemble, submit: minutes for all fits together; without it, 30 and 5
## STORAGE=postgresql://USER:WORD@HOST/NAME   tune: a database in which several machines share a search and its budget
## UPLOAD=0             submit: write and check the file only; without it, it is sent to Kaggle, once, if there are credentials
## FORCE=1              submit: send it once more, though Kaggle has it, or may have it; clean-runs: remove without asking
## REQUIRE_GPU=1        tune, train, ensemble, submit, recipes: stop where TensorFlow sees no GPU, in place of using the processor
## PYTHON=python3.12    the Python to set up with, 3.11 to 3.13
## DEBUG=1              tracebacks instead of one-line errors
DATA ?=
PARAMS ?=
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
# of this folder, also where it is a copy of one, or was moved, with what was installed there
export PYTHONPATH := $(CURDIR)/src$(if $(PYTHONPATH),:$(PYTHONPATH))

# Which variable is an option of which target; an empty one is none. The values are environment variables to the shell,
# where they need no quoting.
export DATA PARAMS SET ONLY SEEDS WORKERS BUDGET STORAGE
COMMANDS := data submit baseline tune train ensemble report runs clean-runs tune-dashboard recipes score submissions leaderboard
BENCHMARKS := bench bench-data bench-baseline
yes = $(filter-out 0 n no No NO off Off OFF false False FALSE,$1)
OPTIONS = $(if $(PARAMS),--params "$$PARAMS") $(if $(SET),--sets "$$SET")
$(filter-out score submissions leaderboard,$(COMMANDS)) $(BENCHMARKS): OPTIONS += $(if $(DATA),--data "$$DATA")
baseline recipes clean-runs: OPTIONS += $(if $(ONLY),--only "$$ONLY")
recipes: OPTIONS += $(if $(SEEDS),--seeds "$$SEEDS")
baseline tune: OPTIONS += $(if $(WORKERS),--workers "$$WORKERS")
tune train ensemble submit: OPTIONS += $(if $(BUDGET),--budget "$$BUDGET")
tune tune-dashboard: OPTIONS += $(if $(STORAGE),--storage "$$STORAGE")
submit: OPTIONS += $(if $(UPLOAD),$(if $(call yes,$(UPLOAD)),--upload,--no-upload))
submit clean-runs: OPTIONS += $(if $(call yes,$(FORCE)),--force)
tune train ensemble submit recipes: OPTIONS += $(if $(call yes,$(REQUIRE_GPU)),--require-gpu)
$(COMMANDS): OPTIONS += $(if $(call yes,$(DEBUG)),--debug)

.PHONY: help setup $(COMMANDS) study screenshot check test fuzz $(BENCHMARKS) lint lock clean

$(COMMANDS): setup
	@$(BIN)/python -m digits $@ $(strip $(OPTIONS))

##@ Start
help: ## this page
	@sed -n 's/^##@ //p; s/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22
	@printf 'Variables\n'
	@sed -n 's/^## /  /p' $(MAKEFILE_LIST)

setup: ## a virtual environment with the locked packages; every other target does this by itself
	@{ [ -z "$(PYTHON)" ] && cmp -s requirements.lock $(VENV)/installed; } || sh tools/setup.sh $(VENV) $(PYTHON)

data: ## find or download the competition's files, check them, split them into folds and a holdout
submit: ## fit networks, blend them, write and check the submission; with credentials, send it and get its score

##@ Improve
baseline: ## fit scikit-learn models over the folds and rank them; submit blends them in
tune: ## search for a better network; submit uses it
train: ## fit Keras networks: over the folds first, then on all labelled images
ensemble: ## blend all finished networks and baselines

##@ Look
report: ## write reports/index.html: where you stand, what was tried, what is wrong, in pictures
runs: ## list what is in runs/: its size, age and fits, and which command uses it
clean-runs: ## remove from runs/ what nothing uses any more, or what ONLY names; it asks first
tune-dashboard: ## look at the search in a browser, also while it runs (needs optuna-dashboard)
recipes: ## fit published recipes and compare their accuracies with the published ones; half an hour for all

##@ Kaggle
score: ## get the scores that Kaggle had not computed yet
submissions: ## list all submissions with their estimates and scores
leaderboard: ## show where your Kaggle account stands

##@ Develop
check: lint ## style, types and the quick tests, for a change in progress: about a minute
	@$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

test: setup ## the tests; those of the report in a browser need Chromium, which is installed where that is possible
	@sh tools/browser.sh || true
	@$(BIN)/python -m pytest -n 2 --dist worksteal

lint: setup ## style and types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

fuzz: setup ## the data reader against an obvious parser on 60,000 mutated files; minutes
	@$(BIN)/python -m pytest --hypothesis-profile=fuzz tests/data/test_csv_reader.py -k mutated

bench: setup ## speed of the Keras networks beside plain Keras, and their accuracy by minutes; an hour with AMX, some hours without
	@$(BIN)/python -m digits data $(strip $(OPTIONS))
	@$(BIN)/python -m benchmarks networks $(strip $(OPTIONS))

bench-data: setup ## how fast the competition's files are read, against plain pandas; needs DATA or data/raw
	@$(BIN)/python -m benchmarks data $(strip $(OPTIONS))

bench-baseline: setup ## images per second of scikit-learn fits, one at a time and one per core; after make data
	@$(BIN)/python -m benchmarks baseline $(strip $(OPTIONS))

screenshot: report ## docs/report.png, of the report's first part; needs Chromium
	@sh tools/browser.sh && $(BIN)/python tools/screenshot.py reports/index.html docs/report.png

lock: setup ## choose the packages' versions anew, within pyproject.toml's bounds (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--group dev --upgrade -o requirements.lock pyproject.toml

clean: ## remove what is made again within minutes: arrays, reports, practice images, caches; nothing that was fitted
	rm -rf reports data/processed data/practice .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

study:
	@echo "error: make study is called make recipes now" >&2; exit 2
