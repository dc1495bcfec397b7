"""Write the submission, check it, and enter it in the ledger."""

import hashlib
import shlex
from datetime import UTC, datetime
from pathlib import Path

from digits.blends import Blend, load_current, test_probabilities
from digits.competition import upload
from digits.config import Params
from digits.errors import UserError
from digits.files import write_atomic
from digits.job import Job, Outcome
from digits.prepared import Prepared
from digits.prepared import load_current as load_data
from digits.submission import append_ledger, check_frame, csv_bytes, make_frame, read_ledger


def run(job: Job) -> Outcome:
    """Make submissions/<competition>-<fingerprint>.csv of the current blend."""
    data = load_data(job.paths.processed)
    blend = load_current(job.paths.runs, data.hash)
    competition = job.params.competition
    columns = competition.submission_id, competition.submission_label
    frame = make_frame(data.test_ids, test_probabilities(job.paths.runs, blend), *columns)
    check_frame(frame, data.test_ids, data.classes, *columns)
    content = csv_bytes(frame)
    prefix = "practice" if data.practice else competition.slug
    path = job.paths.submissions / f"{prefix}-{blend.name.removeprefix('blend-')}.csv"
    fresh = not path.exists() or path.read_bytes() != content
    if fresh:
        write_atomic(path, content)
    entry = _entry(job.params, data, blend, path, content)
    states = _states(job, entry)
    if "written" not in states:
        append_ledger(job.paths.ledger, entry | {"state": "written"})
    if job.upload and "uploaded" not in states:
        fresh = True
        _upload(job, data, path, entry)
    shown = path.relative_to(job.paths.root)
    estimate = f"expected accuracy {blend.cv:.4f} ({blend.cv_low:.4f} to {blend.cv_high:.4f})"
    return Outcome(
        f"{shown}: {len(frame):,} predictions, {'practice only' if data.practice else estimate}",
        fresh,
        _next_steps(job.params, data, blend, shown),
    )


def _message(params: Params, blend: Blend) -> str:
    estimate = f"CV {blend.cv:.4f} ({blend.cv_low:.4f} to {blend.cv_high:.4f}), {blend.name}"
    return f"{params.submit.message} {estimate}".strip()


def _entry(params: Params, data: Prepared, blend: Blend, path: Path, content: bytes) -> dict[str, object]:
    """A line of the ledger, but for its state."""
    return {
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "competition": params.competition.slug,
        "provenance": data.about["provenance"],
        "data": data.hash[:16],
        "file": path.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "rows": len(data.test_ids),
        "cv_accuracy": f"{blend.cv:.5f}",
        "cv_low": f"{blend.cv_low:.5f}",
        "cv_high": f"{blend.cv_high:.5f}",
        "holdout_accuracy": f"{blend.holdout:.5f}",
        "members": " ".join(blend.weights),
        "message": _message(params, blend),
    }


def _states(job: Job, entry: dict[str, object]) -> set[str]:
    """States that the ledger knows of this very file."""
    known = read_ledger(job.paths.ledger)
    return {line["state"] for line in known if (line["file"], line["sha256"]) == (entry["file"], entry["sha256"])}


def _upload(job: Job, data: Prepared, path: Path, entry: dict[str, object]) -> None:
    """Send the file to Kaggle and enter that in the ledger, once per file."""
    if data.practice:
        raise UserError("practice data is never uploaded; name the competition's files with DATA=")
    listed = upload(path, job.params.competition.slug, str(entry["message"]))
    append_ledger(job.paths.ledger, entry | {"state": "uploaded", "public_score": listed.public_score})
    job.console.say(f"uploaded: submission {listed.ref}, {listed.status} {listed.public_score}".strip())


def _next_steps(params: Params, data: Prepared, blend: Blend, path: Path) -> tuple[str, ...]:
    slug = params.competition.slug
    if data.practice:
        return (f"make submit DATA=path/to/{slug}.zip   the same on the real competition",)
    upload = ["kaggle", "competitions", "submit", "-c", slug, "-f", str(path), "-m", _message(params, blend)]
    return (
        f".venv/bin/{shlex.join(upload)}   uploads it, once you have a Kaggle account",
        "make baseline submit   blends scikit-learn models in",
        "make tune submit   looks for a better network first",
    )
