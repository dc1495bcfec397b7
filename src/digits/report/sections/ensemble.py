"""What the blend consists of: its members, and the methods of combining them that were compared."""

import numpy as np
from matplotlib.ticker import MaxNLocator, PercentFormatter

from digits.common.plots import Picture
from digits.ensemble.blend import Blend
from digits.report.chart import GREY, as_chart, subplots
from digits.report.gather import Content
from digits.report.layout import Figure, Section, Table

_SHOWN = 15  # members
_LONGEST = 28  # characters of a member's name
_MEMBER_COLUMNS = {"member": "", "CV accuracy alone": ".4f", "log loss": ".4f", "weight": ".2f", "gain": "+.5f"}
_METHOD_COLUMNS = {
    "method": "",
    "CV accuracy": ".5f",
    "gap to the best": ".5f",
    "log loss": ".5f",
    "gap in log loss, calibrated": ".5f",
    "selected": "",
}


def section(content: Content) -> Section:
    """Tables of members and methods, a chart of the members' gains, and the images that are uncertain."""
    result = Section("ensemble", "How are the models combined?")
    blend = content.blend
    if blend is None:
        result.missing = "There is no blend (a combination of models) yet; type make ensemble."
        return result
    names = {run.folder: run.name for run in content.runs}
    result.sentences.append(
        f"Method of the blend: {blend.method}. Its accuracy is {blend.cv} out of fold and {blend.holdout} on the "
        "holdout (labelled images on which nothing was chosen). Averaging models is expected to add "
        f"{blend.expected.gain:+.4f}. A member's gain is the accuracy of the blend with it minus that without it. "
        "TTA (test-time augmentation) averages predictions over moved copies of an image."
    )
    members = [
        (names.get(member.name, member.name), member.accuracy, member.log_loss, member.weight, member.gain)
        for member in blend.contributions
    ]
    result.tables.append(Table("Members: the runs that the blend uses", _MEMBER_COLUMNS, members))
    candidates = [
        (
            candidate.name,
            candidate.accuracy,
            candidate.gap,
            candidate.log_loss,
            candidate.loss_gap,
            "yes" if candidate.name == blend.method else "",
        )
        for candidate in blend.candidates
    ]
    caption = "Methods of combining the members: the simplest within one standard error of the best is selected"
    result.tables.append(Table(caption, _METHOD_COLUMNS, candidates))
    result.add_chart(gains_chart(blend, names))
    if content.uncertain:
        title = "Test images on which the models disagree most, and the most confident errors on labelled images"
        result.add_picture(Picture(title, content.uncertain))
    return result


def gains_chart(blend: Blend, names: dict[str, str]) -> Figure | None:
    """Weight and gain of each member, largest gain first; None for a single member. names: by the members' folders."""
    gains = {member: member.gain for member in blend.contributions if member.gain is not None}
    members = sorted(gains, key=lambda member: -gains[member])[:_SHOWN]
    if not members:
        return None
    shown = [names.get(member.name, member.name) for member in members]
    most = gains[members[0]]
    title = (
        f"{shown[0]} adds most to the accuracy of the blend: {most:+.4f}"
        if most > 0
        else "No single member raises the accuracy of the blend"
    )
    text = "; ".join(f"{name}: gain {gains[member]:+.5f}" for name, member in zip(shown, members, strict=True))
    places = np.arange(len(members))[::-1]
    with subplots(7, 1.2 + 0.35 * len(members), columns=2) as (figure, ((left, right),)):
        left.barh(places, [member.weight or 0.0 for member in members])
        left.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        left.set(xlabel="weight")
        left.set_yticks(places, [name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…" for name in shown])
        errors = [member.error for member in members]
        right.errorbar([gains[member] for member in members], places, xerr=errors, fmt="o")
        right.axvline(0, color=GREY, linewidth=1)
        right.set(xlabel="gain ± standard error", ylim=left.get_ylim())
        right.xaxis.set_major_locator(MaxNLocator(4))
        right.set_yticks(places, [""] * len(members))
        return as_chart(figure, "gains", title, text)
