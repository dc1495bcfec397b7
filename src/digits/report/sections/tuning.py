"""What the latest search for better hyperparameters found."""

import altair as alt
import pandas as pd

from digits.report.chart import GREY, chart, near, rows_of
from digits.report.explore import in_words
from digits.report.gather import TRIAL, Content
from digits.report.layout import Column, Figure, Section, Table


def section(content: Content) -> Section:
    """The values that replace the defaults, and the search's pictures."""
    result = Section("tuning", "What did tuning find?")
    if content.search is None:
        result.missing = "No search for hyperparameters is finished; type make tune."
        return result
    model, best = content.search.model, content.search.best
    subject = "network" if model == "train" else model
    what = f"one, with these values in place of `{model}`'s:" if best else "none above noise."
    result.sentences.append(f"The search for a {subject} that is more accurate in the same time found {what}")
    params = content.params
    default = (params.train if model == "train" else params.baseline.models[model]).model_dump(mode="json")
    result.sentences += [
        f"{name.replace('_', ' ')}: {in_words(value)} instead of {in_words(default.get(name)) or 'none'}"
        for name, value in best.items()
    ]
    for name, picture in content.search.pictures.items():
        if name == "history" and content.search.trials is not None:
            result.figures.append(history(picture.title, content.search.trials))
        else:
            result.add_picture(picture)
    return result


def history(title: str, trials: pd.DataFrame) -> Figure:
    """Log loss of each trial that was fitted, and the best so far of those with the longest fits."""
    fitted = trials[trials["log_loss"] > 0].fillna({"name": ""})
    best = fitted["log_loss"].where(fitted["ended"] == "full").cummin().ffill()
    columns: dict[str, Column] = {name: ("", fitted[name].tolist()) for name in ("name", "ended")}
    columns |= {name.replace("_", " "): (".4g", fitted[name].tolist()) for name in TRIAL}
    table = Table("Trials", columns)
    base, tips = rows_of(table, {"best": best.astype(object).where(best > 0, None).tolist()})
    x, log, ended = alt.X("trial:Q"), alt.Scale(type="log", nice=False, padding=8), alt.Color("ended:N")
    line = base.mark_line(interpolate="step-after", color=GREY).encode(x, alt.Y("best:Q", scale=log))
    y, ended = alt.Y("log loss:Q", scale=log).axis(format="~g"), ended.legend(orient="top", title=None)
    dots = base.mark_point(filled=True, size=70, opacity=1).encode(x, y, ended, alt.Shape("ended:N"), tooltip=tips)
    drawn = alt.layer(line, dots.add_params(near()))
    return chart(f"{title}. Line: the best of the longest fits", drawn, 240, table)
