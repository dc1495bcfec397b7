"""Open optuna-dashboard on the study that belongs to these params and data."""

import os
import subprocess
import sys
from importlib.util import find_spec
from urllib.parse import quote

from digits.cli.context import Context, Outcome
from digits.cli.options import STORAGE_VARIABLE
from digits.common.errors import UserError
from digits.training.tuned import study_of

# the address may have a password, which everybody on the machine could read in a list of processes
_SERVE = f"import os, optuna_dashboard; optuna_dashboard.run_server(os.environ['{STORAGE_VARIABLE}'])"


def run(context: Context) -> Outcome:
    """Serve the study until interrupted. Raises UserError if there is no study yet or no optuna-dashboard."""
    tune = context.params.tune
    study = study_of(context.params, context.data, context.paths.studies, tune.model)
    if not tune.storage and not study.file.exists():
        raise UserError("there is no search with these params and data yet; type: make tune")
    if find_spec("optuna_dashboard") is None:
        raise UserError("optuna-dashboard is not installed; type: pip install 'digits[dashboard]'")
    environment = {**os.environ, STORAGE_VARIABLE: tune.storage or f"sqlite:///{quote(str(study.file))}"}
    subprocess.run([sys.executable, "-c", _SERVE], check=False, env=environment)
    return Outcome(f"study {study.name}", True)
