"""`digits init --data FILES`: the params of a competition, from its files."""

import json
import math
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from matplotlib import pyplot as plt

from digits.cli.commands import fetch
from digits.cli.context import Context
from digits.common.console import Console
from digits.common.errors import UserError
from digits.common.files import write_atomic
from digits.common.plots import as_png, draw_images, drawing
from digits.config import Competition, Params, Paths, load_params
from digits.config.faults import validate
from digits.data.build import prepare
from digits.data.dataset import Dataset, load_dataset, save_dataset
from digits.data.sources import Provenance, accept, archive_of, folder_name
from digits.data.understand import Understood, understand

KAGGLE = "kaggle:"  # before a slug, in place of a path
_GENERAL = {
    "archive",
    "data",
    "download",
    "downloads",
    "raw",
    "input",
    "files",
    "kaggle",
}  # say nothing of a competition
_MIRRORED = """
tune:
  space: {flip: [false, true]}    # make tune tries mirrored images too; [false]: it does not, as for letters
"""
_COLUMNS, _ROWS = 10, 12  # of the picture
_SHOWN = 40  # labels in a line


def describe(folder: Path, named: str, console: Console) -> None:
    """Write params.<slug>.yaml and a picture of the images for the files at `named`; say what was understood.

    folder: with params.yaml. named: as DATA, or KAGGLE and a slug. A params file of the same name that differs is kept.
    Raises UserError if the files cannot be understood.
    """
    paths = Paths(folder)
    slug = named.removeprefix(KAGGLE) if named.startswith(KAGGLE) else slug_of(named)
    usual = load_params(folder / "params.yaml")
    competition = validate(Competition, usual.competition.model_dump() | {"slug": slug}, f"DATA={named}")
    base = usual.model_copy(update={"competition": competition})
    provenance: Provenance = "local"
    code = False
    if named.startswith(KAGGLE):
        fetch.download(context := Context(base, paths, console))
        code = context.kaggle.kernel("takes_code")
        named, provenance = str(archive_of(base.competition, paths)), "kaggle"
    with console.status("reading the files"):
        found = understand(named, base.competition, paths, provenance)
    text = params_text(found, usual, upload=provenance == "kaggle" or slug == usual.competition.slug, code=code)
    file = _free(folder / f"params.{slug}.yaml", text)
    write_atomic(file, text)
    try:
        data = _prepared(file, paths, found, console)
    except UserError:
        file.unlink()
        raise
    picture = paths.reports / f"{slug}.png"
    write_atomic(picture, _picture(data))
    _say(console, found, data, file, picture, folder)


def _free(file: Path, text: str) -> Path:
    """`file`, or one with a number in its name where that exists with another content."""
    names = [file, *(file.with_suffix(f".{number}.yaml") for number in range(2, 1000))]
    return next(name for name in names if not name.exists() or name.read_text(encoding="utf-8") == text)


def slug_of(named: str) -> str:
    """A short name for the files at a path, of small letters, digits and hyphens."""
    path = Path(named.split(",", maxsplit=1)[0]).expanduser().resolve()
    for part in (path, *path.parents):
        stem = re.sub(r"\.(csv|zip|gz|parquet)\b.*|\s*\(\d+\)", "", part.name.lower())
        slug = re.sub(r"[^a-z0-9]+", "-", stem).strip("-")[:40]
        if slug and slug not in _GENERAL and slug not in ("train", "test"):
            return slug
    return "my-competition"


def params_text(found: Understood, usual: Params, upload: bool, code: bool = False) -> str:
    """A params file with the competition's section, each line with what it was inferred from.

    usual: the params that it extends. Their augmentation shifts by pixels, so it is scaled to images of another size.
    upload, code: what Kaggle takes.
    """
    lines = [
        f"  slug: {found.competition.slug}",
        *(_line(key, value, found.why.get(key, "")) for key, value in found.values.items()),
    ]
    mirrored = "" if found.competition.slug == usual.competition.slug else _MIRRORED
    note = "" if upload else "  # true: send it to Kaggle, which must have a competition of this slug"
    return (
        "# What `make init` understood of the files; correct what is wrong.\n"
        "extends: params.yaml              # this file contains only the values that differ\n\n"
        "competition:\n" + "\n".join(lines) + "\n" + _scaled_shift(found.competition, usual) + mirrored + "\nsubmit:\n"
        f"  upload: {json.dumps(upload)}{note}\n" + "  how: code                       # Kaggle says so\n" * code
    )


