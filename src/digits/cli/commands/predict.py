"""Label other images than the competition's by a blend."""

from pathlib import Path

import numpy as np

from digits.cli.context import Context, Outcome
from digits.common.errors import UserError
from digits.common.files import write_atomic
from digits.data.new_images import NewImages, find_pictures, read_csv, read_pictures
from digits.ensemble.application import BlendOutput, FittedBlend
from digits.ensemble.labelling import draw_least_sure, labelled
from digits.kaggle.submission import csv_bytes

_UNSURE = 0.9  # of which the most probable class has less
_LONGEST = 60  # characters of a file's name, which has 255 bytes at the most


def run(context: Context) -> Outcome:
    """Write predictions/<name of FILE>.csv and .png."""
    if context.file is None:
        raise UserError("which images? type: make predict FILE=new.csv, or a PNG, a JPEG or a folder of those")
    path, target, competition = context.file.expanduser(), context.paths.predictions, context.params.competition
    if target.resolve() in (path.resolve(), *path.resolve().parents):
        raise UserError(f"{path}: predictions/ is where the result is written; move the file, and name its new place")
    found = context.fitted_blend
    _check(context, found)
    new = _read(context, path, found)
    for notice in new.notices:
        context.console.warn(notice) if notice.startswith("WARNING") else context.console.say(notice)
    units = [unit for used in found.used.values() for unit in used]
    networks = any(unit.spec.model["kind"] == "cnn" for unit in units)
    workers = 1 if networks and context.device.gpus else 0
    with context.console.bar("predict", len(units), "models") as bar:
        output = found.predict(new.images, workers, lambda unit: bar.advance(1, unit.title))
    label = competition.submission_label if isinstance(competition.submission_label, str) else "label"
    frame = labelled(output, found.about["class_values"], label)
    frame.insert(0, competition.submission_id, new.ids, allow_duplicates=True)
    name = (path.resolve().name if path.is_dir() else path.stem)[:_LONGEST]
    images = new.images.reshape(-1, *found.about["image_shape"], found.about["channels"])
    picture = draw_least_sure(images, new.ids.tolist(), output.blended, found.about["class_names"])
    write_atomic(target / f"{name}.csv", csv_bytes(frame))
    write_atomic(target / f"{name}.png", picture)
    _print_contents(context, found, new, output)
    unsure, disagreed = (output.blended.max(axis=1) < _UNSURE).sum(), (frame["disagree"] == "yes").sum()
    return Outcome(
        f"predictions/{name}.csv: {len(frame):,} images, {unsure:,} with a probability below {_UNSURE:.0%}, "
        f"{disagreed:,} on which the models disagree; {name}.png shows the least sure",
        True,
    )


def _check(context: Context, found: FittedBlend) -> None:
    """Raise UserError unless the blend has learned images as the params say."""
    competition = context.params.competition.model_dump(mode="json")
    for key in ("slug", "image_shape", "channels", "classes"):
        if found.about.get(key) != competition[key]:
            raise UserError(
                f"{found.blend.name} was made with competition.{key} = {found.about.get(key)}, but the params say "
                f"{competition[key]}; add the params that it was made with: PARAMS=FILE"
            )


def _read(context: Context, path: Path, found: FittedBlend) -> NewImages:
    if pictures := find_pictures(path):
        with context.console.bar("read", len(pictures), "pictures") as bar:
            return read_pictures(pictures, found.about, bar.advance)
    with context.console.bar("read", path.stat().st_size / 1e6, "MB") as bar:
        return read_csv(path, context.params.competition, found.about, lambda count: bar.advance(count / 1e6))


def _print_contents(context: Context, found: FittedBlend, new: NewImages, output: BlendOutput) -> None:
    """Print the blend, the shares of the classes and, where the file has labels, how many of them are right."""
    about, predicted = found.about, output.blended.argmax(axis=1)
    if about["provenance"] == "practice":
        context.console.warn(
            f"{found.blend.name} has learned practice images only; make submit DATA=path/to/files makes another blend"
        )
    shares = np.bincount(predicted, minlength=about["classes"]) / len(predicted)
    context.console.say(f"blend    {found.blend.name}, {found.blend.method}: {len(output.models)} models")
    named = zip(about["class_names"], shares, strict=True)
    context.console.say("classes  " + "  ".join(f"{name}: {share:.1%}" for name, share in named))
    if new.labels is not None:
        right = (predicted == new.labels).mean()
        context.console.say(f"labels   {right:.4f} of those in the file are right, also of images that were learned")
