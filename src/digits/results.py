"""Finished runs and blends for notebooks and programs; `import digits` hands them on."""

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from digits.common.errors import UserError
from digits.common.sealed import intact, read_json
from digits.config import Paths
from digits.data.dataset import Dataset, find_dataset
from digits.data.sample import with_hash
from digits.data.single_csv import Images, read, shaped
from digits.ensemble.application import NoBlendError, fitted_blend, newest_blend
from digits.ensemble.blend import load_about, load_blend, load_predictions
from digits.training.applying import fitted_units, predict_units
from digits.training.runs import RunFolder, RunSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Blend", "Images", "Results", "Run", "UserError", "latest", "load", "read"]

FIRST_ROW = 2  # of the images in a file: row 1 is the header
_FOLDS = 128  # more than a data set has
_AS_MANY_AS_FIT = 0  # processes of `predict_units`
_TOLD = ("row", "label", "prediction", "probability")


class Results(ABC):
    """A finished run or blend. path: its folder. params: what decides its numbers, a JSON-like dictionary.

    Labelled images are known by their `row` in the training file, as a spreadsheet counts: the first has row 2.
    """

    def __init__(self, path: Path, params: dict[str, Any], data: str):
        self.path, self.params, self._hash = path, params, data

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path.name}>"

    @cached_property
    def data(self) -> Dataset:
        """The data set that it was fitted on, from data/processed of its own project, else of the current folder.

        Raises UserError if it is not there.
        """
        for root in (self.path.parent.parent, Path.cwd()):
            if found := find_dataset(Paths(root).processed, self._hash):
                return found
        raise UserError(
            f"{self.path.name}: its images are not in data/processed; type make data, with the DATA and PARAMS of then"
        )

    @property
    def _about(self) -> dict[str, Any]:
        return self.data.about

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in the order of the probabilities."""
        return list(self._about["class_names"])

    @property
    @abstractmethod
    def metrics(self) -> dict[str, Any]:
        """The scores, with their 95 % confidence intervals."""

    @property
    def history(self) -> pd.DataFrame:
        """A line per unit and epoch; empty for a blend, and for models that keep no history.

        unit: fold-0, ...; epoch: from 1; loss, accuracy, learning_rate: on the training images; valid_loss,
        valid_accuracy: NaN after the epochs that were not validated.
        """
        return pd.DataFrame(columns=["unit", "epoch", "loss", "accuracy", "learning_rate"])

    @abstractmethod
    def _out_of_fold(self) -> tuple[NDArray[np.int64], NDArray[np.floating]]:
        """Indices of labelled images, (n,), ascending, and their out-of-fold probabilities, (n, classes)."""

    @property
    def oof(self) -> pd.DataFrame:
        """The out-of-fold predictions, a line per image, in the order of the training file.

        row; label and prediction, categorical over `classes`; probability: of the prediction, 0 to 1; then the
        probability of each class, in a column of its name.
        """
        indices, probabilities = self._out_of_fold()
        codes = np.asarray(self.data.labels)[indices], probabilities.argmax(axis=1)
        label, prediction = (pd.Categorical.from_codes(each, pd.Index(self.classes)) for each in codes)
        columns = (indices + FIRST_ROW, label, prediction, probabilities.max(axis=1))
        told = pd.DataFrame(dict(zip(_TOLD, columns, strict=True)))
        return pd.concat([told, pd.DataFrame(probabilities, columns=self.classes)], axis=1)

    def errors(self) -> pd.DataFrame:
        """What is predicted wrongly out of fold, most confident first; the first four columns of `oof`.

        The label of such an image is often wrong itself.
        """
        told = self.oof.iloc[:, : len(_TOLD)]
        wrong = told[told["label"] != told["prediction"]]
        return wrong.sort_values("probability", ascending=False, kind="stable", ignore_index=True)

    def plot_errors(self, count: int = 32) -> "Figure":
        """The most confident errors, at most `count`, as a figure to show or to save."""
        from digits.common.plots import contact_sheet  # noqa: PLC0415 - who draws nothing need not wait

        worst = self.errors().head(count)
        titles = [
            f"row {error.row}\n{error.label}, seen as {error.prediction} {error.probability:.0%}"
            for error in worst.itertuples()
        ]
        return contact_sheet(self.data.shaped(self.images(worst["row"])), titles)

    def images(self, rows: "Sequence[int] | NDArray[np.int64] | pd.Series[int]") -> NDArray[np.uint8]:
        """Labelled images by their rows: uint8 (n, height, width), or (n, height, width, channels) if in colour.

        Raises ValueError if there is no such row.
        """
        indices, count = np.asarray(rows, np.int64) - FIRST_ROW, len(self.data.images)
        if ((indices < 0) | (indices >= count)).any():
            raise ValueError(f"rows must be {FIRST_ROW} to {count + FIRST_ROW - 1}")
        return shaped(self.data.images[indices], self.data.image_shape, self.data.channels)

    @abstractmethod
    def _predict(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Probabilities, (n, classes), of images, (n, height * width * channels)."""

    def predict_proba(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Probabilities, float (n, classes), of images like those of the competition's files.

        images: uint8, 0 to 255; (n, height, width), (n, height, width, channels) or (n, height * width * channels); as
        `digits.read` returns them. Each fitted model is loaded in a process of its own, which takes seconds for a
        network, so give all images at once. Raises ValueError if shape or dtype is another one, UserError if a model is
        missing or damaged.
        """
        given, (height, width), channels = np.asarray(images), self._about["image_shape"], self._about["channels"]
        shapes = [(height, width)] * (channels == 1) + [(height, width, channels), (height * width * channels,)]
        if given.dtype != np.uint8 or given.shape[1:] not in shapes:
            wanted = " or ".join(str(("n", *shape)).replace("'", "") for shape in shapes)
            raise ValueError(f"images must be uint8 {wanted}; these are {given.dtype} {given.shape}")
        return self._predict(given.reshape(len(given), -1)) if len(given) else np.empty((0, len(self.classes)))


class Run(Results):
    """Fits of one model to folds of the labelled images, and perhaps to all of them.

    params: of the model, resolved, as in params.yaml, with its kind; and normalise and seed.
    """

    def __init__(self, path: Path):
        content = read_json(path / "run.json")
        if content is None:
            raise UserError(
                f"{path.name}: run.json is damaged; type make submit, or make baseline, which write it again"
            )
        self._spec = spec = RunSpec(**content)
        super().__init__(path, {**spec.model, "normalise": spec.normalise, "seed": spec.seed}, spec.data)
        run = RunFolder(path.parent, spec)
        run.path = path  # its folder may have been renamed
        if not run.check("is left out"):
            raise UserError(f"{path.name} had damaged fits, which are set aside; load it again to do without them")
        self._units = run.units(_FOLDS)
        if not self._units.folds:
            raise UserError(f"{path.name}: no fold of this run is finished yet; type make submit, or make baseline")

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """cv_accuracy, with its 95 % interval cv_low to cv_high, log_loss and more: see `Units.metrics`."""
        return self._units.metrics(self._learned)

    @property
    def history(self) -> pd.DataFrame:
        """See `Results`."""
        records = [
            {"unit": unit.name, "epoch": epoch, **json.loads(line)}
            for unit in self._units.paths
            for epoch, line in enumerate((unit / "history.jsonl").read_text().splitlines(), 1)
        ]
        return pd.DataFrame(records) if records else super().history

    @property
    def _learned(self) -> Dataset:
        """The data set, or the sample of it that this run has learned from."""
        learned = with_hash(self.data, self._hash, self._spec.seed)
        if learned is None:
            raise UserError(f"{self.path.name}: another version of digits drew its sample of images; type make submit")
        return learned

    def _out_of_fold(self) -> tuple[NDArray[np.int64], NDArray[np.floating]]:
        result = self._units.result(self._learned, self._units.folds)
        return result.rows, result.oof

    def _predict(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """The mean of the finished units, as a blend takes it for the test images."""
        units = fitted_units(self.path, [unit.name for unit in self._units.paths])
        return np.asarray(predict_units(units, self._about, images, _AS_MANY_AS_FIT).mean(axis=0, dtype=np.float64))


class Blend(Results):
    """A blend of runs, of which a submission is made.

    params: method of combining; weights by the member's run, None in a stack; units of each member.
    """

    def __init__(self, path: Path):
        found = load_blend(path.parent, path.name) if intact(path) else None
        if found is None:
            raise UserError(f"{path.name} is damaged and set aside; type make submit, which makes it again")
        self._blend, self._own_about = found, load_about(path.parent, path.name)
        params = {"method": found.method, "weights": found.weights, "units": found.units}
        super().__init__(path, params, self._own_about["hash"])

    @property
    def metrics(self) -> dict[str, Any]:
        """metric: its name; cv, holdout and expected: value and 95 % interval, low to high, see `ensemble.blend`."""
        content = asdict(self._blend)
        return {name: content[name] for name in ("metric", "cv", "holdout", "expected")}

    @property
    def _about(self) -> dict[str, Any]:
        return self._own_about

    def _out_of_fold(self) -> tuple[NDArray[np.int64], NDArray[np.floating]]:
        predictions = load_predictions(self.path.parent, self._blend)
        return predictions.rows, predictions.oof

    def _predict(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        return fitted_blend(self.path.parent, self.path.name).predict(images, _AS_MANY_AS_FIT).blended


def load(path: str | PathLike[str]) -> Run | Blend:
    """The run or the blend in a folder, such as runs/cnn-ed818b7da0ae; also in a copy of runs/.

    Raises UserError, in a line, if it is none, or if it is damaged, unfinished or of another version.
    """
    folder = Path(path).resolve()
    try:
        if (folder / "run.json").is_file():
            return Run(folder)
        if (folder / "blend.json").is_file():
            return Blend(folder)
    except (TypeError, KeyError):
        raise UserError(f"{path}: another version of digits made it; type make submit, which makes a new one") from None
    raise UserError(f"{path} is no finished run or blend; type make runs, which lists what there is")


def latest(root: str | PathLike[str] = ".") -> Run | Blend:
    """The newest blend of the project in the folder `root`; one of practice images only if there is no other.

    Raises UserError if there is none.
    """
    runs = Paths(Path(root)).runs
    try:
        return load(runs / newest_blend(runs))
    except NoBlendError:
        raise UserError(
            f"{root}: this folder has no blend yet; type make submit there, or digits.latest(ANOTHER)"
        ) from None