def _scaled_shift(competition: Competition, usual: Params) -> str:
    """The section of `train` for images that are not as large as those of `usual`; empty if they are."""
    side, before = min(competition.image_shape), min(usual.competition.image_shape)
    if side == before:
        return ""
    shift = usual.train.augment.shift
    line = _line(
        "  shift", round(shift * side / before, 1), f"largest shift in pixels; {shift:g} for images of {before}"
    )
    return f"\ntrain:\n  augment:\n{line}\n"


def _line(key: str, value: Any, why: str) -> str:
    """A line of the params file, whatever the names from a competition's files contain."""
    text, *more = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=math.inf).splitlines()
    shown = json.dumps(value) if more not in ([], ["..."]) else text
    reason = " ".join("".join(each if each.isprintable() else " " for each in why).split())
    return f"  {key}: {shown}".ljust(32) + f"  # {reason}" * bool(reason)


def _prepared(file: Path, paths: Paths, found: Understood, console: Console) -> Dataset:
    """The arrays that the new params file makes of these files."""
    params = load_params(file)
    target = paths.processed / folder_name(params, found.source)
    if not target.is_dir():
        with console.status("splitting the images into folds"):
            arrays, about = prepare(found.source, params)
        save_dataset(target, arrays, about)
    accept(found.source, paths)
    return load_dataset(target)


def _picture(data: Dataset) -> bytes:
    """Some images of each class under their labels, as PNG."""
    labels = np.asarray(data.labels)
    per_class = max(1, min(_COLUMNS, _COLUMNS * _ROWS // data.classes))
    rows = np.concatenate([np.flatnonzero(labels == number)[:per_class] for number in range(data.classes)])
    rows = rows[: _COLUMNS * _ROWS]
    with drawing():
        figure = plt.figure(figsize=(_COLUMNS, 1.1 * -(-len(rows) // _COLUMNS)), layout="constrained")
        draw_images(figure, data.shaped(data.images[rows]), [data.class_names[labels[row]] for row in rows], _COLUMNS)
        return as_png(figure, dpi=100)


def _say(console: Console, found: Understood, data: Dataset, file: Path, picture: Path, folder: Path) -> None:
    """Print what was understood, what may be otherwise, and what to type next."""
    values, competition = found.values, found.competition
    kind = {1: "grey", 3: "colour"}.get(competition.channels, f"{competition.channels} values per pixel")
    low, high = values["pixel_range"]
    console.say(
        f"images   {len(data.images):,} labelled in {competition.train_file}, {len(data.test_images):,} to predict in "
        f"{competition.test_file or competition.train_file}; {data.size}, {kind}, pixels from {low:g} to {high:g}"
    )
    counts = [f"{name}: {count:,}" for name, count in zip(data.class_names, data.about["class_counts"], strict=True)]
    more = f"  and {len(counts) - _SHOWN} more" if len(counts) > _SHOWN else ""
    console.say(f"labels   {data.classes} in {values['label_column']!s:.60}: {'  '.join(counts[:_SHOWN])}{more}")
    ids = data.test_ids
    where = found.why["test_id_column"] if competition.sample_file is None else f"those of {competition.sample_file}"
    console.say(f"ids      {ids[0]} to {ids[-1]}; {where}")
    console.say(f"metric   {competition.metric}")
    for notice in data.about["notices"]:
        console.warn(notice) if notice.startswith("WARNING") else console.say(f"notice   {notice}")
    for text in found.unsure:
        console.say(f"unsure   {text}")
    console.say(
        f"picture  {picture}: are the images upright, dark on white if they are grey, and under the right labels?"
    )
    console.say(f"wrote    {file}; every line says what it was inferred from")
    enter = "" if folder.resolve() == Path.cwd() else f"cd {shlex.quote(str(folder))} && "
    console.say(f"\nNext:\n  {enter}make submit PARAMS={file.name}")
