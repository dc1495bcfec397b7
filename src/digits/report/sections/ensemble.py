"""What the blend consists of: its members, and the methods of combining them that were compared."""

import altair as alt

from digits.common.plots import Picture
from digits.ensemble.blend import Blend
from digits.evaluation.scoring import LOG_LOSS, METRICS
from digits.report.chart import GREY, ONE, chart, near, rows_of
from digits.report.gather import Content
from digits.report.layout import Column, Figure, Section, Table

_SHOWN = 15  # members
_ROW = 24  # pixels


def section(content: Content) -> Section:
    """Tables of members and methods, a chart of the members' gains, and the images that are uncertain."""
    result = Section("ensemble", "How are the models combined?")
    blend = content.blend
    if blend is None:
        result.missing = "There is no blend (a combination of models) yet; type make ensemble."
        return result
    metric = content.metric
    title, losses, (first, second) = metric.title, metric is LOG_LOSS, metric.order
    names = {run.folder: run.name for run in content.runs}
    result.sentences.append(
        f"Method of the blend: {blend.method}. Its {title}{metric.direction} is {blend.cv} out of fold and "
        f"{blend.holdout} on the holdout (labelled images on which nothing was chosen). Averaging models is "
        f"expected to add {blend.expected.gain:+.4f}. A member's gain is the {title} of the blend {first} it minus "
        f"that {second} it. TTA (test-time augmentation) averages predictions over moved copies of an image."
    )
    members, candidates, other = blend.contributions, blend.candidates, "accuracy" if losses else "log loss"
    columns: dict[str, Column] = {
        "member": ("", [names.get(member.name, member.name) for member in members]),
        f"CV {title} alone": (".4f", [member.score for member in members]),
        other: (".4f", [member.accuracy if losses else member.log_loss for member in members]),
        "weight": (".2f", [member.weight for member in members]),
        "gain": ("+.5f", [member.gain for member in members]),
        "its standard error": (".5f", [member.error for member in members]),
    }
    result.tables.append(Table("Members: the runs that the blend uses", columns))
    calibrated = {
        "log loss": (".5f", [candidate.log_loss for candidate in candidates]),
        "gap in log loss, calibrated": (".5f", [candidate.loss_gap for candidate in candidates]),
    }
    columns = {
        "method": ("", [candidate.name for candidate in candidates]),
        f"CV {title}": (".5f", [candidate.score for candidate in candidates]),
        "gap to the best": (".5f", [candidate.gap for candidate in candidates]),
        **({} if losses else calibrated),
        "selected": ("", ["yes" if candidate.name == blend.method else "" for candidate in candidates]),
    }
    caption = "Methods of combining the members: the simplest within one standard error of the best is selected"
    if len(members) > 1:
        result.tables.append(Table(caption, columns))
    result.figures += filter(None, (gains_chart(blend, names),))
    if content.uncertain:
        title = "Test images on which the models disagree most, and the most confident errors on labelled images"
        result.add_picture(Picture(title, content.uncertain))
    return result


def gains_chart(blend: Blend, names: dict[str, str]) -> Figure | None:
    """Gain of each member, largest first; None where none has one. names: by the members' folders."""
    gains = {member: member.gain for member in blend.contributions if member.gain is not None}
    members = sorted(gains, key=lambda member: -gains[member])[:_SHOWN]
    if not any(gains.values()):
        return None
    shown = [names.get(member.name, member.name) for member in members]
    most = gains[members[0]]
    metric = METRICS[blend.metric]
    adds, no = ("adds most to", "raises") if metric.sign > 0 else ("takes most off", "lowers")
    title = (
        f"{shown[0]} {adds} the {metric.title} of the blend: {metric.sign * most:+.4f}"
        if most > 0
        else f"No single member {no} the {metric.title} of the blend"
    )
    columns: dict[str, Column] = {
        "member": ("", shown),
        "gain": ("+.5f", [member.gain for member in members]),
        "standard error": (".5f", [member.error for member in members]),
    }
    base, tips = rows_of(Table(title, columns))
    x, name = alt.X("gain:Q"), alt.Y("member:N").sort(None).axis(title=None, labelLimit=220)
    zero = alt.Chart(alt.InlineData(values=[{}])).mark_rule(color=GREY, aria=False)
    zero = zero.encode(x=alt.datum(0, type="quantitative"))
    errors = base.mark_errorbar(color=ONE).encode(x, alt.XError("standard error:Q"), name)
    dots = base.mark_circle(color=ONE, opacity=1, size=50).encode(x, name, tooltip=tips)
    return chart(title, alt.layer(zero, errors, dots.add_params(near())), _ROW * len(members))
