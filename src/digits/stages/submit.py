"""Write the submission, check it, enter it in the ledger, upload it where that was asked for."""

import hashlib
import shlex
from datetime import UTC, datetime
from pathlib import Path

from digits.blends import Blend, load_blend, load_blended
from digits.competition import upload
from digits.errors import UserError
from digits.files import write_atomic
from digits.job import Job, Outcome
from digits.members import blend_name
from digits.submission import append_ledger, check_frame, csv_bytes, make_frame, read_ledger

_LONGEST = 240  # minutes that are offered


def run(job: Job) -> Outcome:
    """Make submissions/<competition>-<fingerprint>.csv of the blend."""
    data, competition = job.data, job.params.competition
    blend = load_blend(job.paths.runs, blend_name(job.params, job.members))
    if blend is None:
        raise UserError("the finished runs are not blended yet; type: make ensemble")
    columns = competition.submission_id, competition.submission_label
    frame = make_frame(data.test_ids, load_blended(job.paths.runs, blend).test, *columns)
    check_frame(frame, data.test_ids, data.classes, *columns)
    content = csv_bytes(frame)
    prefix = "practice" if data.practice else competition.slug
    path = job.paths.submissions / f"{prefix}-{blend.name.removeprefix('blend-')}.csv"
    written = not path.exists() or path.read_bytes() != content
    if written:
        write_atomic(path, content)
    entry = _entry(job, blend, path, content)
    states = _remember(job, entry)
    uploaded = "uploaded" in states
    if job.upload and not uploaded:
        _upload(job, path, entry)
    shown = path.relative_to(job.paths.root)
    return Outcome(
        f"{shown}: {len(frame):,} predictions, "
        + ("practice only" if data.practice else f"expected score {blend.expected}"),
        written or (job.upload and not uploaded),
        _next_steps(
            job,
            shown,
            str(entry["message"]),
            offer_upload=not (uploaded or job.upload),
            alone=len(blend.weights) == 1,
        ),
    )


def _entry(job: Job, blend: Blend, path: Path, content: bytes) -> dict[str, object]:
    """A line of the ledger, but for its state."""
    about, sha256 = job.data.about, hashlib.sha256(content).hexdigest()
    return {
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "competition": job.params.competition.slug,
        "provenance": about["provenance"],
        "source": about["source"],
        "source_sha256": about["source_sha256"][job.params.competition.train_file][:16],
        "data": job.data.hash[:16],
        "file": path.name,
        "sha256": sha256,
        "rows": len(job.data.test_ids),
        "expected": f"{blend.expected.value:.5f}",
        "expected_low": f"{blend.expected.low:.5f}",
        "expected_high": f"{blend.expected.high:.5f}",
        "cv_accuracy": f"{blend.cv.value:.5f}",
        "cv_low": f"{blend.cv.low:.5f}",
        "cv_high": f"{blend.cv.high:.5f}",
        "holdout_accuracy": f"{blend.holdout.value:.5f}",
        "members": " ".join(blend.weights),
        # the file's hash marks the submission among others on Kaggle
        "message": f"{job.params.submit.message} expected {blend.expected}, {sha256[:12]}".strip(),
    }


def _remember(job: Job, entry: dict[str, object]) -> set[str]:
    """Enter a new file as written; returns the states that the ledger knows of this content."""
    known = [
        line
        for line in read_ledger(job.paths.ledger)
        if (line["competition"], line["sha256"]) == (entry["competition"], entry["sha256"])
    ]
    if entry["file"] not in {line["file"] for line in known}:
        append_ledger(job.paths.ledger, entry | {"state": "written"})
    return {line["state"] for line in known}


def _upload(job: Job, path: Path, entry: dict[str, object]) -> None:
    """Send the file to Kaggle and enter that in the ledger."""
    if job.data.practice:
        raise UserError("practice data is never uploaded; name the competition's files with DATA=")
    with job.console.waiting("Kaggle"):
        listed = upload(path, job.params.competition.slug, str(entry["message"]), mark=str(entry["sha256"])[:12])
    append_ledger(job.paths.ledger, entry | {"state": "uploaded", "public_score": listed.public_score})
    job.console.say(f"uploaded: submission {listed.ref}, {listed.status} {listed.public_score}".strip())


def _next_steps(job: Job, path: Path, message: str, offer_upload: bool, alone: bool) -> tuple[str, ...]:
    """What to type next; `alone`: the blend has one member."""
    slug = job.params.competition.slug
    if job.data.practice:
        return (f"make submit DATA=path/to/{slug}.zip   the same on the real competition",)
    command = ["kaggle", "competitions", "submit", "-c", slug, "-f", str(path), "-m", message]
    steps: tuple[str, ...] = ("make tune, then make submit   looks for a better network first",)
    if (minutes := 6 * job.params.train.budget) <= _LONGEST:
        steps = (f"make submit BUDGET={minutes:g}   spends more time on networks, and keeps these", *steps)
    if alone:
        steps = ("make baseline, then make submit   blends scikit-learn models in", *steps)
    return (f".venv/bin/{shlex.join(command)}   uploads it", *steps) if offer_upload else steps
