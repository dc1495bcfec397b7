"""The page computes what Keras computes, and reads what is drawn, in a real browser."""

import re
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from browsing import OpenPage, is_accessible
from digits.common.errors import UserError
from digits.config.networks import Activation
from digits.demo.build import best_network, contents, inside_of, render
from digits.demo.framing import framing
from digits.demo.network import ACTIVATIONS, Packed, operations
from digits.demo.sample import Sure, sure_from, to_try, typical
from digits.ensemble.application import FittedBlend
from digits.ensemble.blend import Blend
from digits.ensemble.selection import Contribution
from digits.evaluation.expected_score import Estimate
from digits.evaluation.metrics import Accuracy
from digits.models import TaskSpec
from digits.models.preprocessing import Normaliser
from digits.training.applying import FittedUnit
from digits.training.runs import RunSpec
from toys import Digits

pytestmark = pytest.mark.slow
PLANTED = "<script>window.planted = true</script>"
IMAGES = 200


def until(page: Page, expression: str) -> None:
    """Wait until JavaScript is true; Playwright's own way would be stopped by the page's Content-Security-Policy."""
    for _ in range(100):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"it never is: {expression}")


def random_network(spec: dict[str, Any], task: TaskSpec, images: np.ndarray) -> Any:
    """A network whose weights and statistics are drawn at random, and that is often sure and often not."""
    from digits.models.cnn.classifier import CnnClassifier, _network

    generator = np.random.default_rng(4)
    model = CnnClassifier(spec, task, 0)
    model.normaliser_ = Normaliser(task.normalise).fit(images)
    model.model_ = _network(spec, task)
    for layer in model.model_.layers:
        if type(layer).__name__ != "ByteDropout":
            drawn = [generator.normal(0, 1, each.shape) / each.shape[-1] ** 0.5 for each in layer.get_weights()]
            if "Normalization" in type(layer).__name__:
                drawn = [0.5 + each**2 for each in drawn]  # a variance is above 0
            layer.set_weights(drawn)
    model.temperature_ = 1.0
    logits = np.log(np.maximum(model.probabilities(images), 1e-30))
    final = model.model_.get_layer("logits")
    final.bias.assign(final.bias - logits.mean(axis=0) + logits.mean())  # every class is the answer for some images
    logits = np.log(np.maximum(model.probabilities(images), 1e-30))
    model.temperature_ = float(logits.std(axis=1).mean() / 3)
    return model


def page_of(model: Any, task: TaskSpec, images: np.ndarray, sure: float = 0.5) -> str:
    height, width = task.image_shape
    names = [f"{PLANTED}{number}" for number in range(task.classes)]
    about = {"image_shape": [height, width], "channels": task.channels, "class_names": names}
    content, pixels, blobs = contents(inside_of(model, about, images), about, images[:150], labels(150), images[150:])
    said = {"run": PLANTED, "layers": model.spec["layers"], "trained": "no", "averaged": True, "practice": True}
    figures = {"cv": Accuracy(0.9, 0.8, 0.95, 100), "sure": Sure(sure, 0.9, 0.01)}
    return render(content | {"sure": sure}, blobs | {"images": pixels}, slug=PLANTED, **said, **figures)


def labels(count: int) -> np.ndarray:
    return np.arange(count) % 5


NETWORKS = (
    ("6C3v BN MP2 8C3 MP2 BN D0.3 16", "relu", TaskSpec((14, 12), 5, "standard")),
    ("6C4 AP2 BN 8C5s2 8C2s2v GAP BN", "gelu", TaskSpec((15, 13), 5, "minmax", 3)),
    ("16 BN 12 RELU", "leaky_relu", TaskSpec((6, 9), 5, "/255")),
)


