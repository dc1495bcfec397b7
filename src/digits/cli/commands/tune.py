"""Search for better parameters, confirm the best on all folds, and keep the default unless the gain is above noise."""

from digits.cli.context import Context, Outcome
from digits.common.files import read_json, write_json
from digits.common.logs import log_to
from digits.training.tuned import study_of
from digits.tuning.session import tune


def run(context: Context) -> Outcome:
    """Make runs/tune/<study>/best.yaml and reports/tune/."""
    params, paths = context.params, context.paths
    study = study_of(params, context.data, paths.studies, params.tune.model)
    limits = {"minutes": params.tune.budget, "trials": params.tune.n_trials}
    done = read_json(study.folder / "done.json")
    worked = not done or done["minutes"] < limits["minutes"] or done["trials"] != limits["trials"]
    if worked:
        write_json(study.folder / "study.json", {"data": context.data.hash})
        with log_to(study.folder / "log.txt"):
            final = tune(study, params, context.data, lambda: context.device, context.console, paths.reports / "tune")
        if final:
            write_json(study.folder / "done.json", limits)
    best = (study.folder / "best.yaml").relative_to(paths.root)
    changes = f"{len(study.best)} parameters changed" if study.best else "the default stays"
    next_step = "make submit   trains the tuned network, or a more accurate candidate if the budget has time for it"
    if params.tune.model != "train":
        next_step = "make baseline"
    return Outcome(f"{changes}; {best}, reports/tune/report.md", worked, (next_step,))
