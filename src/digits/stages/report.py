"""Make the page that a person looks at."""

from datetime import UTC, datetime

from digits.errors import UserError
from digits.files import write_atomic
from digits.job import Job, Outcome
from digits.prepared import Prepared
from digits.report.gather import gather
from digits.report.page import render
from digits.versions import commit


def run(job: Job) -> Outcome:
    """Write reports/index.html of whatever there is."""
    content = gather(job.params, _prepared(job), job.paths)
    page = render(content, commit(job.paths.root), datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"))
    path = job.paths.reports / "index.html"
    write_atomic(path, page)
    return Outcome(f"reports/index.html, {len(page.encode()) / 1e6:.1f} MB: open it in a browser", True)


def _prepared(job: Job) -> Prepared | None:
    """The arrays, or None where they are not made yet: a page can be made of nothing."""
    try:
        return job.data
    except UserError:
        return None
