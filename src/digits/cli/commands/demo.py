"""Make a page that reads what a visitor draws."""

from digits.cli.context import Context, Outcome
from digits.common.errors import UserError
from digits.common.files import write_atomic
from digits.data.dataset import Dataset, find_dataset
from digits.demo.build import best_network, measured, page

_LARGE = 1_500_000  # bytes; larger pages load slowly on a phone


def run(context: Context) -> Outcome:
    """Write demo/index.html with the best network of a blend."""
    found = context.fitted_blend
    data = _data(context, found.about["hash"])
    unit = best_network(found)
    with context.console.status(f"looking into {unit.title}"):
        html = page(found, unit, data, *measured(context.paths.runs, found, unit, data))
    write_atomic(context.paths.demo / "index.html", html)
    size = len(html.encode())
    if size > _LARGE:
        context.console.warn(f"demo/index.html has {size / 1e6:.1f} MB, as its network is large; phones load it slowly")
    return Outcome(f"{unit.title}: demo/index.html, {size / 1e6:.1f} MB: open it in a browser", True)


def _data(context: Context, wanted: str) -> Dataset:
    """The arrays that the blend was fitted on. Raises UserError if they are not prepared any more."""
    if context.data_path and context.data.hash != wanted.split("/", maxsplit=1)[0]:
        raise UserError(f"{context.fitted_blend.blend.name} was not fitted on {context.data_path}; leave out DATA")
    if data := find_dataset(context.paths.processed, wanted):
        return data
    raise UserError(f"the images of {context.fitted_blend.blend.name} are not in data/processed; type: make data")
