# Runs the pipeline. `make help` is made from the comments here: ##@ begins a group of targets, ## says what a target or
# a variable is for, ##. what a variable is for that only `make variables` shows. The program `digits` knows which stages
# a command has. `digits init` copies this file.
ifeq ($(OS),Windows_NT)
$(error Windows needs WSL2: type wsl --install in PowerShell, then make in the Linux of WSL)
endif
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory --no-builtin-rules

## DATA=PATH            a zip or folder with the competition's files, or the word practice; init: also kaggle:SLUG
## PARAMS=FILE          another params file instead of params.yaml
## SET="KEY=VALUE ..."  params that differ from the file, as in SET="train.epochs=3 train.seed=7"
##. FILE=PATH            predict: the images: a CSV as the test file, a PNG or JPEG, or a folder of those
##. BLEND=NAME           predict, export, demo: the blend in runs/ to use; by default the newest
##. TTA=1                export: average over transformed copies of an unsure image, as submit does; larger and slower
##. RUNS="a b"           compare: two runs or blends in runs/
## BUDGET=30            minutes for all fits of submit, train, kaggle-gpu or ensemble (default 5), or of tune (30)
##. ONLY="NAME ..."      baseline, recipes: what to fit, as in ONLY="mlp-256 svm*"; clean-runs: what to remove
##. SEEDS=5              recipes: number of fits of each recipe, each with its own seed
##. WORKERS=2            baseline, tune: number of fits in parallel; by default as many as are fastest together
##. CLUSTER=tcp://HOST:8786   submit, baseline, tune, train, recipes: fit on the workers of a Dask cluster
##. STORAGE=postgresql://USER:PASSWORD@HOST/NAME   tune: a database that lets several machines share a search
##. UPLOAD=0             submit: write and check the file, but do not send it to Kaggle
##. FORCE=1              submit: send the file again; clean-runs: remove without asking
##. REQUIRE_GPU=1        stop if TensorFlow finds no GPU
##. PYTHON=python3.12    the Python to use, 3.11 to 3.13
##. EXTRAS=gpu           setup: also what NVIDIA GPUs on Linux need
##. DEBUG=1              show tracebacks instead of one-line errors
# from the command line alone: some sites set DATA or PYTHON for everybody
DATA =
PARAMS =
SET =
FILE =
BLEND =
TTA =
RUNS =
BUDGET =
ONLY =
SEEDS =
WORKERS =
CLUSTER =
STORAGE =
UPLOAD =
FORCE =
REQUIRE_GPU =
PYTHON =
EXTRAS =
DEBUG =

# The installed program, and nothing to set up. In a checkout tools/checkout.mk has its own of both, and the targets for
# developers: make check, make test, make docs, make bench and others.
DIGITS := digits
SETUP = @:
-include tools/checkout.mk

# Which variable is an option of which target; an empty one is none. The values are environment variables to the shell,
# where they need no quoting.
export DATA PARAMS SET FILE BLEND RUNS BUDGET ONLY SEEDS WORKERS CLUSTER
# it has a password, so it is no argument, which everybody on the machine could read
export DIGITS_STORAGE = $(STORAGE)
COMMANDS := init data submit baseline tune train kaggle-gpu ensemble report watch runs clean-runs tune-dashboard recipes compare predict export demo score submissions leaderboard
yes = $(filter-out 0 n no No NO off Off OFF false False FALSE,$1)
OPTIONS = $(if $(PARAMS),--params "$$PARAMS") $(if $(SET),--sets "$$SET")
init: OPTIONS =
$(filter-out score submissions leaderboard predict export,$(COMMANDS)): OPTIONS += $(if $(DATA),--data "$$DATA")
predict: OPTIONS += $(if $(FILE),--file "$$FILE")
predict export demo: OPTIONS += $(if $(BLEND),--blend "$$BLEND")
export: OPTIONS += $(if $(call yes,$(TTA)),--tta)
compare: OPTIONS += $(if $(RUNS),--runs "$$RUNS")
tune train kaggle-gpu ensemble submit: OPTIONS += $(if $(BUDGET),--budget "$$BUDGET")
baseline recipes clean-runs: OPTIONS += $(if $(ONLY),--only "$$ONLY")
recipes: OPTIONS += $(if $(SEEDS),--seeds "$$SEEDS")
baseline tune: OPTIONS += $(if $(WORKERS),--workers "$$WORKERS")
baseline tune train ensemble submit recipes: OPTIONS += $(if $(CLUSTER),--cluster "$$CLUSTER")
submit: OPTIONS += $(if $(UPLOAD),$(if $(call yes,$(UPLOAD)),--upload,--no-upload))
submit clean-runs: OPTIONS += $(if $(call yes,$(FORCE)),--force)
tune train ensemble submit recipes: OPTIONS += $(if $(call yes,$(REQUIRE_GPU)),--require-gpu)
$(filter-out init,$(COMMANDS)): OPTIONS += $(if $(call yes,$(DEBUG)),--debug)

