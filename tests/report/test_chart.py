"""Charts are drawn in a real browser: they answer a pointer and a finger, fit any screen and take its colours."""

from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from browsing import OpenPage, declared_in, is_accessible, served, serving
from digits.evaluation.reliability import reliability
from digits.evaluation.scoring import ACCURACY
from digits.report.chart import by_class, chart, rows_of
from digits.report.gather import TRIAL
from digits.report.gather import _table as read_table
from digits.report.layout import Column, Section, Table
from digits.report.page import page
from digits.report.scale import Interval, Mark, scale
from digits.report.sections.errors import reliability_diagram
from digits.report.sections.tuning import history
from digits.tuning.records import TrialRecord
from digits.tuning.report import table as trials_table
from digits.watch.page import INLINE
from digits.watch.server import Answer

pytestmark = pytest.mark.slow

PLANTED = "<img src=x onerror=planted=1>"
COUNTS = (40, 30, 20)


def some_charts() -> str:
    """A page of bars, of a scale, and of a diagram."""
    names = [f"{PLANTED}{number}" for number in range(3)]
    generator = np.random.default_rng(0)
    predicted = generator.dirichlet([0.5] * 3, 300)
    figures = [
        by_class(PLANTED, names, COUNTS, "labelled images", ",d"),
        scale(PLANTED, [Mark(PLANTED, 0.9, True, Interval(0.8, 0.95)), Mark("guessing", 0.1)], ACCURACY, 3),
        reliability_diagram(reliability(predicted, predicted.argmax(axis=1))),
    ]
    return page(PLANTED, [Section("charts", PLANTED, figures=figures)], False, "make report", "now")


@pytest.fixture
def charts(opened: OpenPage, tmp_path: Path) -> Page:
    (tmp_path / "index.html").write_text(some_charts(), encoding="utf-8")
    tab = opened(tmp_path / "index.html")
    expect(tab.locator(".chart svg")).to_have_count(3)
    return tab


def bars(tab: Page) -> list[Locator]:
    found = tab.locator(".chart").first.locator("[aria-roledescription=bar]")
    expect(found).to_have_count(3)
    return found.all()


def test_a_pointer_is_told_the_figures_of_a_mark(charts: Page) -> None:
    told = charts.locator("#vg-tooltip-element")
    for number, bar in enumerate(bars(charts)):
        bar.hover()
        expect(told).to_be_visible()
        expect(told).to_contain_text(f"{PLANTED}{number}")
        expect(told).to_contain_text(f"labelled images{COUNTS[number]}")
    charts.locator("h1").hover()
    expect(told).to_be_hidden()
    assert charts.evaluate("window.planted") is None


def test_a_finger_is_told_the_nearest_mark(charts: Page) -> None:
    told = charts.locator("#vg-tooltip-element")
    charts.locator(".chart").nth(1).scroll_into_view_if_needed()
    box = charts.locator(".chart").nth(1).locator("svg").bounding_box()
    assert box
    charts.touchscreen.tap(box["x"] + box["width"] / 4, box["y"] + 35)  # no dot is there
    expect(told).to_be_visible()
    expect(told.locator("td")).to_have_text(["score of", "guessing", "score", "0.100", "95 % interval", ""])
    charts.locator("figcaption").nth(2).tap()
    expect(told).to_be_hidden()


def test_charts_take_the_colours_of_the_page(charts: Page) -> None:
    shown = set()
    for mode in ("light", "dark"):
        charts.emulate_media(color_scheme=mode)
        colours = {part.evaluate("part => getComputedStyle(part).fill") for part in bars(charts)}
        wanted = "() => { const p = document.createElement('i'); p.style.color = 'var(--one)'; document.body.append(p);"
        assert colours == {charts.evaluate(f"({wanted} return getComputedStyle(p).color; }})()")}
        shown |= colours
    assert len(shown) == 2


@pytest.mark.parametrize("width", [390, 1100, 1920])
def test_a_chart_is_as_wide_as_there_is_room(charts: Page, width: int) -> None:
    charts.set_viewport_size({"width": width, "height": 800})
    for holder in charts.locator(".chart").all():
        svg = holder.locator("svg")
        room = holder.evaluate("holder => Math.floor(holder.getBoundingClientRect().width)")
        expect(svg).to_have_attribute("width", str(room))
        inside = svg.evaluate(
            "svg => [...svg.querySelectorAll('text')].filter(t => t.textContent).map(t => t.getBoundingClientRect())"
            ".every(b => b.left > -1 && b.right < innerWidth + 1)"
        )
        assert inside


def test_those_who_cannot_see_have_names_and_numbers(charts: Page) -> None:
    for holder in charts.locator(".chart[role=graphics-document]").all():
        assert len(holder.get_attribute("aria-label") or "") > 10
    numbers = charts.locator("details").first
    assert not numbers.locator("table").is_visible()
    numbers.locator("summary").press("Enter")
    cells = [row.locator("td").all_inner_texts() for row in numbers.locator("tbody tr").all()]
    assert cells == [[f"{PLANTED}{number}", str(count)] for number, count in enumerate(COUNTS)]
    is_accessible(charts)


def test_the_policy_of_make_watch_lets_charts_be_drawn(browser: Any) -> None:
    """It does not let text be run as code, which Vega would do otherwise."""
    with serving({"/": Answer("text/html", some_charts, INLINE)}) as address, served(browser, address) as tab:
        expect(tab.locator(".chart svg")).to_have_count(3)


def test_a_chart_has_the_numbers_of_its_table() -> None:
    columns: dict[str, Column] = {
        "a": ("", ["x"]),
        "b": (".2f", [0.5]),
        "c": ("d", [7]),
    }

    base, tips = rows_of(Table("t", columns), {"d": [True]})
    spec = declared_in(chart(PLANTED, base.mark_point().encode(alt.X("b:Q"), tooltip=tips), 10).body)
    assert [*spec["datasets"].values()] == [[{"a": "x", "b": 0.5, "c": 7, "d": True}]]
    assert [(each["field"], each.get("format")) for each in spec["encoding"]["tooltip"]] == [
        ("a", ""),
        ("b", ".2f"),
        ("c", "d"),
    ]


def test_a_search_is_drawn_from_the_trials_that_make_tune_has_written(tmp_path: Path) -> None:
    results = [{"epochs": 0.5, "accuracy": 0.9, "log_loss": loss, "seconds": 9.0} for loss in (0.4, 0.2, 0.3)]
    trials = [TrialRecord(0, "default", {}, (results[0],) * 2, True, False, "")]
    trials += [TrialRecord(1, "", {"layers": PLANTED}, (results[1],), False, False, "")]
    trials += [
        TrialRecord(2, "", {}, (), False, True, "no room"),
        TrialRecord(3, "", {}, (results[2],), True, False, ""),
    ]
    trials_table(trials).to_csv(tmp_path / "trials.csv", index=False)
    found = read_table(tmp_path / "trials.csv", ("name", "ended", *TRIAL), TRIAL)
    assert found is not None
    [rows] = declared_in(history(PLANTED, found).body)["datasets"].values()
    assert [(row["trial"], row["name"], row["ended"], row["log loss"], row["best"]) for row in rows] == [
        (0, "default", "full", 0.4, 0.4),
        (1, "", "pruned", 0.2, 0.4),
        (3, "", "full", 0.3, 0.3),
    ]
