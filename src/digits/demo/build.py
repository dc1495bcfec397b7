"""Chooses a network of a blend and what is shown with it, and renders the page."""

import base64
import hashlib
from dataclasses import asdict, dataclass
from importlib.resources import files
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from numpy.typing import NDArray

from digits.common.errors import UserError
from digits.common.processes import ProcessDiedError, Send, run_in_subprocess
from digits.data.dataset import Dataset
from digits.data.sample import with_hash
from digits.demo.framing import framing
from digits.demo.network import Described, Packed, described, hidden_features, operations
from digits.demo.sample import Sure, candidates, sure_from, to_try, typical
from digits.ensemble.application import FittedBlend
from digits.evaluation.metrics import Accuracy, accuracy
from digits.evaluation.scoring import METRICS
from digits.training.applying import FittedUnit
from digits.training.crossval import preload
from digits.training.runs import RunFolder, Units

_LOOKED_AT = 3000  # training images that the alike ones are chosen from
_ALIKE = 300
_ALIKE_BYTES = 300_000  # of their images, and of their features, at most
_TRIED, _TEST_IMAGES = 24, 2000
_SEED = 0


@dataclass(frozen=True)
class Inside:
    """What a fitted network is made of, and what it makes of some images.

    layers: see `described`. offset, scale, temperature: of the classifier. features: (n, d). probabilities: (n,
    classes), without TTA.
    """

    layers: list[Described]
    offset: NDArray[np.float32]
    scale: NDArray[np.float32]
    temperature: float
    features: NDArray[np.float32]
    probabilities: NDArray[np.float32]


def best_network(found: FittedBlend) -> FittedUnit:
    """The blend's best network by its score out of fold: a refit where there is one, else the first fold's.

    Raises UserError if the blend has no network.
    """
    metric = METRICS[found.blend.metric]
    losses = {member.name: metric.loss(member.score) for member in found.blend.contributions}
    networks = {name: units for name, units in found.members.items() if units[0].spec.model["kind"] == "cnn"}
    if not networks:
        raise UserError(f"{found.blend.name} has no network; type: make submit, or name another blend by BLEND=...")
    units = networks[min(networks, key=lambda name: losses[name])]
    return next((unit for unit in units if unit.folder.name.startswith("refit-")), units[0])


def looked_inside(unit: FittedUnit, about: dict[str, Any], images: NDArray[np.uint8]) -> Inside:
    """A fitted network, looked into in a subprocess as in `predict_units`; images: uint8 (n, pixels)."""
    received: list[Inside] = []
    try:
        run_in_subprocess(_look_inside, (unit, about, images), received.append, inf, preload("cnn"))
    except ProcessDiedError as error:
        raise UserError(f"{unit.title} could not be read: {error}") from None
    return received[0]


def _look_inside(task: tuple[FittedUnit, dict[str, Any], NDArray[np.uint8]], send: Send) -> None:
    unit, about, images = task
    send(inside_of(unit.model(about), about, images))


def inside_of(model: Any, about: dict[str, Any], images: NDArray[np.uint8]) -> Inside:
    """A fitted CnnClassifier, looked into."""
    normaliser = model.normaliser_
    shaped = normaliser.transform(images).reshape(-1, *about["image_shape"], about["channels"])
    features, probabilities = hidden_features(model.model_, shaped), model.probabilities(images)
    scales = normaliser.offset_, normaliser.scale_, model.temperature_
    return Inside(described(model.model_), *scales, features, probabilities)


def measured(runs: Path, found: FittedBlend, unit: FittedUnit, data: Dataset) -> tuple[Accuracy, Sure]:
    """CV accuracy of a unit's run, and from where on its answers are sure; UserError if it learned other images."""
    names = [each.folder.name for each in found.members[unit.folder.parent.name]]
    folds = tuple(int(name.removeprefix("fold-")) for name in names if name.startswith("fold-"))
    learned = with_hash(data, unit.spec.data, unit.spec.seed)
    if learned is None:
        raise UserError(f"{unit.folder.parent.name} was fitted on other images or folds; type: make submit")
    result = Units(RunFolder(runs, unit.spec), folds, ()).result(learned, folds)
    labels = np.asarray(learned.labels)[result.rows]
    return accuracy(result.oof, labels), sure_from(result.oof, labels)


