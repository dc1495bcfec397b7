"""The search for a better network: what is drawn, how it is judged, and when it replaces the default.

The only module that knows Optuna.
"""

import json
from collections.abc import Callable
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from digits.config import SearchSpace, TuneParams
from digits.crossval import fit
from digits.errors import UserError
from digits.layers import output_size, parse_layers
from digits.logs import log
from digits.metrics import accuracy
from digits.models import OnEpoch
from digits.prepared import Prepared
from digits.studies import Study

SEARCH_FOLD = 0  # trials are judged on this fold
CONFIRM_FOLD = 1  # and the best one against the default on this one, on which none was judged

_ENDED = (TrialState.COMPLETE, TrialState.PRUNED)
_MOMENTUM = {"momentum": 0.9, "nesterov": True}
_SGD_FACTOR = 10  # momentum SGD wants about ten times Adam's learning rate on these networks
_RANDOM_SHARE = 0.4  # of the trials are drawn at random before the sampler starts to learn from them


def suggest(trial: Trial, space: SearchSpace) -> dict[str, Any]:
    """Draw what to put over the default network's parameters."""
    blocks = trial.suggest_int("blocks", *space.blocks)
    filters = trial.suggest_categorical("filters", space.filters)
    dense = trial.suggest_categorical("dense", space.dense)
    dropout = trial.suggest_float("dropout", *space.dropout, step=0.05 if space.dropout[0] < space.dropout[1] else None)
    optimizer = trial.suggest_categorical("optimizer", space.optimizer)
    learning_rate = trial.suggest_float("learning_rate", *space.learning_rate, log=True)
    convolutions = " ".join(f"{filters * 2**block}C3 {filters * 2**block}C3 MP2" for block in range(blocks))
    return {
        "layers": f"{convolutions} D{dropout:.2f} {dense}",
        "optimizer": {"name": "sgd", **_MOMENTUM} if optimizer == "sgd" else {"name": optimizer},
        "learning_rate": float(f"{learning_rate * (_SGD_FACTOR if optimizer == 'sgd' else 1):.3g}"),
    }


def search(
    study: Study,
    params: TuneParams,
    judge: Callable[[dict[str, Any]], float],
    on_trial: Callable[[int, str, dict[str, Any]], None],
) -> dict[str, Any]:
    """Run the trials that are still missing; returns the overrides of the best one ({}: the default itself).

    judge: overrides -> accuracy; a UserError or ValueError from it (a network that does not fit the images, a loss
    that is no number) ends the trial, not the search. on_trial: told number, result in words and overrides of each
    trial that ends. The first trial is the default. A trial that was interrupted is run again.
    """
    memory = _memory(study, params)
    for trial in memory.get_trials(states=[TrialState.RUNNING]):
        memory.tell(trial.number, state=TrialState.FAIL)
    repeated = {trial.user_attrs.get("repeats") for trial in memory.trials}
    for trial in memory.get_trials(states=[TrialState.FAIL]):
        if trial.number not in repeated:
            memory.enqueue_trial(trial.params, user_attrs={"repeats": trial.number})
    if not memory.get_trials(states=_ENDED):
        value = judge({})
        # recorded without parameters: the default need not lie within the space
        memory.add_trial(optuna.create_trial(value=value, user_attrs={"overrides": "{}"}))
        on_trial(0, f"{value:.4f}", {})

    def objective(trial: Trial) -> float:
        overrides = suggest(trial, params.space)
        trial.set_user_attr("overrides", json.dumps(overrides))
        try:
            return judge(overrides)
        except (UserError, ValueError) as error:
            trial.set_user_attr("error", str(error))
            raise optuna.TrialPruned from error

    def report(_: optuna.Study, trial: FrozenTrial) -> None:
        complete = trial.state == TrialState.COMPLETE
        on_trial(trial.number, f"{trial.value:.4f}" if complete else trial.user_attrs["error"], _overrides(trial))

    memory.optimize(objective, n_trials=max(0, params.trials - trials_done(study, params)), callbacks=[report])
    return _overrides(memory.best_trial)


def trials_done(study: Study, params: TuneParams) -> int:
    """How many trials of a study have ended."""
    return len(_memory(study, params).get_trials(states=_ENDED))


def _memory(study: Study, params: TuneParams) -> optuna.Study:
    """Optuna's memory of a study, made where there is none."""
    study.folder.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    memory = optuna.create_study(storage=study.storage, study_name="tune", direction="maximize", load_if_exists=True)
    memory.sampler = optuna.samplers.TPESampler(
        # a sampler that starts anew from the same seed would draw what it has drawn before
        seed=params.seed + len(memory.trials),
        n_startup_trials=max(1, round(params.trials * _RANDOM_SHARE)),
    )
    return memory


def judge_on_search_fold(
    data: Prepared, default: dict[str, Any], normalise: str, seed: int, epochs: int, on_epoch: OnEpoch
) -> Callable[[dict[str, Any]], float]:
    """The objective: overrides -> accuracy on the search fold after `epochs` epochs."""

    def judge(overrides: dict[str, Any]) -> float:
        spec = default | overrides | {"epochs": epochs}
        output_size(parse_layers(spec["layers"]), data.image_shape)
        log.info("trial starts: %s", spec)
        model = fit(data, SEARCH_FOLD, spec, normalise, seed, on_epoch)
        rows = data.valid_rows(SEARCH_FOLD)
        return accuracy(model.predict_proba(data.images[rows]), data.labels[rows]).value

    return judge


def _overrides(trial: FrozenTrial) -> dict[str, Any]:
    overrides: dict[str, Any] = json.loads(trial.user_attrs["overrides"])
    return overrides
