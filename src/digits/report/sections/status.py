"""Where the competition stands, on the first screen: expected score, submissions, next step, the worst errors."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from math import log

from markupsafe import Markup

from digits.evaluation.scoring import ACCURACY, LOG_LOSS
from digits.kaggle.ledger import EXPECTED, Line, best_scored, verdict
from digits.report.gather import Content
from digits.report.layout import Card, Column, Section, Table
from digits.report.scale import Interval, Mark, digits_of, scale, sparkline
from digits.report.sections.errors import worst_errors

# of README's table, for digit-recognizer
PUBLISHED = (
    ("ten networks (2026)", 0.9969),
    ("fifteen networks (2018)", 0.9976),
    ("twenty large ones, all of MNIST", 0.9984),
)
_SCORED = 5  # latest submissions on the scale
_STEPS = 3  # that are proposed
_WORST = 12  # errors that are shown
_PROGRESS = 3  # results, at least


@dataclass(frozen=True)
class Step:
    """Something to type. why: in a few words. cost: time, and what it is expected to bring, as far as it is known."""

    command: str
    why: str
    cost: str = ""


def section(content: Content) -> Section:
    """Cards, the scale of scores, the most confident errors, and a table of submissions."""
    result = Section("status", "Where do I stand?")
    lines = content.submissions
    estimate = _estimate(content)
    if estimate and estimate.interval:
        digits = digits_of(estimate.interval)
        result.cards.append(_expected(content, estimate, digits))
        marks = _marks(content, estimate)
        if len(marks) > 1:
            title = f"{estimate.value:.{digits}f} among other scores. Lines are expected 95 % intervals"
            result.lead.append(scale(title, marks, content.metric, digits))
    if content.runs or lines:
        result.cards.append(_submitted(content))
    result.cards.append(_next(content))
    result.lead += filter(None, (worst_errors(content, _WORST),))
    if lines:
        columns: dict[str, Column] = {
            "time (UTC)": ("", [line["time"][:16].replace("T", " ") for line in lines]),
            "file": ("", [line["file"] for line in lines]),
            "expected score": (".4f", [float(line["expected"]) for line in lines]),
            "public score": ("", [line["public_score"] for line in lines]),
            "state": ("", [verdict(line).removeprefix("; ") or line["state"] for line in lines]),
        }
        result.tables.append(Table("Submissions", columns))
    return result


def next_steps(content: Content) -> list[Step]:
    """What to type next, best first."""
    slug, lines = content.params.competition.slug, content.submissions
    minutes = f"about {max(1.0, content.params.train.budget):.0f} min"
    if content.data is None or content.data.practice:
        why = "uses the competition's files"
        return [Step(f"make submit DATA=path/to/{slug}.zip", why, minutes)]
    if not content.runs:
        return [Step("make submit", "fits networks and blends them", minutes)]
    if content.blend is None:
        return [Step("make submit", "blends the runs, of which there is no blend yet", minutes)]
    steps = []
    if any(line["state"] in ("uploading", "uploaded") for line in lines):
        steps.append(Step("make score", "asks Kaggle for a score that is not known yet", "seconds"))
    if content.params.submit.upload and not any(line["ref"] for line in lines):
        steps.append(Step("make submit", "sends the file, once a Kaggle token is saved", "1 min"))
    if all(run.is_network for run in content.runs):
        why = "fits models that make other errors; then make submit blends them"
        steps.append(Step("make baseline", why, "some minutes"))
    gain = "" if content.gain is None else f"; expected gain {max(0.0, content.gain):.4f}"
    minutes = f"{content.more_minutes:g}"
    steps.append(Step(f"make submit BUDGET={minutes}", "trains longer, and more networks", f"{minutes} min{gain}"))
    return steps[:_STEPS]


def _estimate(content: Content) -> Mark | None:
    """The blend's expected score, or without a blend the best run's own."""
    if content.blend:
        expected = content.blend.expected
        return Mark("expected score", expected.value, True, Interval(expected.low, expected.high))
    if not content.runs:
        return None
    score = content.score(content.runs[0])
    return Mark(f"CV {content.metric.title}", score.value, True, Interval(score.low, score.high))


def _expected(content: Content, estimate: Mark, digits: int) -> Card:
    assert estimate.interval
    value, (low, high), metric = estimate.value, estimate.interval, content.metric
    of = content.runs[0].name if content.runs and not content.blend else "the blend (combination) of models"
    lines = [
        _sentence(f"{metric.title}{metric.direction} of {of}; 95 % interval {low:.{digits}f} to {high:.{digits}f}")
    ]
    if metric is ACCURACY and content.data is not None:
        count = len(content.data.test_images)
        wrong = [round(count * (1 - each)) for each in (value, high, low)]
        lines.append(
            f"Of {count:,} test images, about {wrong[0]:,} are predicted wrongly ({wrong[1]:,} to {wrong[2]:,})."
        )
    progress = [float(line["expected"]) for line in content.submissions]
    if len(progress) >= _PROGRESS:
        lines += [sparkline(progress, metric), f"Expected scores of all {len(progress)} submissions, oldest first."]
    return Card("Expected score" if content.blend else "Score in cross-validation (CV)", f"{value:.{digits}f}", lines)


def _submitted(content: Content) -> Card:
    lines, sent = content.submissions, [line for line in content.submissions if line["ref"]]
    if top := best_scored(lines, content.metric.sign):
        judged = _judged(lines)
        inside = sum(
            float(line["expected_low"]) <= float(line["public_score"]) <= float(line["expected_high"])
            for line in judged
        )
        said = [
            f"Best public score on Kaggle, of {top['file']}.",
            f"{inside} of {len(judged)} public scores lie inside the expected 95 % interval.",
        ]
        return Card("Submitted", top["public_score"], said)
    if sent:
        return Card("Submitted", f"{len(sent)} sent", ["Kaggle's scores are not known yet."])
    if lines:
        files = "1 file is" if len(lines) == 1 else f"{len(lines)} files are"
        return Card("Submitted", "none yet", [f"{files} written; the newest is submissions/{lines[-1]['file']}."])
    return Card("Submitted", "none yet", ["No submission file is written."])


def _next(content: Content) -> Card:
    first, *others = next_steps(content)
    more = [Markup("<code>{}</code>: {} ({}).").format(step.command, step.why, step.cost) for step in others]
    return Card(
        "Next step", Markup("<code>{}</code>").format(first.command), [_sentence(f"{first.why} ({first.cost})"), *more]
    )


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _judged(lines: Sequence[Line]) -> list[Line]:
    return [line for line in lines if line["state"] == "scored"]


def _marks(content: Content, estimate: Mark) -> list[Mark]:
    """What the estimate is compared with: guessing, the best scikit-learn model, own submissions, published scores."""
    metric, competition = content.metric, content.params.competition
    classes = competition.classes
    marks = [estimate, Mark("guessing", log(classes) if metric is LOG_LOSS else 1 / classes)]
    if content.blend and (baselines := [run for run in content.runs if not run.is_network]):
        marks.append(Mark(baselines[0].name.rpartition(" · ")[0], content.score(baselines[0]).value))
    for line in _judged(content.submissions)[-_SCORED:]:
        low, high = (float(line[name]) for name in EXPECTED[1:])
        marks.append(Mark(f"Kaggle, {_day(line['time'])}", float(line["public_score"]), False, Interval(low, high)))
    if competition.slug == "digit-recognizer" and content.data is not None and not content.data.practice:
        marks += [Mark(*published) for published in PUBLISHED]
    return marks


def _day(time: str) -> str:
    """The day of a line of the ledger, as `Jan 4`; as it is written, if a spreadsheet has changed it."""
    with suppress(ValueError):
        day = date.fromisoformat(time[:10])
        return f"{day:%b} {day.day}"
    return time
