"""Make the page that shows all results."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from digits.cli.context import Context, Outcome
from digits.common.code_version import commit
from digits.common.files import write_atomic
from digits.report.chart import library
from digits.report.gather import gather
from digits.report.page import render


def run(context: Context) -> Outcome:
    """Write reports/index.html; where a result is missing, it names the command that makes it."""
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    with context.console.status("reading the results"), ThreadPoolExecutor() as pool:
        ready = pool.submit(library)  # takes seconds, and the results are read meanwhile
        content = gather(context.params, context.prepared, context.paths)
        ready.result()
        page = render(content, commit(context.paths.root), made)
    path = context.paths.reports / "index.html"
    write_atomic(path, page)
    return Outcome(f"reports/index.html, {len(page.encode()) / 1e6:.1f} MB: open it in a browser", True)
