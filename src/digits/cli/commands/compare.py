"""Compare two runs or blends."""

from datetime import UTC, datetime

from digits.cli.context import Context, Outcome
from digits.common.files import write_atomic
from digits.evaluation.scoring import METRICS
from digits.report.compared import newest, read, resolve
from digits.report.comparison import pair, sections, verdict
from digits.report.gather import COMPARISON
from digits.report.page import page


def run(context: Context) -> Outcome:
    """Print what differs between the two that RUNS names, or the two newest of these data, and write a page of it.

    Writes reports/compare.html. Raises UserError if there are no two, or if one cannot be read.
    """
    paths, console = context.paths, context.console
    folders = resolve(context.compared, paths.runs) if context.compared else newest(paths.runs, context.data)
    with console.status("reading both"):
        old, new = (read(folder, paths.processed) for folder in folders)
        compared = pair(old, new, METRICS[context.params.competition.metric])
        parts = sections(compared)
    for part in parts:
        console.say("\n".join(["", part.title, *filter(None, (*part.sentences, part.missing))]))
        for table in part.tables:
            console.say("")
            console.table([*table.columns], [[text for _, text, _ in row] for row in table.rows], table.caption)
    names = " ".join(folder.name for folder in folders)
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    write_atomic(
        paths.reports / COMPARISON,
        page(old.data.about["slug"], parts, old.data.practice, f'make compare RUNS="{names}"', made),
    )
    return Outcome(f"{verdict(compared)}; reports/{COMPARISON}", True)
