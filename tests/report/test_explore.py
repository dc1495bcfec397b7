"""Runs, confusions and images can be opened on the page by everyone, in a real browser."""

import base64
import io
import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from browsing import OpenPage, is_accessible
from digits.config import Paths, load_params
from digits.config.section import Augment
from digits.data.dataset import Dataset
from digits.ensemble.blend import BlendPredictions
from digits.evaluation.metrics import accuracy, log_loss
from digits.report.explore import explore, in_words
from digits.report.gather import Content, Run, gather
from digits.report.page import page
from digits.report.sections import errors, runs
from digits.training.candidates import baseline_runs, network_runs, networks
from digits.training.device import Device
from digits.training.runs import run_spec
from toys import ROOT, TOY, prepare_toy

pytestmark = pytest.mark.slow

PLANTED = "</script><script>planted=1</script><b>"
LOG = ("first line", *[f"{PLANTED} {number}" for number in range(18)], "last line")
HISTORY = [
    {"loss": 2.0, "accuracy": 0.5, "learning_rate": 0.1},
    {"loss": float("nan"), "accuracy": 0.75, "valid_loss": 1.0, "valid_accuracy": 0.8, "learning_rate": 0.05},
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    data = prepare_toy(tmp_path_factory.mktemp("project") / "toy")
    return replace(data, about=data.about | {"class_names": [f"{PLANTED}{number}" for number in range(3)]})


def content(data: Dataset, count: int) -> Content:
    """So many runs with random predictions, every third of them a network; markup in the names of runs and params.

    The second run predicts the images of one fold alone. The blend's predictions are their mean.
    """
    params, generator = load_params(ROOT / "params.yaml", TOY), np.random.default_rng(3)
    labels, rows = np.asarray(data.labels), data.working_rows
    small = baseline_runs(params, data)[0]
    network = run_spec("cnn", params.train.spec.model_dump(mode="json"), "/255", params.train.seed, data)
    changed = network.model | {"kernel_initializer": PLANTED}
    made = []
    for number in range(count):
        spec = (network, small, replace(small, name=f"{PLANTED}{number}", model=small.model | {PLANTED: number}))[
            min(number, 2) if number % 3 else 0
        ]
        spec = replace(spec, model=changed) if number == 3 else spec
        own = data.valid_rows(0) if number == 1 else rows
        oof = generator.dirichlet(np.full(data.classes, 0.3), len(own)) + 0.3 * np.eye(data.classes)[labels[own]]
        oof = (oof / oof.sum(axis=1, keepdims=True)).astype(np.float32)
        score = accuracy(oof, labels[own])
        metrics = {"folds": 3, "cv_accuracy": score.value, "cv_low": score.low, "cv_high": score.high, "cv_sd": 0.01}
        metrics |= {"log_loss": log_loss(oof, labels[own]), "size_mb": 0.1, "fit_seconds": 1.0, "predict_seconds": 0.1}
        histories = (HISTORY, HISTORY[:1]) if spec.name == "cnn" else ()
        made.append(Run(spec, f"run-{number}", metrics, histories, own, oof, 1, 0.1 * (number + 1), log=LOG))
    blend = np.mean([run.oof for run in made if len(run.rows) == len(rows)], axis=0)
    none = np.zeros((0, data.classes))
    empty = gather(params, data, Paths(data.folder / "none"))
    return replace(empty, runs=tuple(made), predictions=BlendPredictions(rows, blend, none, none))


def written(content: Content, folder: Path) -> Path:
    path = folder / "index.html"
    parts = [runs.section(content), errors.section(content)]
    path.write_text(page(PLANTED, parts, True, "make report", "now", explore(content)), encoding="utf-8")
    return path


def rows_of(tab: Page) -> Locator:
    return tab.locator("#runs table").first.locator("> tbody > tr:not([hidden]):not(.fold)")


def assert_is_image(thumb: Locator, image: np.ndarray) -> None:
    """The thumb shows the image, ink dark on white."""
    shot = Image.open(io.BytesIO(thumb.screenshot())).convert("L").crop((1, 1, 61, 61))
    pixels = np.asarray(shot).reshape(12, 5, 12, 5)[:, 2, :, 2]
    assert np.abs(pixels.astype(int) + np.asarray(image, int).reshape(12, 12) - 255).max() <= 1


def answer(content: Content, probabilities: np.ndarray) -> list[str]:
    """The two most probable classes, as the page shows them."""
    assert content.data is not None
    order = np.argsort(-probabilities, kind="stable")[:2]
    return [f"{content.data.class_names[each]}, {probabilities[each]:.1%}".replace("%", "\xa0%") for each in order]


def test_runs_are_found_by_their_params_and_folded_out_by_keys(data: Dataset, opened: OpenPage, tmp_path: Path) -> None:
    shown = content(data, 5)
    tab = opened(written(shown, tmp_path))
    found, fold = rows_of(tab), tab.locator("#runs .fold")
    search = tab.locator("#runs input")
    for text, count in (("mlp", 3), ("KERNEL INITIALIZER glorot", 1), (PLANTED, 3), ("no such", 0), ("", 5)):
        search.fill(text)
        expect(found).to_have_count(count)
    button = found.first.locator("button")
    button.focus()
    tab.keyboard.press("Enter")
    assert button.get_attribute("aria-expanded") == "true"
    assert "layers\n4C3 MP2 8" in fold.locator("dl").inner_text()
    assert fold.locator("pre.log").inner_text().split("\n") == [*LOG]
    expect(fold.locator("pre").first).to_have_text(
        'make train SET="train.candidates=[default] train.extra=[] train.epochs=2"'
    )
    layers = [
        [*map(str.strip, row.locator("th, td").all_inner_texts())] for row in fold.locator(".layers tr").all()[1:]
    ]
    assert layers == [  # images of 12 x 12 pixels, 3 classes
        ["image", "12 × 12 × 1", "", ""],
        ["convolution, 4 filters of 3 × 3, padding same", "12 × 12 × 4", "40", "5,184"],
        ["max pooling over 2 × 2", "6 × 6 × 4", "", ""],
        ["fully connected, 8 units", "8", "1,160", "1,152"],
        ["output, one unit per class", "3", "27", "24"],
        ["total", "", "1,227", "6,360"],
    ]
    expect(fold.locator(".chart svg")).to_have_count(2)
    fold.locator(".chart [aria-roledescription=circle]").first.hover(force=True)
    expect(tab.locator("#vg-tooltip-element")).to_contain_text("training")
    fold.locator("summary").last.click()
    assert fold.locator("details tbody tr").nth(1).inner_text().split() == ["2", "1", "0.75", "0.8", "0.05"]
    name = tab.locator("#runs th button").first
    for _ in range(2):  # sorted downwards and upwards, it stays below its run
        name.click()
        assert fold.evaluate("row => row.previousElementSibling.querySelector('[aria-expanded=true]') !== null")
    search.fill("mlp")
    expect(fold).to_be_hidden()
    search.fill("")
    expect(fold).to_be_visible()
    fold.locator(".confusion button").first.click()
    fold.locator(".images button").first.click()
    expect(fold.locator(".said")).to_be_visible()
    is_accessible(tab)
    tab.set_viewport_size({"width": 390, "height": 800})
    box = fold.locator(".explore").bounding_box()
    assert box is not None
    assert box["width"] < 390  # however wide the table is
    tab.locator("#runs [aria-expanded=true]").first.press("Space")
    expect(fold).to_have_count(0)
    assert tab.evaluate("window.planted") is None
    assert tab.locator("main b").count() == 0


def test_a_cell_shows_its_images_and_an_image_what_each_run_says(
    data: Dataset, opened: OpenPage, tmp_path: Path
) -> None:
    shown = content(data, 4)
    assert shown.predictions is not None
    tab, labels = opened(written(shown, tmp_path)), np.asarray(data.labels)
    rows, oof = shown.predictions.rows, shown.predictions.oof
    predicted = oof.argmax(axis=1)
    elsewhere = ~np.isin(rows, shown.runs[1].rows)  # not predicted by this run out of fold
    one = np.flatnonzero((predicted != labels[rows]) & elsewhere)[0]
    true, taken = labels[rows[one]], predicted[one]
    place = [*np.flatnonzero((labels[rows] == true) & (predicted == taken))]
    place.sort(key=lambda each: -oof[each].max())
    cell = tab.locator("#errors .confusion tbody tr").nth(true).locator("td").nth(taken).locator("button")
    assert cell.inner_text() == str(len(place))
    cell.press("Enter")
    assert cell.get_attribute("aria-pressed") == "true"
    images = tab.locator("#errors [data-explore=confusion] .images button")
    assert tab.locator("#errors [role=status]").inner_text().startswith(f"{len(place)} image")
    assert [image.inner_text().split("\n")[0] for image in images.all()] == [f"row {rows[each] + 2}" for each in place]
    first, names = images.nth(place.index(one)), data.class_names
    assert f"label {names[true]}" in first.inner_text()
    assert f"predicted {answer(shown, oof[one])[0]}" in first.inner_text()
    assert_is_image(first.locator(".thumb"), data.images[rows[one]])
    first.press("Enter")
    assert first.get_attribute("aria-expanded") == "true"
    expected = [("blend", oof[one])]
    for run in shown.runs:
        own = np.flatnonzero(run.rows == rows[one])
        expected += [(run.name, run.oof[each]) for each in own]
    lines = tab.locator("#errors .said tbody tr").all()
    cells = [[each.inner_text() for each in line.locator("th, td").all()] for line in lines]
    assert cells == [[name, *answer(shown, probabilities)] for name, probabilities in expected]
    likely = np.log(shown.runs[0].oof.clip(1e-4))  # there is no blend to take the members of
    distances = np.linalg.norm(likely - likely[one], axis=1)
    distances[one] = np.inf
    nearest = rows[np.argsort(distances, kind="stable")[:5]]
    near = tab.locator("#errors .said .near li")
    assert near.all_inner_texts() == [f"row {row + 2}\nlabel {names[labels[row]]}" for row in nearest]
    for item, row in zip(near.all(), nearest, strict=True):
        assert_is_image(item.locator(".thumb"), data.images[row])
    copies = tab.locator("#errors .said .augmented .thumb")
    assert copies.count() == 3
    first.press("Enter")
    expect(tab.locator("#errors .said")).to_have_count(0)
    worst = tab.locator("#errors [data-explore=errors] .images button")
    assert worst.count() == min(32, (predicted != labels[rows]).sum())
    assert tab.evaluate("window.planted") is None


def test_confusions_of_many_classes_are_a_list(data: Dataset, opened: OpenPage, tmp_path: Path) -> None:
    about = data.about | {"classes": 25, "class_names": [f"{PLANTED}{number}" for number in range(25)]}
    tab = opened(written(content(replace(data, about=about), 1), tmp_path))
    pair = tab.locator("#errors .pairs button").first
    expected = int(pair.inner_text().split()[0])
    pair.click()
    expect(tab.locator("#errors [data-explore=confusion] .images button")).to_have_count(expected)
    assert tab.evaluate("window.planted") is None


def test_a_page_of_two_hundred_runs_is_small(data: Dataset, opened: OpenPage, tmp_path: Path) -> None:
    path = written(content(data, 200), tmp_path)
    assert path.stat().st_size < 6e6
    tab = opened(path)
    expect(rows_of(tab)).to_have_count(200)
    rows_of(tab).last.locator("button").click()
    assert tab.locator("#runs .fold .images button").count() == 12


def test_pictures_and_answers_are_limited_whatever_the_images(data: Dataset) -> None:
    generator = np.random.default_rng(0)
    large = generator.integers(0, 256, (900, 96 * 96 * 3), dtype=np.uint8)
    about = data.about | {"image_shape": [96, 96], "channels": 3}
    data = replace(data, images=large, labels=np.tile(data.labels, 5), folds=np.tile(data.folds, 5), about=about)
    shown = content(data, 200)
    shown = replace(shown, runs=tuple(replace(run, log=("x" * 200,) * 20) for run in shown.runs))
    found = explore(shown)
    assert found is not None
    assert found["size"] == (48, 48)
    assert len(json.dumps(found)) < 4.7e6  # the library of charts takes 0.9, tables of 200 runs take 0.4
    assert len(found["images"]) * len(found["runs"]) > 20
    columns, rows = found["grid"]
    sprite = np.asarray(Image.open(io.BytesIO(base64.b64decode(found["sprite"]))).convert("RGB"))
    assert sprite.shape == (48 * rows, 48 * columns, 3)
    row, label = found["images"][-1]
    down, right = divmod(len(found["images"]) - 1, columns)
    tile = sprite[48 * down : 48 * (down + 1), 48 * right : 48 * (right + 1)]
    assert np.array_equal(tile, large[row - 2].reshape(96, 96, 3)[::2, ::2])
    assert label == data.labels[row - 2]


def test_each_image_is_shown_as_the_best_run_that_augments_learns_it(data: Dataset) -> None:
    shown = content(data, 4)
    none = dict.fromkeys(Augment.model_fields, 0.0) | {"flip": False}
    for augment, least in (({"flip": True}, 0), ({"rotation": 10.0}, 0.1)):
        spec = replace(shown.runs[2].spec, model=shown.runs[2].spec.model | {"augment": none | augment})
        plain = replace(shown.runs[0].spec, model=shown.runs[0].spec.model | {"augment": none})
        runs = (replace(shown.runs[0], spec=plain), shown.runs[1], replace(shown.runs[2], spec=spec))
        found = explore(replace(shown, runs=runs))
        assert found is not None
        name, start, count = found["augmented"]
        assert name == runs[2].name
        columns, rows = found["grid"]
        sprite = np.asarray(Image.open(io.BytesIO(base64.b64decode(found["sprite"]))).convert("L"))  # ink is dark
        tiles = (255 - sprite).reshape(rows, 12, columns, 12).swapaxes(1, 2).reshape(-1, 12, 12)
        for place, (row, _) in enumerate(found["images"]):
            image = data.images[row - 2].reshape(12, 12).astype(int)
            copies = tiles[start + count * place : start + count * (place + 1)]
            same = (image, image[:, ::-1]) if "flip" in augment else (image,)
            changes = [min(np.abs(copy - each).mean() for each in same) for copy in copies]
            assert len(changes) == 3
            assert max(changes) < (1 if "flip" in augment else 40)
            assert max(changes) >= least
    assert explore(replace(shown, runs=(shown.runs[1],)))["augmented"] is None  # type: ignore[index]


def test_the_command_fits_the_same_run_while_params_are_the_same(data: Dataset) -> None:
    shown = content(data, 5)
    found = explore(shown)
    assert found is not None
    commands = [run["command"] for run in found["runs"]]
    other = tuple(replace(run, spec=replace(run.spec, seed=7)) for run in shown.runs)
    of_other_seeds = explore(replace(shown, runs=other))
    assert of_other_seeds is not None
    assert {run["command"] for run in of_other_seeds["runs"]} == {""}
    assert commands[1:] == ["make baseline ONLY=small", "", "", ""]
    given = shlex.split(commands[0])
    assert given[:2] == ["make", "train"]
    params = load_params(ROOT / "params.yaml", (*TOY, *given[2].removeprefix("SET=").split()))
    device = Device("CPU", 0, "float32", 128, 1, 1.0, 1)
    planned = network_runs(networks(params)[0], params, data, device).values()
    assert shown.runs[0].spec.folder_name in [run.folder_name for run in planned]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, ""),
        (True, "yes"),
        (0.003, "0.003"),
        ([512, 64], "512, 64"),
        ([], "none"),
        ([{"rotation": 7.0}, {"zoom": 0.1}], "2 views"),
        ({"name": "sgd", "momentum": 0.9, "nesterov": False}, "sgd, momentum 0.9"),
        ({"rotation": 0.0, "flip": False}, "none"),
    ],
)
def test_params_are_words(value: Any, words: str) -> None:
    assert in_words(value) == words
