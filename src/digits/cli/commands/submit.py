"""Write and check the submission; with credentials, send it to Kaggle once and wait for its score."""

import hashlib
import shlex
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from digits.cli.context import Context, Outcome
from digits.common.code_version import commit
from digits.common.errors import UserError
from digits.common.files import file_sha256, write_atomic
from digits.common.fingerprints import COMPUTATIONS
from digits.ensemble.application import fitted_blend
from digits.ensemble.blend import Blend, load_blend, load_predictions
from digits.evaluation.scoring import ACCURACY, METRICS
from digits.kaggle.credentials import NEW_TOKEN
from digits.kaggle.ledger import Line, best_scored, verdict
from digits.kaggle.sessions import LOG
from digits.kaggle.submission import check_frame, csv_bytes, make_frame, share_differing, unusual_classes
from digits.kaggle.upload import now, tag
from digits.kernel.code import CodeSender, files_of
from digits.kernel.script import script

_MOST_MINUTES = 240  # the largest BUDGET that the next steps suggest
_UNSENT = "make submit   continues with the fits and sends the result; nothing has been sent to Kaggle yet"
_DIGITS = ".7f"  # of scores in the ledger; rounded to four digits they equal those that were printed


def run(context: Context) -> Outcome:
    """Write submissions/<competition>-<fingerprint>.csv of the blend, and upload it unless Kaggle has it."""
    data, competition = context.data, context.params.competition
    blend = load_blend(context.paths.runs, context.blend_name)
    if blend is None:
        raise UserError("the finished runs are not blended yet; type: make ensemble")
    columns = competition.submission_id, competition.submission_label
    probabilities = load_predictions(context.paths.runs, blend).test
    frame = make_frame(data.test_ids, probabilities, data.class_values, *columns)
    check_frame(frame, data.test_ids, data.class_values, *columns)
    content = csv_bytes(frame)
    prefix = "practice" if data.practice else competition.slug
    path = context.paths.submissions / f"{prefix}-{blend.name.removeprefix('blend-')}.csv"
    written = not path.exists() or path.read_bytes() != content
    if written:
        write_atomic(path, content)
    wanted = _should_upload(context)
    upload = wanted and not context.interrupted  # a day has few submissions, and the user has stopped this one
    line = _ledger_line(context, blend, path, content, again=context.force and upload)
    _print_comparison(context, frame, probabilities.argmax(axis=1), line)
    expected = f"expected score {blend.expected}{METRICS[blend.metric].unit}"
    relative = path.relative_to(context.paths.root)
    uploads = upload and line["state"] not in ("uploaded", "scored")
    if uploads:
        context.console.say(f"{relative}: {expected}")
    if upload:
        sender = _code(context, blend) if context.params.submit.how == "code" else None
        line = context.uploader.submit_once(line["intent"], path, context.force, sender)
        try:
            line = context.uploader.wait_for_score(line["intent"])
        except KeyboardInterrupt:
            raise KeyboardInterrupt("the file is sent, make score asks for its score") from None
    said = verdict(line)
    return Outcome(
        f"{relative}: {len(frame):,} predictions, " + ("practice only" if data.practice else expected) + said,
        written or uploads,
        (_UNSENT,) * (wanted and not upload) + _next_steps(context, relative, line, len(blend.weights) == 1),
        (
            ("result", "practice images, whose scores mean nothing" if data.practice else expected + said),
            ("file", f"{relative}, {len(frame):,} predictions, checked"),
        ),
    )


def _code(context: Context, blend: Blend) -> CodeSender:
    """Sends the blend as a script, where the competition takes code."""
    competition, found = context.params.competition, fitted_blend(context.paths.runs, blend.name)
    task = {
        "competition": competition.slug,
        "files": competition.needed_files,
        "test": competition.test_name,
        "blend": blend.name,
        "libraries": COMPUTATIONS["cnn"].libraries,
        "internet": False,
    }
    text = script(context.params, task, files_of(found, context.paths.runs))
    return CodeSender(context.kaggle, context.sessions, text, context.paths.sessions / LOG)


def _should_upload(context: Context) -> bool:
    """Whether to upload the file. Raises UserError if the user requires it and it is impossible."""
    if context.upload and context.data.practice:
        raise UserError("practice data is never uploaded; give the competition's files: make submit DATA=path/to/files")
    if context.upload and not context.params.submit.upload:
        raise UserError(
            f"submit.upload is false in the params, as Kaggle has no competition {context.params.competition.slug}; "
            "make submit without UPLOAD writes the file only"
        )
    if context.upload:
        return True  # without credentials, the upload fails with a message that says how to get them
    possible = context.upload is None and not context.data.practice and context.params.submit.upload
    return possible and bool(context.kaggle.credentials)


