"""Write the models of a blend for other programs."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from digits.cli.context import Context, Outcome
from digits.common.errors import UserError
from digits.common.sealed import intact, sealed_folder
from digits.data.dataset import find_dataset, taken
from digits.export.formats import NETWORK_FORMATS
from digits.export.plan import Plan, make_plan
from digits.export.texts import texts
from digits.export.writing import Written, write_models

_MOST = 1000  # images that files are compared on
_ROUGH = 1e-2  # difference of a probability that only float16 may have, and that is told
_PASSES = 5_000  # of a network over an image, for each file: seconds


def run(context: Context) -> Outcome:
    """Write export/<blend>, or export/<blend>-tta, with files in several formats, texts and examples."""
    plan = make_plan(context.fitted_blend, context.tta)
    needed = [*(("tensorflow", "tf2onnx") if plan.graphs else ()), *(("skl2onnx",) if plan.baselines else ())]
    if missing := [name for name in needed if not find_spec(name)]:
        raise UserError(f"export needs {' and '.join(missing)}; type: pip install 'digits[keras,export]'")
    name = f"{context.fitted_blend.blend.name}{'-tta' if context.tta else ''}"
    worked = not intact(context.paths.exported / name)
    if worked:
        _write(context, plan, context.paths.exported / name)
    return Outcome(f"export/{name}; README.md there lists the files", worked)


def _write(context: Context, plan: Plan, target: Path) -> None:
    images, files = _holdout(context.paths.processed, plan), list[Written]()
    total = len(NETWORK_FORMATS) * len(plan.graphs) + 2 * len(plan.baselines)  # at most
    with sealed_folder(target) as folder, context.console.bar("export", total, "files") as bar:

        def on_file(written: Written) -> None:
            files.append(written)
            bar.advance(1, written.file)

        write_models(plan, folder, images, on_file)
        blend, competition = context.fitted_blend.blend, context.params.competition
        for file, text in texts(plan, blend, files, competition, context.tta).items():
            (folder / file).write_text(text, encoding="utf-8")
    cells = [[one.file, f"{one.size / 1e6:.2f} MB", f"{one.difference:.0e}" if one.images else ""] for one in files]
    for one in files:
        if one.difference > _ROUGH:
            context.console.warn(f"{one.file}: a probability differs by {one.difference:.2f}; use the float32 file")
    context.console.table(["file", "size", f"largest difference on {len(images):,} images of the holdout"], cells)


def _holdout(processed: Path, plan: Plan) -> NDArray[np.uint8]:
    """Images of the holdout, (n, pixels), as many as take seconds; none if the blend's arrays are not prepared."""
    units = [unit for networks in plan.graphs.values() for units in networks.members for unit in units]
    passes = sum(1 + len(unit.spec.model["tta"]) for unit in units)
    if data := find_dataset(processed, plan.about["hash"]):
        return taken(data.images, data.holdout_rows[: min(_MOST, max(50, _PASSES // max(1, passes)))])
    return np.zeros((0, int(np.prod(plan.about["image_shape"])) * plan.about["channels"]), np.uint8)
