"""Write the submission and check it; with credentials send it to Kaggle, once, and wait for its score."""

import hashlib
import shlex
from pathlib import Path

import numpy as np
import pandas as pd

from digits.cli.context import Context, Outcome
from digits.common.code_version import commit
from digits.common.errors import UserError
from digits.common.files import write_atomic
from digits.ensemble.blend import Blend, load_blend, load_predictions
from digits.kaggle.credentials import NEW_TOKEN
from digits.kaggle.ledger import Line, verdict
from digits.kaggle.submission import check_frame, csv_bytes, make_frame, share_differing, unusual_classes
from digits.kaggle.upload import now, tag

_LONGEST = 240  # minutes that are offered
_DIGITS = ".7f"  # of accuracies in the ledger: rounded once more to four, they are what was said at the terminal


def run(context: Context) -> Outcome:
    """Make submissions/<competition>-<fingerprint>.csv of the blend, and see to it that Kaggle has it."""
    data, competition = context.data, context.params.competition
    blend = load_blend(context.paths.runs, context.blend_name)
    if blend is None:
        raise UserError("the finished runs are not blended yet; type: make ensemble")
    columns = competition.submission_id_column, competition.submission_label_column
    frame = make_frame(data.test_ids, load_predictions(context.paths.runs, blend).test, *columns)
    check_frame(frame, data.test_ids, data.classes, *columns)
    content = csv_bytes(frame)
    prefix = "practice" if data.practice else competition.slug
    path = context.paths.submissions / f"{prefix}-{blend.name.removeprefix('blend-')}.csv"
    written = not path.exists() or path.read_bytes() != content
    if written:
        write_atomic(path, content)
    sends = _sends(context)
    line = _intent(context, blend, path, content, again=context.force and sends)
    _compare(context, frame, line)
    shown = path.relative_to(context.paths.root)
    sent = sends and line["state"] not in ("uploaded", "scored")
    if sent:
        context.console.say(f"{shown}: expected score {blend.expected}")
    if sends:
        line = context.delivery.submit_once(line["intent"], path)
        line = context.delivery.wait_for_score(line["intent"])
    return Outcome(
        f"{shown}: {len(frame):,} predictions, "
        + ("practice only" if data.practice else f"expected score {blend.expected}")
        + verdict(line),
        written or sent,
        _next_steps(context, shown, line, alone=len(blend.weights) == 1),
    )


def _sends(context: Context) -> bool:
    """Whether the file goes to Kaggle. Raises UserError where the user insists and it cannot."""
    if context.upload and context.data.practice:
        raise UserError("practice data is never uploaded; name the competition's files with DATA=")
    if context.upload and not context.params.submit.upload:
        raise UserError(
            f"{context.params.competition.slug} is no competition on Kaggle, as submit.upload in the params says"
        )
    if context.upload:
        return True  # without credentials, asking Kaggle says what to do
    possible = context.upload is None and not context.data.practice and context.params.submit.upload
    return possible and bool(context.kaggle.credentials)


def _intent(context: Context, blend: Blend, path: Path, content: bytes, again: bool) -> Line:
    """The ledger's line of this file, entered where it is new; again: a new one, where Kaggle is done with the last."""
    sha256 = hashlib.sha256(content).hexdigest()
    known = [
        line for line in context.ledger.intents(context.params.competition.slug).values() if line["sha256"] == sha256
    ]
    if known and not (again and known[-1]["state"] in ("scored", "failed") and known[-1]["ref"]):
        there = [line for line in known if line["state"] in ("uploaded", "scored")]
        # what a FORCE=1 has left is gone on with by another FORCE=1 alone
        return known[-1] if again or not there else there[-1]
    # without a ledger, as on another machine, Kaggle alone knows of what was sent
    sent = max(len(known), context.delivery.times_listed(sha256[:12]) if again else 0)
    intent = sha256[:12] + (f"-{sent + 1}" if sent else "")
    return context.ledger.append(_entry(context, blend, path, sha256, intent), "written", now())


def _entry(context: Context, blend: Blend, path: Path, sha256: str, intent: str) -> dict[str, object]:
    """What the ledger says of an intent, but for what becomes of it."""
    about, version = context.data.about, commit(context.paths.root)
    words = [
        context.params.submit.message,
        blend.name,
        f"expected {blend.expected}",
        f"commit {version}" if version else "",
        tag(intent),
    ]
    return {
        "intent": intent,
        "competition": context.params.competition.slug,
        "provenance": about["provenance"],
        "source": about["source"],
        "source_sha256": about["source_sha256"][context.params.competition.train_file][:16],
        "data": context.data.hash[:16],
        "file": path.name,
        "sha256": sha256,
        "rows": len(context.data.test_ids),
        "expected": f"{blend.expected.value:{_DIGITS}}",
        "expected_low": f"{blend.expected.low:{_DIGITS}}",
        "expected_high": f"{blend.expected.high:{_DIGITS}}",
        "cv_accuracy": f"{blend.cv.value:{_DIGITS}}",
        "cv_low": f"{blend.cv.low:{_DIGITS}}",
        "cv_high": f"{blend.cv.high:{_DIGITS}}",
        "holdout_accuracy": f"{blend.holdout.value:{_DIGITS}}",
        "members": " ".join(blend.weights),
        "commit": version,
        "message": " ".join(filter(None, words)),
    }


def _compare(context: Context, frame: pd.DataFrame, line: Line) -> None:
    """Say how the file differs from the best one so far, and warn where its classes are unlike the training images'."""
    predicted, labels = frame.iloc[:, 1].to_numpy(np.int64), np.asarray(context.data.labels, np.int64)
    for number, ours, theirs in unusual_classes(predicted, labels, context.data.classes):
        name = (context.params.competition.class_names or range(context.data.classes))[number]
        context.console.warn(f"class {name} is {ours:.2%} of the predictions, but {theirs:.2%} of the training images")
    scored = [
        other
        for other in context.ledger.intents(context.params.competition.slug).values()
        if other["state"] == "scored" and other["sha256"] != line["sha256"]
    ]
    if not scored:
        return
    best = max(scored, key=lambda other: float(other["public_score"]))
    path = context.paths.submissions / best["file"]
    if path.exists() and (share := share_differing(frame, pd.read_csv(path))) is not None:
        known = f"the best so far, {best['file']} with {best['public_score']}"
        context.console.say(f"differs from {known}, in {share:.2%} of the predictions")


def _next_steps(context: Context, path: Path, line: Line, alone: bool) -> tuple[str, ...]:
    """What to type next; `alone`: the blend has one member."""
    slug = context.params.competition.slug
    if context.data.practice:
        return (f"make submit DATA=path/to/{slug}.zip   the same on the real competition",)
    steps: tuple[str, ...] = ("make tune, then make submit   looks for a better network first",)
    if (minutes := 6 * context.params.train.budget) <= _LONGEST:
        steps = (f"make submit BUDGET={minutes:g}   spends more time on networks, and keeps these", *steps)
    if alone:
        steps = ("make baseline, then make submit   blends scikit-learn models in", *steps)
    if line["state"] in ("uploaded", "scored"):
        return ("make submissions   shows all of them with their scores", *steps)
    if not context.params.submit.upload:
        return steps
    command = ["kaggle", "competitions", "submit", "-c", slug, "-f", str(path), "-m", line["message"]]
    if not context.kaggle.credentials:
        steps = (f"{NEW_TOKEN}, then make submit   uploads it and waits for its score", *steps)
    return (f".venv/bin/{shlex.join(command)}   uploads it", *steps)
