"""The texts beside exported models: README.md, classes.json and an example for each format."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader

from digits.common.markdown import table
from digits.config import Competition
from digits.ensemble.blend import Blend
from digits.export.plan import Plan
from digits.export.writing import Written


def texts(plan: Plan, blend: Blend, files: Sequence[Written], competition: Competition, tta: bool) -> dict[str, str]:
    """All texts, by the names of their files."""
    stems = dict.fromkeys(("keras", "onnx", "litert"), [*plan.graphs][-1]) if plan.graphs else {}
    if plain := [stem for stem, unit in plan.baselines.items() if not unit.spec.model["deskew"]]:
        stems["sklearn"] = plain[0]
    column, first = competition.test_id_column, competition.first_id
    ids = f"table[{column!r}]" if column else f"range({first}, {first} + len(table))"
    planar = competition.planar and competition.channels > 1
    found = {
        f"example_{kind}.py": _render("example.py", kind=kind, stem=stem, ids=ids, planar=planar)
        for kind, stem in stems.items()
    }
    return found | {"README.md": _readme(plan, blend, files, tta), "classes.json": _classes(plan, blend)}


def _render(template: str, **values: Any) -> str:
    """The text of a template in this folder; several empty lines become one."""
    loader = PackageLoader("digits.export", ".")
    templates = Environment(loader=loader, trim_blocks=True, keep_trailing_newline=True)
    return re.sub(r"\n{3,}", "\n\n", templates.get_template(f"{template}.jinja").render(**values))


def _readme(plan: Plan, blend: Blend, files: Sequence[Written], tta: bool) -> str:
    written, images = {one.file for one in files}, max(one.images for one in files)
    cells = [
        [f"`{one.file}`", f"{one.size / 1e6:.2f} MB"]
        + ([f"{one.difference:.0e}", f"{one.same:,} of {one.images:,}"] if one.images else ["", ""])
        for one in files
    ]
    deskews = {stem: unit.spec.model["deskew"] for stem, unit in plan.baselines.items()}
    return _render(
        "README.md",
        name=blend.name,
        titles={stem: networks.title for stem, networks in plan.graphs.items()}
        | {stem: f"{unit.title}, scikit-learn" for stem, unit in plan.baselines.items()},
        files=table(("file", "size", "largest difference of a probability", "same labels"), cells),
        images=images,
        graphs=plan.graphs,
        tta=tta,
        needed=plan.needed,
        deskewed=[stem for stem, yes in deskews.items() if yes],
        uncalibrated=[stem for stem, yes in deskews.items() if not yes and f"{stem}.onnx" not in written],
    )


def _classes(plan: Plan, blend: Blend) -> str:
    about, temperatures = plan.about, {}
    for unit in (unit for networks in plan.graphs.values() for units in networks.members for unit in units):
        with np.load(unit.folder / "scales.npz") as scales:  # as digits.models.cnn has written it
            temperatures[unit.title] = float(scales["temperature"])
    named = zip(about["class_values"], about["class_names"], strict=True)
    content = {
        "classes": [{"value": value, "name": name} for value, name in named],
        "input_shape": [*about["image_shape"], about["channels"]],
        "pixel_range": about["pixel_range"],
        "temperatures": temperatures,
        "blend": blend.name,
        "cv": {"metric": blend.metric, **asdict(blend.cv)},
        "version": version("digits"),
    }
    return json.dumps(content, indent=2) + "\n"
