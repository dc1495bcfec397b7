"""Search for a better model, confirm the best on other folds, and keep the old one unless the gain is above noise."""

from digits.cli.context import Context, Outcome
from digits.common.logs import log_to
from digits.common.sealed import read_json, write_json
from digits.training.budget import Plan, make_plan
from digits.training.tuned import TUNED, study_of
from digits.tuning.origin import Machine
from digits.tuning.session import tune


def run(context: Context) -> Outcome:
    """Make runs/tune/<study>/best.yaml and reports/tune/."""
    params, paths = context.params, context.paths
    study = study_of(params, context.data, paths.studies, params.tune.model)
    limits = {"minutes": params.tune.budget, "trials": params.tune.n_trials}
    done = read_json(study.folder / "done.json")
    worked = not done or done["minutes"] < limits["minutes"] or done["trials"] != limits["trials"] or study.lost

    def plan() -> Plan:
        return make_plan(params, context.data, context.device, paths, context.console, context.timing)

    if worked:
        write_json(study.folder / "study.json", {"data": context.data.hash})
        machine = Machine(
            device=lambda: context.device,
            plan=plan,
            timings=paths.runs / "machines",
            console=context.console,
            executor=lambda workers: context.executor([None] * workers),
            timing=context.timing,
            slots=context.cluster.slots if context.cluster else 0,
        )
        with log_to(study.folder / "log.txt"):
            try:
                final = tune(study, params, context.data, machine, paths.reports / "tune")
            except KeyboardInterrupt:
                raise KeyboardInterrupt("finished trials are kept, those that were running run again") from None
        if final:
            write_json(study.folder / "done.json", limits)
    found = study.found_file.relative_to(paths.root)
    if not study.fragment:
        return Outcome(f"nothing better; {found}, reports/tune/report.md", worked, ("make submit",))
    what, next_step = (
        f"the network {TUNED}",
        "make submit   trains it, or a better one if there is time",
    )
    if params.tune.model != "train":
        what, next_step = params.tune.model, "make baseline   fits it with what was found"
    return Outcome(f"{what} is better; {found}, reports/tune/report.md", worked, (next_step,))
