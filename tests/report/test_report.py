"""The page answers its questions from whatever there is, for everyone, in a real browser."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from playwright.sync_api import Page, expect

from browsing import OpenPage, declared_in, is_accessible
from digits.common.plots import write_pictures
from digits.config import Params, Paths, load_params
from digits.data.dataset import Dataset
from digits.ensemble.blend import make_blend, save_blend
from digits.ensemble.combine import methods
from digits.ensemble.disagreement import draw_uncertain
from digits.ensemble.members import Members
from digits.ensemble.selection import select_method
from digits.evaluation.scoring import ACCURACY, LOG_LOSS
from digits.kaggle.ledger import Ledger
from digits.replication.table import COLUMNS
from digits.report.compared import read, resolve
from digits.report.comparison import pair, sections
from digits.report.gather import Content, gather
from digits.report.page import page, render
from digits.report.scale import Interval, Mark, digits_of, scale
from digits.report.sections import runs, status, training
from digits.report.sections.status import PUBLISHED, next_steps
from digits.training.candidates import baseline_runs
from digits.training.fitting import fit_fold_unit, fit_refit_unit
from digits.training.runs import RunFolder, run_spec
from digits.training.schedule import Fit
from digits.training.tuned import study_of
from toys import ROOT, TOY, Digits, prepare_toy

pytestmark = pytest.mark.slow

SECTIONS = ("status", "runs", "training", "errors", "tuning", "ensemble", "recipes", "data", "environment")
PLANTED = "<script>window.planted = true</script>"


def test_a_page_of_nothing_says_what_to_type(digits: Digits, workspace: Path, opened: OpenPage) -> None:
    made = digits("report")
    assert made.returncode == 0, made.stderr
    page = opened(workspace / "reports" / "index.html")
    assert [section.get_attribute("id") for section in page.locator("main > section").all()] == [*SECTIONS]
    for name in ("runs", "training", "errors", "tuning", "ensemble", "recipes", "data"):
        assert "type make" in page.locator(f"#{name} .missing").inner_text()
    [card] = page.locator("#status .card").all()
    assert card.locator(".value").inner_text() == "make submit DATA=path/to/toy.zip"
    assert page.locator("#status figure").count() == 0
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
    runs = (replace(run, title=run.title + PLANTED * (run.spec == nearest)) for run in gathered.runs)
    return replace(gathered, runs=tuple(runs))


def draw(name: str) -> str:
    plt.subplots()[1].plot([0, 1])
    return f"{name} {PLANTED}"


def written(content: Content, folder: Path) -> Path:
    """The page in a file."""
    file = folder / "index.html"
    file.write_text(render(content, PLANTED, "now"), encoding="utf-8")
    return file


def test_a_full_page_answers_every_question(content: Content, opened: OpenPage, tmp_path: Path) -> None:
    file = written(content, tmp_path)
    assert file.stat().st_size < 6e6
    page = opened(file)
    assert page.locator(".missing").count() == 0
    assert page.locator(".practice").count() == 1
    for name in SECTIONS[:-1]:
        assert page.locator(f"#{name} figure").count() >= 1, name
    for figure in page.locator("figure").all():
        assert len(figure.locator("figcaption").inner_text()) > 10
    for holder in page.locator(".chart").all():
        expect(holder.locator("svg path, svg text").first).to_be_attached()
    for image in page.locator("figure img").all():
        assert image.get_attribute("alt")
    assert page.evaluate("window.planted") is None
    assert PLANTED in page.locator("body").inner_text()
    assert "0.5, " in page.locator("#status table").last.inner_text()
    marks = page.locator("#status figure").first.locator("[aria-roledescription=circle]")
    assert marks.count() >= 4  # expected, guessing, scikit-learn, Kaggle
    assert "4C3" not in page.locator("main").inner_text()  # no run is called by its layers
    assert "learning rate: 0.004 instead of 0.003" in page.locator("#tuning").inner_text()
    is_accessible(page)
    tables_are_sorted_and_filtered_by_clicking(page)


def tables_are_sorted_and_filtered_by_clicking(page: Page) -> None:
    table = page.locator("#runs table")

    def column(place: int) -> list[str]:
        return [row.locator("td").nth(place).inner_text() for row in table.locator("tbody tr:not([hidden])").all()]

    assert len(column(0)) == 4
    assert any(re.fullmatch(r"small · 3 folds · [01]\.\d{4}", name) for name in column(0))
    assert any(re.fullmatch(r"default · 2 folds · [01]\.\d{4}", name) for name in column(0))
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

    def proposed(**parts: Any) -> list[str]:
        return [step.command for step in next_steps(replace(real, **parts))]

    practice = ["make submit DATA=path/to/toy.zip"]
    assert [step.command for step in next_steps(content)] == practice
    assert proposed(data=None) == practice
    assert proposed(runs=()) == proposed(blend=None) == ["make submit"]
    assert proposed(submissions=(local,)) == ["make submit", "make submit BUDGET=30"]
    assert proposed(submissions=(waiting,)) == ["make score", "make submit BUDGET=30"]
    assert proposed(submissions=(sent,), runs=networks) == ["make baseline", "make submit BUDGET=30"]
    assert proposed(submissions=(sent,)) == ["make submit BUDGET=30"]
    assert proposed(submissions=(sent,), budget=10.0) == ["make submit BUDGET=40"]
    assert next_steps(replace(real, gain=0.00042))[-1].cost == "30 min; expected gain 0.0004"


def test_the_published_scores_are_those_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name, score in PUBLISHED:
        rows = [line for line in readme.splitlines() if line.startswith("|") and f"| {score:.4f} |" in line]
        assert any(name.split()[0] in row for row in rows), name


def test_scores_stand_on_the_scale_in_their_order() -> None:
    for metric, values, digits in ((ACCURACY, (1.0, 0.9969, 0.99, 0.1), 4), (LOG_LOSS, (0.0, 0.01, 0.5, 2.3), 2)):
        own = Mark("own", values[1], True, Interval(*sorted((values[0], values[2]))))
        figure = scale("title", [*(Mark(PLANTED, value) for value in values), own], metric, digits)
        spec = declared_in(figure.body)
        [rows] = spec["datasets"].values()
        losses = [row["loss"] for row in rows]
        assert losses == sorted(losses)  # best first
        domain = spec["layer"][0]["encoding"]["x"]["scale"]["domain"]
        assert domain[1] < losses[0] < losses[-1] <= domain[0]  # and on the right
        assert [row["own"] for row in rows].count(True) == 1
        assert PLANTED not in figure.body
    assert [digits_of(Interval(*each)) for each in ((0.9955, 0.998), (0.8, 0.95), (0.2, 0.9), (1.0, 1.0))] == [
        4,
        3,
        2,
        4,
    ]


def test_the_most_confident_errors_are_seen_first_and_can_be_chosen(
    content: Content, opened: OpenPage, tmp_path: Path
) -> None:
    assert content.predictions is not None
    wrong = replace(content.predictions, oof=content.predictions.oof[:, ::-1])  # right for one of three classes at most
    tab = opened(written(replace(content, predictions=wrong), tmp_path))
    images = tab.locator("#status .images button")
    expect(images).to_have_count(12)
    shares = [float(share) for share in re.findall(r", [>]?\s?([\d.]+)\s%", "\n".join(images.all_inner_texts()))]
    assert shares == sorted(shares, reverse=True)
    images.first.press("Enter")
    expect(tab.locator("#status .said tbody tr").first).to_contain_text("blend")
    assert tab.evaluate("window.planted") is None


def test_progress_is_drawn_from_three_submissions_on(content: Content) -> None:
    [line] = content.submissions
    for count in range(5):
        lines = (line,) * count
        card = status.section(replace(content, submissions=lines)).cards[0]
        drawn = "".join(card.lines)
        assert drawn.count('"submission":') == (count if count > 2 else 0)


def test_a_run_of_one_fold_has_no_standard_deviation(content: Content) -> None:
    one = {run.metrics["folds"]: run for run in content.runs}[1]
    assert "1 fold" in status.section(replace(content, runs=(one,), blend=None)).cards[0].lines[0]
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
