"""Predicts a competition's test file on Kaggle, by a blend whose weights came with the script."""

from pathlib import Path

from digits.common.files import write_atomic
from digits.common.sealed import read_json
from digits.config import load_params
from digits.data.new_images import read_csv
from digits.ensemble.application import FittedBlend
from digits.ensemble.blend import load_about, load_blend
from digits.kaggle.submission import check_frame, csv_bytes, make_frame
from digits.kernel.there import PARAMS, RUNS
from digits.training.applying import FittedUnit
from digits.training.runs import RunSpec


def predict(folder: Path, name: str, test: Path, target: Path) -> None:
    """Write the submission for the images of `test`. folder: of the script; name: of the blend."""
    competition, runs = load_params(folder / PARAMS).competition, folder / RUNS
    blend, about = load_blend(runs, name), load_about(runs, name)
    assert blend, "it is one of code.files_of"
    members: dict[str, list[FittedUnit]] = {}
    for member, units in blend.units.items():  # those without a weight were not sent
        spec = read_json(runs / member / "run.json")
        members[member] = [FittedUnit(runs / member / unit, RunSpec(**spec)) for unit in units] if spec else []
    new = read_csv(test, competition, about)
    output = FittedBlend(blend, about, members).predict(new.images)
    columns = competition.submission_id, competition.submission_label
    frame = make_frame(new.ids, output.blended, about["class_values"], *columns)
    check_frame(frame, new.ids, about["class_values"], *columns)
    write_atomic(target, csv_bytes(frame))
    print(f"{len(frame):,} predictions by {len(output.models)} models", flush=True)