@pytest.mark.parametrize(("layers", "activation", "task"), NETWORKS, ids=["relu", "gelu", "dense"])
def test_the_page_computes_what_keras_computes(
    layers: str, activation: str, task: TaskSpec, toy_spec: dict[str, Any], opened: OpenPage, tmp_path: Path
) -> None:
    spec = toy_spec | {"layers": layers, "activation": activation}
    size = task.image_shape[0] * task.image_shape[1] * task.channels
    generator = np.random.default_rng(1)
    power = generator.uniform(0.2, 3, (IMAGES, 1, task.channels))  # so that some images are brighter, or of one colour
    values = generator.uniform(0, 1, (IMAGES, size // task.channels, task.channels)) ** power
    darkest = generator.uniform(0, 80, size)
    images = (darkest + (255 - darkest) * values.reshape(IMAGES, size)).astype(np.uint8)
    model = random_network(spec, task, images)
    expected = model.probabilities(images)
    assert 0.4 < expected.max(axis=1).mean() < 0.98
    assert len(set(expected.argmax(axis=1))) >= 3
    file = tmp_path / "index.html"
    file.write_text(page_of(model, task, images), encoding="utf-8")
    page = opened(file)
    found = np.array(page.evaluate("images => images.map(i => [...network.look(i).probabilities])", images.tolist()))
    assert np.abs(found - expected).max() < 0.01
    features = np.array(page.evaluate("images => images.map(i => [...network.look(i).features])", images.tolist()))
    hidden = inside_of(model, {"image_shape": task.image_shape, "channels": task.channels}, images).features
    assert np.allclose(features, hidden, atol=0.01 * np.abs(hidden).max())
    top = np.sort(expected, axis=1)
    clear = top[:, -1] - top[:, -2] > 0.02
    assert clear.mean() > 0.9
    assert np.array_equal(found.argmax(axis=1)[clear], expected.argmax(axis=1)[clear])
    assert page.locator("#pad").count() == (task.channels == 1)
    page.locator("#tried button").first.press("Enter")
    page.locator("#shown").wait_for()
    assert page.evaluate("now.length") == size
    assert page.locator("#bars li").count() == task.classes
    if "C" in layers:
        page.locator("summary").click()
        assert page.locator("#filters li").count() == int(layers[0])
        until(page, "[...document.querySelectorAll('#filters canvas')].every(each => each.width < 20)")
    else:
        assert page.locator("#inside").is_hidden()
    assert page.evaluate("window.planted") is None
    assert PLANTED in page.locator("body").inner_text()
    is_accessible(page)
    every_activation_is_that_of_keras(page)


def every_activation_is_that_of_keras(page: Page) -> None:
    from digits.models.cnn.libraries import keras

    assert set(ACTIVATIONS) == set(get_args(Activation))
    points = np.linspace(-6, 6, 121)
    for name in set(ACTIVATIONS) - {"linear"}:
        found = page.evaluate(f"points => points.map(ACTIVATIONS.{name})", points.tolist())
        expected = np.asarray(keras.activations.get(name)(points.astype(np.float32)))
        assert np.allclose(found, expected, atol=1e-5), name


def test_what_the_browser_could_not_compute_is_named() -> None:
    with pytest.raises(UserError, match="layer of kind LSTM"):
        operations([("Flatten", {}, []), ("LSTM", {}, [])], Packed())
    with pytest.raises(UserError, match="activation 'softplus'"):
        operations([("Activation", {"activation": "softplus"}, [])], Packed())


def test_weights_of_any_size_are_kept_as_they_are() -> None:
    packed = Packed()
    arrays = [np.array(values, np.float32) for values in ([1e-9, -3e-10], [3e8, 1.0], [0.0], [255.0, 254.0, 7.0])]
    places = [packed.add(array) for array in arrays]
    halves = np.frombuffer(packed.content(), "<f2").astype(np.float64)
    for array, place in zip(arrays, places, strict=True):
        start, length = int(place["start"]), int(place["length"])
        found = halves[start : start + length] * place["times"]
        assert np.abs(found - array).max() <= np.abs(array).max() / 2048
    assert np.array_equal(found, array)


def lines(generator: np.random.Generator, width: float, count: int = 200) -> np.ndarray:
    """Upright light bars of a width, 20 of 28 pixels high, at the centre of the image, antialiased."""
    images = np.zeros((count, 28, 28))
    left, right = (28 - width) / 2, (28 + width) / 2
    columns = np.clip(np.arange(1, 29) - left, 0, 1) - np.clip(np.arange(1, 29) - right, 0, 1)
    images[:, 4:24] = columns * generator.uniform(0.9, 1, (count, 1, 1))
    return (255 * images).astype(np.uint8)


@pytest.mark.parametrize("width", [2.0, 3.5])
def test_the_framing_is_measured_on_the_training_images(width: float) -> None:
    images = lines(np.random.default_rng(0), width)
    found = framing(images)
    assert found.light
    assert found.centred
    assert found.box == 20
    assert found.stroke == pytest.approx(width, rel=0.15)
    assert found.centre == pytest.approx((14, 14), abs=0.01)
    dark = framing(255 - images)
    assert not dark.light
    assert dark.stroke == pytest.approx(found.stroke)
    assert framing(np.roll(images, 7, axis=2)).centre == pytest.approx((14, 21), abs=0.01)
    assert not framing(np.random.default_rng(0).integers(0, 256, (50, 28, 28)).astype(np.uint8)).centred


def test_few_sure_answers_are_wrong() -> None:
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 4, 5000)
    logits = generator.normal(0, 1, (5000, 4)) + 6 * generator.uniform(0, 1, (5000, 1)) * np.eye(4)[truth]
    oof = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = sure_from(oof, truth)
    sure = oof.max(axis=1) >= found.level
    wrong = oof.argmax(axis=1) != truth
    assert wrong.mean() > 0.1
    assert 0 < wrong[sure].mean() <= 0.01
    assert found == Sure(found.level, sure.mean(), wrong[sure].mean())
    assert wrong[oof.max(axis=1) >= found.level - 0.02].mean() > found.wrong
    perfect = sure_from(np.eye(4)[truth], truth)
    assert perfect == Sure(0.5 if perfect.level == 0.5 else 0.999, 1, 0)


def test_the_alike_images_are_well_predicted_and_unlike_each_other() -> None:
    generator = np.random.default_rng(0)
    truth = np.repeat(np.arange(3), 60)
    features = truth[:, None] + np.repeat(np.tile(np.arange(6), 30), 1)[:, None] * [[10.0, 0.0]]
    features = features + generator.normal(0, 0.01, features.shape)
    probabilities = 0.9 * np.eye(3)[truth] + 0.1 / 3
    probabilities[::7] = probabilities[::7, ::-1]  # the middle class stays right
    chosen = typical(features, probabilities, truth, 18, 0)
    assert np.array_equal(probabilities[chosen].argmax(axis=1), truth[chosen])
    assert np.bincount(truth[chosen]).tolist() == [6, 6, 6]
    for label in range(3):
        assert len(np.unique(np.round(features[chosen[truth[chosen] == label], 0], -1))) >= 4
    tried = to_try(probabilities, 24)
    assert set(probabilities[tried].argmax(axis=1)) == {0, 1, 2}
    assert len(set(tried)) == len(tried)


def test_a_centred_drawing_is_the_same_image_wherever_and_however_large_it_is(
    toy_spec: dict[str, Any], opened: OpenPage, tmp_path: Path
) -> None:
    task = TaskSpec((28, 28), 5, "/255")
    images = lines(np.random.default_rng(0), 2.5).reshape(IMAGES, -1)
    model = random_network(toy_spec | {"layers": "4C3s2 GAP"}, task, images)
    file = tmp_path / "index.html"
    file.write_text(page_of(model, task, images), encoding="utf-8")
    page = opened(file)
    assert page.locator("#file").count() == 0
    shape: list[list[list[float]]] = [[[4 + 0.5 * step, 4 + step] for step in range(20)], [[4, 4], [15, 4]]]

    def image(times: float, right: float, down: float) -> Any:
        moved = [[[x * times + right, y * times + down] for x, y in stroke] for stroke in shape]
        drawn = page.evaluate("strokes => [...imageOf(strokes, content)]", moved)
        return np.array(drawn).reshape(28, 28) / 255

    first = image(1, 0, 0)
    for times, right, down in ((0.5, 1, 3), (0.3, 15, 15), (1.1, -3, -2)):
        assert np.abs(image(times, right, down) - first).max() < 0.02
    middle = np.arange(28) + 0.5
    assert first.sum(axis=1) @ middle / first.sum() == pytest.approx(14, abs=0.1)
    assert first.sum(axis=0) @ middle / first.sum() == pytest.approx(14, abs=0.1)
    assert np.ptp(np.flatnonzero((first > 0.5).any(axis=1))) + 1 == pytest.approx(20, abs=1)
    stroke = page.evaluate("content.framing.stroke")
    times = (20 - stroke) / 19  # of the first stroke, 19 pixels high
    assert first.sum() == pytest.approx(stroke * times * (19 * 1.25**0.5 + 11), rel=0.1)


def touch(page: Page, points: list[tuple[float, float]]) -> None:
    """Draw by a finger."""
    session = page.context.new_cdp_session(page)
    for kind, (x, y) in zip(["touchStart", *["touchMove"] * (len(points) - 1)], points, strict=True):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


@pytest.fixture
def toy_page(digits: Digits, workspace: Path, toy_files: Path, opened: OpenPage) -> Page:
    """What make demo writes after make submit."""
    assert "there is no blend of toy yet" in digits("demo").stderr
    longer = ("train.epochs=12", "train.learning_rate=0.02")
    assert digits("submit", f"--data={toy_files}", also=longer).returncode == 0
    made = digits("demo")
    assert made.returncode == 0, made.stderr
    assert "demo/index.html, 0." in made.stdout
    refused = digits("demo", "--blend=blend-x")
    assert refused.returncode == 2
    assert "there is no blend blend-x" in refused.stderr
    page = opened(workspace / "demo" / "index.html")
    run = next((workspace / "runs").glob("cnn-*/"))
    assert f"{run.name}/fold-0" in made.stdout
    assert f"{run.name}/fold-0" in page.locator("main").inner_text()
    return page


def test_the_toy_competition_is_read_as_it_is_drawn(toy_page: Page, tmp_path: Path) -> None:
    page = toy_page
    answer = page.locator("#answer")
    assert answer.inner_text() == "What is it?"
    box = page.locator("#pad").bounding_box()
    assert box

    def bar(third: int) -> list[tuple[float, float]]:
        height = box["y"] + (third + 0.5) * box["height"] / 3
        return [(box["x"] + share * box["width"], height) for share in (0.2, 0.4, 0.6, 0.8)]

    def guess() -> int:
        page.evaluate("new Promise(shown => requestAnimationFrame(() => requestAnimationFrame(shown)))")
        return int(page.locator("#bars .best span").first.inner_text())

    start, *others = bar(0)
    page.mouse.move(*start)
    page.mouse.down()
    for point in others:
        page.mouse.move(*point)
    page.mouse.up()
    assert guess() == 0
    page.get_by_role("button", name="Clear").press("Enter")
    expect(answer).to_have_text("What is it?")
    touch(page, bar(2))
    assert guess() == 2
    before = page.evaluate("[...now]")
    touch(page, bar(1))
    assert page.evaluate("[...now]") != before
    page.get_by_role("button", name="Undo").click()
    assert guess() == 2
    assert page.evaluate("[...now]") == before
    assert page.evaluate("scrollY") == 0
    expect(page.locator("#told")).to_have_text(re.compile("^(2, |not sure: 2)"))
    samples = page.locator("#tried button")
    assert samples.count() >= 3
    samples.nth(1).focus()
    page.keyboard.press("Enter")
    assert guess() == 1
    middle = "part('pad').getContext('2d').getImageData(280, 210, 1, 1).data[0]"
    assert page.evaluate(f"{middle} === now[12 * 4 + 6]")  # the pad shows it
    picture = np.zeros((60, 60, 3), np.uint8)
    picture[5:15, 10:50] = (200, 210, 220)
    Image.fromarray(picture).save(tmp_path / "picture.png")
    page.set_input_files("#file", tmp_path / "picture.png")
    until(page, "now[12 * 2 + 6] > 150")
    assert guess() == 0
    is_accessible(page)


def test_the_best_network_is_used_and_a_refit_of_it_where_there_is_one() -> None:
    score, estimate = Accuracy(0.9, 0.8, 0.95, 100), Estimate(0.9, 0.8, 0.95, 0.0, 0.0)

    def best(metric: str, **scores: float) -> str:
        members = [Contribution(name, each, 0.9, 0.1, 0.5, 0.0, 0.0) for name, each in scores.items()]
        units = {
            name: [fitted(name, "cnn" if name.startswith("cnn") else "knn", fit) for fit in ("fold-0", "refit-1-2")]
            for name in scores
        }
        units["cnn-folds"] = [fitted("cnn-folds", "cnn", "fold-1"), fitted("cnn-folds", "cnn", "fold-2")]
        members.append(Contribution("cnn-folds", 0.5, 0.9, 0.1, 0.5, 0.0, 0.0))
        blend = Blend("blend-toy", "mean", metric, score, score, estimate, [], members, {}, {})
        return best_network(FittedBlend(blend, {}, units)).title

    def fitted(run: str, kind: str, unit: str) -> FittedUnit:
        return FittedUnit(Path(run) / unit, RunSpec(run, {"kind": kind}, "/255", 0, "data", "code"))

    assert best("accuracy", **{"cnn-a": 0.8, "cnn-b": 0.9, "knn": 0.95}) == "cnn-b/refit-1-2"
    assert best("log-loss", **{"cnn-a": 0.3, "cnn-b": 0.9, "knn": 0.1}) == "cnn-a/refit-1-2"
    assert best("accuracy", knn=0.95) == "cnn-folds/fold-1"
    blend = Blend("blend-toy", "mean", "accuracy", score, score, estimate, [], [], {}, {})
    with pytest.raises(UserError, match="blend-toy has no network"):
        best_network(FittedBlend(blend, {}, {"knn": [fitted("knn", "knn", "fold-0")]}))
