"""One network, fitted and scored as in `make train`, in its own process, whose start is timed too."""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from digits.data.dataset import load_dataset
from digits.evaluation.metrics import accuracy
from digits.models.cnn import save
from digits.training.crossval import fit


def measure(
    data_folder: Path, spec: dict[str, Any], normalise: str, fold: int, seed: int, started: float
) -> dict[str, float]:
    """Fit without a fold and the holdout, score on the fold, save; the holdout is not read.

    started: time.time() before the process was started. Returns accuracy on the fold; seconds from `started` to the end
    of saving; and step_seconds, those of the training steps alone.
    """
    data = load_dataset(data_folder)
    model: Any = fit(data, fold, spec, normalise, seed)
    rows = data.valid_rows(fold)
    score = accuracy(model.predict_proba(data.images[rows]), data.labels[rows])
    with tempfile.TemporaryDirectory() as folder:
        save(model, Path(folder))
    return {"accuracy": score.value, "seconds": time.time() - started, "step_seconds": model.step_seconds_}


if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    print(json.dumps(measure(Path(arguments.pop("data_folder")), **arguments)))
