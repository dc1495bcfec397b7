"""The page answers its questions from whatever there is, for everyone, in a real browser."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from digits.common.files import read_json, write_json
from digits.config import Paths, load_params
from digits.data.dataset import load_dataset
from digits.evaluation.reliability import reliability
from digits.kaggle.ledger import Ledger
from digits.report.gather import gather
from digits.report.layout import Section
from digits.report.sections import next_step, sections
from digits.training.tuned import study_of
from toys import MINUTES, ROOT, SMALL, TOY, Digits, write_toy_files

SECTIONS = ("where", "tried", "training", "wrong", "tuning", "ensemble", "study", "data", "environment")
PLANTED = "<script>window.planted = true</script>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("there is no Chromium, and tools/browser.sh could not install it")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def opened(browser: Browser) -> Iterator[Any]:
    """Opens a page, and looks that it asks nobody for anything and complains of nothing."""
    heard: list[str] = []
    page = browser.new_page(viewport={"width": 1100, "height": 900})
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("request", lambda request: heard.append(request.url))

    def look(path: Path) -> Page:
        page.goto(path.resolve().as_uri())
        return page

    yield look
    assert [text for text in heard if not text.startswith(("file://", "data:"))] == []
    assert len([text for text in heard if text.startswith("file://")]) == 1
    page.close()


def no_way_is_barred(page: Page) -> None:
    """No violation of accessibility that axe calls serious, in light and dark, wide and narrow."""
    for colours in ("light", "dark"):
        page.emulate_media(color_scheme=colours)
        found = Axe().run(page).response["violations"]
        serious = [each for each in found if each["impact"] in ("serious", "critical")]
        assert [(each["id"], each["nodes"][0]["html"][:200]) for each in serious] == []
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.set_viewport_size({"width": 1100, "height": 900})


def test_a_page_of_nothing_says_what_to_type(digits: Digits, workspace: Path, opened: Any) -> None:
    made = digits("report")
    assert made.returncode == 0, made.stderr
    page = opened(workspace / "reports" / "index.html")
    assert [each.get_attribute("id") for each in page.locator("main > section").all()] == [*SECTIONS]
    for name in ("tried", "training", "wrong", "tuning", "ensemble", "study", "data"):
        assert "type make" in page.locator(f"#{name} .missing").inner_text()
    assert "What to do next: type make submit DATA=" in page.locator("#where").inner_text()
    no_way_is_barred(page)


@pytest.fixture
def full(digits: Digits, workspace: Path) -> Path:
    """The page of a whole practice run, from baselines to a study, and a score; with markup in every name."""
    names = ", ".join(f'"{PLANTED}{number}"' for number in range(10))
    planted = (f"submit.message={PLANTED.replace(' ', '')}", f"competition.class_names=[{names}]")
    also = (*SMALL, "data.folds=2", "tune.n_trials=3", "tune.seeds=1", MINUTES, *planted)
    for stages in (
        ("baseline", "--data", "practice"),
        ("submit",),
        ("tune",),
        ("recipes", "--only", "opt-simple rate-0.1 rate-1"),
    ):
        shown = digits(*stages, toy=False, also=also)
        assert shown.returncode == 0, shown.stderr
    ledger = Ledger(workspace / "submissions" / "ledger.csv")
    [line] = ledger.lines()
    ledger.append(line | {"file": PLANTED, "public_score": "0.5", "ref": "7"}, "scored", line["time"])
    reports = workspace / "reports"
    titles = read_json(reports / "study" / "titles.json")
    titles["titles"]["rates"] += PLANTED
    write_json(reports / "study" / "titles.json", titles)
    study = pd.read_csv(reports / "study.csv")
    study["recipe"] += PLANTED
    study.to_csv(reports / "study.csv", index=False)
    [folder] = (workspace / "data" / "processed").iterdir()
    params = load_params(workspace / "params.yaml", also)
    found = study_of(params, load_dataset(folder), workspace / "runs" / "tune", "train")
    found.save({"learning_rate": 0.004, "initializer": PLANTED}, "found")
    for path in (workspace / "runs").glob("knn-*/run.json"):
        write_json(path, read_json(path) | {"name": PLANTED})
    made = digits("report", toy=False, also=also)
    assert made.returncode == 0, made.stderr
    return reports / "index.html"


def test_a_full_page_answers_every_question(full: Path, opened: Any) -> None:
    assert full.stat().st_size < 5e6
    page = opened(full)
    assert page.locator(".missing").count() == 0
    for name in SECTIONS[:-1]:
        assert page.locator(f"#{name} figure").count() >= 1, name
    for figure in page.locator("figure").all():
        assert len(figure.locator("figcaption").inner_text()) > 10
        told = figure.locator("[role=img]").or_(figure.locator("img"))
        assert told.get_attribute("aria-label") or told.get_attribute("alt")
    assert page.evaluate("window.planted") is None and PLANTED in page.locator("body").inner_text()
    assert "0.5, " in page.locator("#where table").inner_text()
    assert "learning rate: 0.004 in place of 0.003" in page.locator("#tuning").inner_text()
    no_way_is_barred(page)
    tables_are_sorted_and_filtered_by_clicking(page)


def tables_are_sorted_and_filtered_by_clicking(page: Page) -> None:
    table = page.locator("#tried table")

    def column(place: int) -> list[str]:
        return [row.locator("td").nth(place).inner_text() for row in table.locator("tbody tr:not([hidden])").all()]

    assert len(column(0)) == 3 and "small" in column(0)
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


def test_the_next_step_follows_from_what_there_is(digits: Digits, workspace: Path) -> None:
    paths, params = Paths(workspace), load_params(ROOT / "params.yaml", TOY)
    found = gather(params, None, paths)
    assert next_step(found).startswith("type make submit DATA=path/to/toy.zip")
    write_toy_files(workspace / "data" / "raw")
    assert digits("train").returncode == 0
    [folder] = paths.processed.iterdir()
    data = load_dataset(folder)
    without = replace(gather(params, data, paths), runs=())
    assert next_step(without).startswith("type make submit: it fits networks")
    assert "no blend of them yet" in next_step(gather(params, data, paths))
    assert digits("submit").returncode == 0
    done = gather(params, data, paths)
    assert "nothing was uploaded yet" in next_step(done)
    [line] = done.submissions
    assert "make score" in next_step(replace(done, submissions=(line | {"state": "uploaded", "ref": "7"},)))
    sent = replace(done, submissions=(line | {"state": "scored", "ref": "7"},))
    assert "make baseline" in next_step(sent)
    assert digits("baseline").returncode == 0
    assert "BUDGET=" in next_step(replace(gather(params, data, paths), submissions=sent.submissions))


def test_a_run_of_one_fold_has_no_spread_and_its_loss_is_explained_where_it_learned_from_harder_images(
    digits: Digits, workspace: Path
) -> None:
    write_toy_files(workspace / "data" / "raw")
    assert digits("train").returncode == 0
    [folder] = (workspace / "data" / "processed").iterdir()
    found = gather(load_params(ROOT / "params.yaml", TOY), load_dataset(folder), Paths(workspace))
    [run] = found.runs

    def shown(**changed: Any) -> dict[str, Section]:
        changed_run = replace(run, spec=replace(run.spec, model=run.spec.model | changed))
        return {each.id: each for each in sections(replace(found, runs=(changed_run,)), "")}

    plain = shown(label_smoothing=0.0, augment=dict.fromkeys(run.spec.model["augment"], 0.0))
    assert "(1 fold)" in plain["where"].sentences[0]
    [table] = plain["tried"].tables
    assert dict(zip(table.columns, table.rows[0], strict=True))["spread"] is None
    for harder in (shown(label_smoothing=0.1), shown(label_smoothing=0.0, augment={"shift": 1.0})):
        assert "their loss is above" in " ".join(harder["training"].sentences)
    assert "their loss is above" not in " ".join(plain["training"].sentences)


def test_confidence_is_held_against_being_right() -> None:
    labels = np.zeros(1000, np.int64)
    sure = np.tile([0.9, 0.1], (1000, 1))
    sure[:100] = [0.1, 0.9]  # a tenth is wrong, as said
    found = reliability(sure, labels)
    assert found.error == pytest.approx(0.18) and found.count.sum() == 1000  # bins of equal confidence are not alike
    mixed = reliability(np.random.default_rng(0).permutation(sure), labels)
    assert mixed.error < 0.05 and mixed.confidence == pytest.approx(np.full(10, 0.9))
    assert reliability(np.eye(2)[labels], labels).error == 0
