"""Open optuna-dashboard on the study that belongs to these params and data."""

import subprocess
import sys
from pathlib import Path

from digits.cli.context import Context, Outcome
from digits.common.errors import UserError
from digits.training.tuned import study_of

PROGRAM = Path(sys.executable).parent / "optuna-dashboard"


def run(context: Context) -> Outcome:
    """Serve the study until interrupted. Raises UserError if there is no study yet or no optuna-dashboard."""
    tune = context.params.tune
    study = study_of(context.params, context.data, context.paths.studies, tune.model)
    if not tune.storage and not study.file.exists():
        raise UserError("there is no search with these params and data yet; type: make tune")
    if not PROGRAM.exists():
        raise UserError("optuna-dashboard is not installed; type: pip install 'digits[dashboard]'")
    subprocess.run([str(PROGRAM), tune.storage or f"sqlite:///{study.file}"], check=False)
    return Outcome(f"study {study.name}", True)