def _ledger_line(context: Context, blend: Blend, path: Path, content: bytes, again: bool) -> Line:
    """The latest ledger line of this file's intent; a new intent is entered if there is none.

    again: also enter a new intent if Kaggle has scored or refused the last one.
    """
    sha256 = hashlib.sha256(content).hexdigest()
    lines = [
        line for line in context.ledger.intents(context.params.competition.slug).values() if line["sha256"] == sha256
    ]
    if lines and not (again and lines[-1]["state"] in ("scored", "failed") and lines[-1]["ref"]):
        uploaded = [line for line in lines if line["state"] in ("uploaded", "scored")]
        # an upload that FORCE=1 began and did not finish is continued by FORCE=1 alone
        return lines[-1] if again or not uploaded else uploaded[-1]
    # the ledger may be on another machine, but Kaggle lists what was sent from there
    count = max(len(lines), context.uploader.times_listed(sha256[:12]) if again else 0)
    intent = sha256[:12] + (f"-{count + 1}" if count else "")
    return context.ledger.append(_entry(context, blend, path, sha256, intent), "written", now())


def _entry(context: Context, blend: Blend, path: Path, sha256: str, intent: str) -> dict[str, object]:
    """The columns of the ledger that stay the same in all lines of an intent."""
    about, version = context.data.about, commit(context.paths.root)
    message = [
        tag(intent),  # first, so that it is never what is cut off
        context.params.submit.message,
        blend.name,
        f"expected {blend.expected}{METRICS[blend.metric].unit}",
        f"commit {version}" if version else "",
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
        **(_accuracies(blend) if blend.metric == ACCURACY.name else {}),
        "members": " ".join(blend.weights),
        "commit": version,
        "message": " ".join(filter(None, message)),
    }


def _accuracies(blend: Blend) -> dict[str, str]:
    values = (blend.cv.value, blend.cv.low, blend.cv.high, blend.holdout.value)
    names = ("cv_accuracy", "cv_low", "cv_high", "holdout_accuracy")
    return {name: f"{value:{_DIGITS}}" for name, value in zip(names, values, strict=True)}


def _print_comparison(context: Context, frame: pd.DataFrame, predicted: NDArray[np.int64], line: Line) -> None:
    """Print how much the file differs from the best one so far; warn about classes with unusual shares.

    predicted: classes, (m,). Where the test file has labels, print how many of them are right.
    """
    if (known := context.data.test_labels) is not None:
        context.console.say(
            f"{(predicted == known).mean():.4f} of the labels in the test file are right; nothing was chosen by them"
        )
    labels = np.asarray(context.data.labels, np.int64)
    for number, ours, theirs in unusual_classes(predicted, labels, context.data.classes):
        name = context.data.class_names[number]
        context.console.warn(f"class {name} is {ours:.2%} of the predictions, but {theirs:.2%} of the training images")
    intents = context.ledger.intents(context.params.competition.slug).values()
    sign = METRICS[context.params.competition.metric].sign
    best = best_scored((other for other in intents if other["sha256"] != line["sha256"]), sign)
    if best is None:
        return
    path = context.paths.submissions / best["file"]
    same = path.exists() and file_sha256(path) == best["sha256"]  # nobody has saved it in another form since
    if same and (share := share_differing(frame, pd.read_csv(path, dtype=str, na_filter=False))) is not None:
        context.console.say(
            f"{share:.2%} of the predictions differ from those of the best submission so far, {best['file']} with "
            f"{best['public_score']}"
        )


def _next_steps(context: Context, path: Path, line: Line, one_member: bool) -> tuple[str, ...]:
    """What to type next. one_member: whether the blend has one member."""
    slug = context.params.competition.slug
    if context.data.practice:
        return (f"make submit DATA=path/to/{slug}.zip   uses the competition's files",)
    steps: tuple[str, ...] = ("make tune, then make submit   searches for a better network first",)
    if (minutes := 6 * context.params.train.budget) <= _MOST_MINUTES:
        steps = (f"make submit BUDGET={minutes:g}   trains more networks, and keeps these", *steps)
    if one_member:
        steps = ("make baseline, then make submit   adds scikit-learn models to the blend", *steps)
    if line["state"] in ("uploaded", "scored"):
        return ("make submissions   lists all submissions with their scores", *steps)
    if not context.params.submit.upload or context.params.submit.how == "code":
        return steps
    command = ["kaggle", "competitions", "submit", "-c", slug, "-f", str(path), "-m", line["message"]]
    with suppress(UserError):  # that faulty credentials have; with UPLOAD=0 they do not matter
        if not context.kaggle.credentials:
            steps = (f"{NEW_TOKEN}, then make submit   uploads it and waits for its score", *steps)
    program = Path(sys.executable).with_name("kaggle")
    command[0] = str(program.relative_to(context.paths.root) if program.is_relative_to(context.paths.root) else program)
    return (f"{shlex.join(command)}   uploads it", *steps)
