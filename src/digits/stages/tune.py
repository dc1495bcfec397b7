"""Search for a better network, and keep the default unless the best beats it on a fold on which none was judged."""

from typing import Any

from digits.config import CnnSpec
from digits.errors import UserError
from digits.fitting import fit_unit
from digits.job import Job, Outcome
from digits.logs import log_to
from digits.metrics import paired_gain
from digits.prepared import Prepared
from digits.runs import RunFolder, run_spec
from digits.studies import study_of
from digits.tuning import CONFIRM_FOLD, judge_on_search_fold, search, trials_done


def run(job: Job) -> Outcome:
    """Make runs/tune/<fingerprint>/best.yaml."""
    data = job.data
    study = study_of(job.settled, data, job.paths.studies)
    worked = study.best is None
    if worked:
        job.console.say(job.engine.line(job.settled.train.spec.model_dump()))
        with log_to(study.folder / "log.txt"):
            best = _search(job, data)
            adopted, comment = _confirm(job, data, best)
        study.save_best(best if adopted else {}, comment)
        job.console.say(comment)
    found = ", ".join(f"{name}={value}" for name, value in (study.best or {}).items())
    summary = f"found {found}" if found else "the default network stays: nothing tried was better beyond noise"
    shown = (study.folder / "best.yaml").relative_to(job.paths.root)
    return Outcome(f"{summary}; {shown}", worked, ("make submit   trains what was found",))


def _search(job: Job, data: Prepared) -> dict[str, Any]:
    params, train = job.params.tune, job.settled.train
    study = study_of(job.settled, data, job.paths.studies)
    missing = max(params.trials - trials_done(study, params), 0)
    with job.console.bar("tune", missing, "trials") as bar:

        def on_epoch(_: int, epochs: int, record: dict[str, float]) -> None:
            bar.advance(1 / epochs, f"accuracy in training {record['accuracy']:.4f}")

        def on_trial(number: int, result: str, overrides: dict[str, Any]) -> None:
            what = " ".join(f"{name}={value}" for name, value in overrides.items()) or "the default"
            job.console.say(f"trial {number}: {result}  {what}")

        judge = judge_on_search_fold(
            data,
            train.spec.model_dump(mode="json"),
            job.params.data.normalise,
            train.seed,
            params.epochs,
            on_epoch,
        )
        return search(study, params, judge, on_trial)


def _confirm(job: Job, data: Prepared, best: dict[str, Any]) -> tuple[bool, str]:
    """Whether the best trial beats the default by more than one standard error, at full length on a new fold."""
    if not best:
        return False, "no trial was better than the default"
    default = job.settled.train.spec
    found = CnnSpec.model_validate(default.model_dump() | best)
    valid = []
    with job.console.bar("confirm", 2, "fits") as bar:
        for spec in (found, default):
            run = run_spec("cnn", spec.model_dump(mode="json"), job.params.data.normalise, job.params.train.seed, data)
            folder = RunFolder(job.paths.runs, run)
            try:
                if not folder.has(CONFIRM_FOLD):
                    fit_unit(data, job.paths.runs, run, CONFIRM_FOLD, bar)
            except UserError as error:
                if spec == default:
                    raise
                return False, f"the best trial cannot be fitted at full length ({error}): the default stays"
            valid.append(folder.unit_probabilities(CONFIRM_FOLD)["valid"])
    gain, deviation = paired_gain(valid[0], valid[1], data.labels[data.valid_rows(CONFIRM_FOLD)])
    adopted = gain > deviation
    verdict = "taken" if adopted else "not above noise: the default stays"
    comment = f"on fold {CONFIRM_FOLD}, on which no trial was judged, the best gains {gain:+.4f}"
    return adopted, f"{comment} (standard error {deviation:.4f}): {verdict}"