# The packages that a command needs, by their file in requirements/.
PACKAGES := base
submit train ensemble tune recipes predict demo: PACKAGES := keras
export: PACKAGES := export
tune-dashboard: PACKAGES := dashboard
tune tune-dashboard: PACKAGES += $(if $(STORAGE),database)
baseline tune train ensemble submit recipes: PACKAGES += $(if $(CLUSTER),cluster)

.PHONY: help variables setup clean study $(COMMANDS)

# in place of the shell, so that a signal to make reaches it
$(COMMANDS):
	$(SETUP) $(PACKAGES)
	@exec $(DIGITS) $@ $(strip $(OPTIONS))

##@ Start
help: ## this page
	@awk -F ':.*## ' '/^##@/ {print substr($$0, 5)} /^[a-z-]+:.*##/ {printf "  make %-15s%s\n", $$1, $$2}' \
		$(MAKEFILE_LIST)
	@printf 'Variables\n'
	@sed -n 's/^## /  /p' $(MAKEFILE_LIST)

variables: ## what all variables are for; below are those of most commands
	@sed -n 's/^##\.* //p' $(MAKEFILE_LIST)

setup: ## install what submit needs, and EXTRAS; each command installs what it needs by itself
	$(SETUP) keras $(EXTRAS)

init: ## look at the files of any competition, DATA, and write the params that fit them
data: ## find or download the competition's files, check them, split them into folds and a holdout
submit: ## fit networks, blend them, write and check the submission; with credentials, send it and get its score

##@ Improve
baseline: ## fit scikit-learn models over the folds and rank them; submit adds them to the blend
tune: ## search for a better network; submit uses it
train: ## fit Keras networks: over the folds first, then on all labelled images
ensemble: ## blend all finished networks and baselines

##@ Look
report: ## write reports/index.html: results, models and errors in tables and pictures
watch: ## follow a training or a search in a browser while it runs
runs: ## list the contents of runs/: size, age, fits, and which command uses them
clean-runs: ## remove what no command uses from runs/, or what ONLY names; asks first
clean: ## remove arrays, reports and practice images, which are made again within minutes; keep all fits
	rm -rf reports data/processed data/practice

tune-dashboard: ## look at the search in a browser, also while it runs
recipes: ## fit published recipes and compare their accuracies; half an hour for all

compare: ## say what differs between two runs, RUNS, and which images only one of them gets right
score: ## get the scores that Kaggle had not computed yet
submissions: ## list all submissions with their estimates and scores
leaderboard: ## show where your Kaggle account stands

##@ Use
predict: ## label other images, FILE, by the newest blend
export: ## write the models of a blend for other programs: Keras, ONNX, LiteRT, scikit-learn
demo: ## write demo/index.html, a page that reads the digit that you draw

##@ Grow
kaggle-gpu: ## train on Kaggle's GPUs, and place the fits here; submit blends them with those made here

study:
	@echo "error: make study is called make recipes now" >&2; exit 2