def page(found: FittedBlend, unit: FittedUnit, data: Dataset, cv: Accuracy, sure: Sure) -> str:
    """The page's HTML. Raises UserError if a layer of the network cannot be computed in the browser."""
    labels = np.asarray(data.labels)
    rows = candidates(labels, data.working_rows, _LOOKED_AT, _SEED)
    known = np.asarray(data.images[rows])
    test = np.asarray(data.test_images[:_TEST_IMAGES]) if len(data.test_images) else known
    inside = looked_inside(unit, found.about, np.concatenate([known, test]))
    content, images, blobs = contents(inside, found.about, known, labels[rows], test)
    refit = unit.folder.name.startswith("refit-")
    return render(
        content | {"sure": sure.level},
        blobs | {"images": images},
        slug=found.about["slug"],
        practice=found.about["provenance"] == "practice",
        layers=unit.spec.model["layers"],
        run=unit.title,
        trained="all labelled images" if refit else "the labelled images outside its fold and the holdout",
        averaged=bool(unit.spec.model["tta"]),
        cv=cv,
        sure=sure,
    )


def contents(
    inside: Inside, about: dict[str, Any], known: NDArray[np.uint8], labels: NDArray[np.int64], test: NDArray[np.uint8]
) -> tuple[dict[str, Any], bytes, dict[str, bytes]]:
    """What forward.js and page.js read: numbers and names; the bytes of images; the bytes of weights and features.

    known: training images, labels: (n,), theirs, test: images to try. inside: of both, one after the other.
    """
    packed = Packed()
    most = min(_ALIKE, *(_ALIKE_BYTES // max(1, each.shape[1]) for each in (known, inside.features)))
    alike = typical(inside.features[: len(known)], inside.probabilities[: len(known)], labels, most, _SEED)
    tried = to_try(inside.probabilities[len(known) :], _TRIED)
    features = inside.features[alike]
    largest = np.maximum(np.abs(features).max(axis=1, keepdims=True, initial=0), 1e-9)
    height, width = about["image_shape"]
    grey = about["channels"] == 1
    content = {
        "height": height,
        "width": width,
        "channels": about["channels"],
        "names": about["class_names"],
        "layers": operations(inside.layers, packed),
        "offset": packed.add(inside.offset),
        "scale": packed.add(inside.scale),
        "temperature": inside.temperature,
        "framing": asdict(framing(known.reshape(-1, height, width))) if grey else None,
        "alike": labels[alike].tolist(),
        "features": features.shape[1],
        "tried": len(tried),
    }
    images = known[alike].tobytes() + test[tried].tobytes()
    quantised = np.round(features / largest * 127).astype(np.int8)
    return content, images, {"weights": packed.content(), "features": quantised.tobytes()}


def render(content: dict[str, Any], blobs: dict[str, bytes], **said: Any) -> str:
    """The page of these numbers and bytes; said: what the text of page.html says beside them."""
    own = files("digits.demo")
    style = own.joinpath("style.css").read_text("utf-8")
    script = "".join(own.joinpath(f"{name}.js").read_text("utf-8") for name in ("forward", "draw", "page"))
    templates = Environment(loader=PackageLoader("digits.demo", "."), autoescape=True, trim_blocks=True)
    return templates.get_template("page.html").render(
        content=content,
        thing=_thing(content["names"]),
        blobs={name: base64.b64encode(blob).decode() for name, blob in blobs.items()},
        style=Markup(style),
        style_hash=_sha256(style),
        script=Markup(script),
        script_hash=_sha256(script),
        size=sum(map(len, blobs.values())) * 4 / 3e6,
        **said,
    )


def _thing(names: list[str]) -> str:
    """What the images show, in a word."""
    if all(name.isdigit() and len(name) == 1 for name in names):
        return "digit"
    return "letter" if all(name.isalpha() and len(name) == 1 for name in names) else "image"


def _sha256(text: str) -> str:
    """As a Content-Security-Policy names an inline style or script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
