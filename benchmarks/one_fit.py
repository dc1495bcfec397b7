"""One network, fitted and judged as `make train` would, in a process of its own that the benchmark can time whole."""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from digits.data.dataset import load_dataset
from digits.evaluation.metrics import accuracy
from digits.models import Setting
from digits.models.cnn import build, save


def fit(data_folder: Path, spec: dict[str, Any], normalise: str, seed: int, started: float) -> dict[str, float]:
    """Fit on all folds' images, judge on the holdout, save.

    started: time.time() when the process was asked for. Returns accuracy on the holdout, read here and once; seconds
    from `started` to the end of saving; and step_seconds, how much of them the training steps alone took.
    """
    data = load_dataset(data_folder)
    model = build(spec, Setting(data.image_shape, data.classes, normalise), seed, None)
    rows = data.working_rows
    # as in a fold, a part is looked at now and then; what it shows is used for nothing
    looked_at = data.valid_rows(0)
    model.fit(data.images[rows], data.labels[rows], data.images[looked_at], data.labels[looked_at])
    found = accuracy(model.predict_proba(data.images[data.holdout_rows]), data.labels[data.holdout_rows])
    with tempfile.TemporaryDirectory() as folder:
        save(model, Path(folder))
    return {"accuracy": found.value, "seconds": time.time() - started, "step_seconds": model.step_seconds_}


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    print(json.dumps(fit(Path(asked.pop("data_folder")), **asked)))
