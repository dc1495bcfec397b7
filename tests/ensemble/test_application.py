"""A saved blend predicts what its submission says, and nothing else."""

from pathlib import Path

import numpy as np
import pytest

from digits.common.errors import UserError
from digits.data.dataset import load_dataset
from digits.ensemble.application import fitted_blend, newest_blend
from digits.ensemble.blend import load_predictions
from toys import Digits

pytestmark = pytest.mark.slow
BOTH = ("ensemble.selection_rounds=5",)


def test_test_images_get_the_probabilities_of_the_submission_to_the_bit(digits: Digits, toy_files: Path) -> None:
    """By networks and baselines together, each fold and refit of them; also in another order, and one alone."""
    data_path = f"--data={toy_files}"
    assert digits("baseline", data_path, also=BOTH).returncode == 0
    assert digits("submit", data_path, also=BOTH).returncode == 0
    runs = Path("runs")
    name = newest_blend(runs, "toy")
    found, [prepared] = fitted_blend(runs, name), Path("data/processed").iterdir()
    images = load_dataset(prepared).test_images
    known = load_predictions(runs, found.blend).test
    assert len(found.members) == 3
    told = list[str]()
    output = found.predict(images, on_unit=lambda unit: told.append(unit.title))
    assert np.array_equal(output.blended, known)
    assert len(output.models) == len(told) == sum(map(len, found.used.values()))
    assert np.array_equal(found.predict(images[::-1]).blended, known[::-1])
    assert np.allclose(found.predict(images[7:8]).blended, known[7:8], atol=1e-6)


def test_what_is_missing_is_named(workspace: Path) -> None:
    with pytest.raises(UserError, match="no blend of toy yet; type: make submit"):
        newest_blend(workspace / "runs", "toy")
    with pytest.raises(UserError, match="no blend blend-x; make runs lists"):
        fitted_blend(workspace / "runs", "blend-x")
