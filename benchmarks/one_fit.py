"""One network, fitted and scored as in `make train`, in a process of its own whose start is timed too."""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from digits.data.dataset import load_dataset
from digits.evaluation.metrics import accuracy
from digits.models.cnn import save
from digits.training.crossval import fit_on


def fit(data_folder: Path, spec: dict[str, Any], normalise: str, seed: int, started: float) -> dict[str, float]:
    """Fit on the images of all folds, score on the holdout, save.

    started: time.time() before the process was started. Returns accuracy on the holdout; seconds from `started` to the
    end of saving; and step_seconds, those of the training steps alone.
    """
    data = load_dataset(data_folder)
    # validated as in a fold, for the time that it takes
    model: Any = fit_on(data, data.working_rows, data.valid_rows(0), spec, normalise, seed)
    score = accuracy(model.predict_proba(data.images[data.holdout_rows]), data.labels[data.holdout_rows])
    with tempfile.TemporaryDirectory() as folder:
        save(model, Path(folder))
    return {"accuracy": score.value, "seconds": time.time() - started, "step_seconds": model.step_seconds_}


if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    print(json.dumps(fit(Path(arguments.pop("data_folder")), **arguments)))
