"""The page answers its questions from whatever there is, for everyone, in a real browser."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from playwright.sync_api import Browser, Page

from browsing import OpenPage, is_accessible, opening, running_browser
from digits.common.plots import write_pictures
from digits.config import Params, Paths, load_params
from digits.data.dataset import Dataset
from digits.ensemble.blend import make_blend, save_blend
from digits.ensemble.combine import methods
from digits.ensemble.disagreement import draw_uncertain
from digits.ensemble.members import Members
from digits.ensemble.selection import select_method
from digits.evaluation.scoring import ACCURACY
from digits.kaggle.ledger import Ledger
from digits.replication.table import COLUMNS
from digits.report.compared import read, resolve
from digits.report.comparison import pair, sections
from digits.report.gather import Content, gather
from digits.report.page import page, render
from digits.report.sections import runs, status, training
from digits.report.sections.status import next_step
from digits.training.candidates import baseline_runs
from digits.training.fitting import fit_fold_unit, fit_refit_unit
from digits.training.runs import RunFolder, run_spec
from digits.training.schedule import Fit
from digits.training.tuned import study_of
from toys import ROOT, TOY, Digits, prepare_toy

pytestmark = pytest.mark.slow

SECTIONS = ("status", "runs", "training", "errors", "tuning", "ensemble", "recipes", "data", "environment")
PLANTED = "<script>window.planted = true</script>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture
def opened(browser: Browser) -> Iterator[OpenPage]:
    with opening(browser) as open_page:
        yield open_page


def test_a_page_of_nothing_says_what_to_type(digits: Digits, workspace: Path, opened: OpenPage) -> None:
    made = digits("report")
    assert made.returncode == 0, made.stderr
    page = opened(workspace / "reports" / "index.html")
    assert [section.get_attribute("id") for section in page.locator("main > section").all()] == [*SECTIONS]
    for name in ("runs", "training", "errors", "tuning", "ensemble", "recipes", "data"):
        assert "type make" in page.locator(f"#{name} .missing").inner_text()
    assert "What to do next: type make submit DATA=" in page.locator("#status").inner_text()
    is_accessible(page)


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Content:
    """Of a practice run with baselines, networks, a search, recipes and a score; with markup in every name.

    The network is fitted on two of three folds and all images, one of the baselines on a single fold.
    """
    paths = Paths(tmp_path_factory.mktemp("project"))
    names = ", ".join(f'"{PLANTED}{number}"' for number in range(3))
    params = load_params(ROOT / "params.yaml", (*TOY, f"competition.class_names=[{names}]"))
    data = prepare_toy(paths.processed / "toy")
    data = replace(data, about=data.about | {"provenance": "practice", "source": PLANTED, "notices": [PLANTED]})
    small, nearest = baseline_runs(params, data)
    one_fold = replace(nearest, name="one-fold", model=nearest.model | {"n_neighbors": 1})
    network = run_spec("cnn", params.train.spec.model_dump(mode="json"), "/255", 0, data)
    for spec, folds in ((network, 2), (small, 3), (nearest, 3), (one_fold, 1)):
        for fold in range(folds):
            fit_fold_unit(data, paths.runs, spec, fold)
    fit_refit_unit(data, paths.runs, network, Fit(None, 2, 1))
    members = Members(tuple(RunFolder(paths.runs, spec).units(3) for spec in (network, small, nearest)), (0, 1), data)
    chosen, labels = members.predictions(data), np.asarray(data.labels)
    rows = chosen[0].rows
    selection = select_method(chosen, methods(3, 20, 0.1), labels[rows], np.asarray(data.folds)[rows])
    blend, predictions = make_blend("blend-toy", selection, labels[rows], labels[data.holdout_rows], members.units)
    save_blend(paths.runs, blend, predictions, draw_uncertain(data, "abc", selection, predictions), data.about)
    expected = {"expected": 0.9, "expected_low": 0.8, "expected_high": 0.95, "public_score": "0.5", "ref": "7"}
    line = {"intent": "one", "competition": "toy", "provenance": "practice", "file": PLANTED, **expected}
    Ledger(paths.ledger).append(line, "scored", "2026-01-01T00:00:00+00:00")
    study = study_of(params, data, paths.studies, "train")
    study.save({"networks": {"tuned": {"learning_rate": 0.004, "kernel_initializer": PLANTED}}}, "found")
    write_pictures(paths.reports / "tune", study.folder.name, {"history": lambda: draw("history")})
    pictures = {name: lambda name=name: draw(name) for name in ("race", "rates")}
    write_pictures(paths.reports / "recipes", data.hash, pictures)
    recipe = {"id": "one", "recipe": PLANTED, "published": 0.9, "measured": 0.91, "count": 1, "within": "yes"}
    pd.DataFrame([recipe], columns=COLUMNS).to_csv(paths.reports / "recipes.csv", index=False)
    gathered = gather(params, data, paths)
    planted = {run.folder: f"{run.spec.name} {PLANTED}" for run in gathered.runs if run.spec == nearest}
    runs = (replace(run, spec=replace(run.spec, name=planted.get(run.folder, run.spec.name))) for run in gathered.runs)
    return replace(gathered, runs=tuple(runs))


def draw(name: str) -> str:
    plt.subplots()[1].plot([0, 1])
    return f"{name} {PLANTED}"


def test_a_full_page_answers_every_question(content: Content, opened: OpenPage, tmp_path: Path) -> None:
    file = tmp_path / "index.html"
    file.write_text(render(content, PLANTED, "now"), encoding="utf-8")
    assert file.stat().st_size < 5e6
    page = opened(file)
    assert page.locator(".missing").count() == 0
    assert page.locator(".practice").count() == 1
    for name in SECTIONS[:-1]:
        assert page.locator(f"#{name} figure").count() >= 1, name
    for figure in page.locator("figure:not(:has(.explore))").all():  # test_explore.py looks at the others
        assert len(figure.locator("figcaption").inner_text()) > 10
        described = figure.locator("[role=img]").or_(figure.locator("img"))
        assert described.get_attribute("aria-label") or described.get_attribute("alt")
    assert page.evaluate("window.planted") is None
    assert PLANTED in page.locator("body").inner_text()
    assert "0.5, " in page.locator("#status table").inner_text()
    assert "learning rate: 0.004 instead of 0.003" in page.locator("#tuning").inner_text()
    is_accessible(page)
    tables_are_sorted_and_filtered_by_clicking(page)


def tables_are_sorted_and_filtered_by_clicking(page: Page) -> None:
    table = page.locator("#runs table")

    def column(place: int) -> list[str]:
        return [row.locator("td").nth(place).inner_text() for row in table.locator("tbody tr:not([hidden])").all()]

    assert len(column(0)) == 4
    assert "small" in column(0)
    kinds: tuple[tuple[int, Any], ...] = ((0, str), (2, float))
    for place, kind in kinds:
        button = table.locator("th button").nth(place)
        button.click()
        assert table.locator("th").nth(place).get_attribute("aria-sort") == "descending"
        assert [*map(kind, column(place))] == sorted(map(kind, column(place)), reverse=True)
        button.press("Enter")
        assert table.locator("th").nth(place).get_attribute("aria-sort") == "ascending"
        assert [*map(kind, column(place))] == sorted(map(kind, column(place)))
    members = page.locator("#ensemble input").first
    shown = page.locator("#ensemble table").nth(1).locator("tbody tr:not([hidden])")
    before = shown.count()
    members.fill("stack")
    assert 0 < shown.count() < before


def test_a_comparison_is_shown_to_everyone(content: Content, opened: OpenPage, tmp_path: Path) -> None:
    assert content.data is not None
    paths = Paths(content.data.folder.parents[2])
    found = (read(folder, paths.processed) for folder in resolve(["one-fold", "blend"], paths.runs))
    names = {"class_names": [f"{PLANTED}{number}" for number in range(3)]}
    data = replace(content.data, about=content.data.about | names)
    old, new = (replace(each, data=data, name=f"{PLANTED}{each.name}") for each in found)
    wrong = replace(old, oof=old.oof[:, ::-1])  # right for one of three classes at most
    file, parts = tmp_path / "compare.html", sections(pair(wrong, new, ACCURACY))
    file.write_text(page(PLANTED, parts, True, f'make compare RUNS="{PLANTED}"', "now"), encoding="utf-8")
    shown = opened(file)
    assert shown.locator("#images .gallery li").count() > 20
    for image in shown.locator("#images img").all():
        assert re.fullmatch(r"row \d+", image.get_attribute("alt") or "")
        assert image.evaluate("image => image.naturalWidth") == 12
    assert shown.evaluate("window.planted") is None
    assert PLANTED in shown.locator("main").inner_text()
    is_accessible(shown)


@pytest.mark.parametrize(("separator", "decimal"), [(";", ","), (",", ",")])
def test_recipes_that_a_spreadsheet_has_saved_are_asked_for_again(
    toy_params: Params, toy_data: Dataset, tmp_path: Path, separator: str, decimal: str
) -> None:
    paths = Paths(tmp_path)
    write_pictures(paths.reports / "recipes", toy_data.hash, {"race": lambda: draw("race")})
    recipe = {"id": "one", "published": 0.9, "measured": 0.91, "count": 1, "within": "yes", "why": "more, and other"}
    table = pd.DataFrame([recipe], columns=COLUMNS)
    table.to_csv(paths.reports / "recipes.csv", index=False)
    found = gather(toy_params, toy_data, paths).recipes
    assert found is not None
    assert found["measured"].tolist() == [0.91]
    table.to_csv(paths.reports / "recipes.csv", index=False, sep=separator, decimal=decimal)
    assert gather(toy_params, toy_data, paths).recipes is None


def test_the_next_step_follows_from_what_there_is(content: Content) -> None:
    [line] = content.submissions
    sent, waiting, local = line, line | {"state": "uploaded"}, line | {"state": "written", "ref": ""}
    networks = tuple(run for run in content.runs if run.is_network)
    assert content.data is not None
    real = replace(content, data=replace(content.data, about=content.data.about | {"provenance": "local"}))
    assert next_step(replace(content, data=None)).startswith("type make submit DATA=path/to/toy.zip")
    assert next_step(content).startswith("type make submit DATA=path/to/toy.zip")
    assert next_step(replace(real, runs=())).startswith("type make submit: it fits networks")
    assert "no blend of them yet" in next_step(replace(real, blend=None))
    assert "nothing was uploaded yet" in next_step(replace(real, submissions=(local,)))
    assert "make score" in next_step(replace(real, submissions=(waiting,)))
    assert "make baseline" in next_step(replace(real, submissions=(sent,), runs=networks))
    assert "BUDGET=30" in next_step(replace(real, submissions=(sent,)))
    assert "BUDGET=40" in next_step(replace(real, submissions=(sent,), budget=10.0))


def test_a_run_of_one_fold_has_no_standard_deviation(content: Content) -> None:
    one = {run.metrics["folds"]: run for run in content.runs}[1]
    assert "(1 fold)" in status.section(replace(content, runs=(one,))).sentences[0]
    [table] = runs.section(content).tables
    folds, sds, refits = (table.columns[name][1] for name in ("folds", "sd", "refits"))
    assert dict(zip(folds, (sd is None for sd in sds), strict=True)) == {1: True, 2: False, 3: False}
    assert dict(zip(folds, refits, strict=True)) == {1: 0, 2: 1, 3: 0}


def test_a_loss_on_harder_images_is_explained(content: Content) -> None:
    run = next(run for run in content.runs if run.is_network)

    def sentences(**model: Any) -> str:
        changed = replace(run, spec=replace(run.spec, model=run.spec.model | model))
        return " ".join(training.section(replace(content, runs=(changed,))).sentences)

    unchanged = dict.fromkeys(run.spec.model["augment"], 0.0)
    assert "their loss is above" not in sentences(label_smoothing=0.0, augment=unchanged)
    assert "their loss is above" in sentences(label_smoothing=0.1, augment=unchanged)
    assert "their loss is above" in sentences(label_smoothing=0.0, augment={"shift": 1.0})
