"""Every published recipe is a configuration of the ordinary models, compared with its published figures."""

import re
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from numpy.typing import NDArray

from digits.common.console import Console
from digits.common.errors import UserError
from digits.common.executors import Processes
from digits.data.dataset import Dataset
from digits.models.architecture import parse_layers
from digits.replication.findings import ranks, sentences
from digits.replication.fits import complete, units
from digits.replication.plots import draw_recipes
from digits.replication.recipe import Recipe, load_recipes, parse
from digits.replication.table import Row, markdown, rows_of, table
from digits.replication.toy_examples import eight_rows, linear_regression, scaled
from digits.replication.unit import Unit, fit_unit
from digits.training.device import Device
from toys import ROOT, Digits, report_content, toy_images

pytestmark = pytest.mark.slow

PUBLISHED = ROOT.parent / "shared" / "RECIPES.md"
THREADS = joblib.cpu_count()  # as all networks that are fitted in this process
DEVICE = Device("CPU", 0, "float32", 128, THREADS, 1.0, 2)
# ids that the document writes otherwise, or several of them in one row
WRITTEN = {
    "first-deep, run 1": ["first-deep-run-1"],
    "first-deep, run 2": ["first-deep-run-2"],
    "tips-drop-10, -20, -30": ["tips-drop-10", "tips-drop-20", "tips-drop-30"],
}


@pytest.fixture(scope="module")
def recipes() -> dict[str, Recipe]:
    return load_recipes()


@pytest.mark.skipif(not PUBLISHED.exists(), reason="needs ../shared/RECIPES.md, the published recipes")
def test_every_published_row_has_a_recipe_with_its_figures(recipes: dict[str, Recipe]) -> None:
    text = PUBLISHED.read_text()
    lines = re.findall(r"^\| ((?:opt|mlp|dense|cnn|first|tips|fashion)-[^|]*?) \|(.*)\|$", text, re.MULTILINE)
    written = {name: line for name, line in lines if name != "id"}
    ids = [each for name in written for each in WRITTEN.get(name, [name])]
    assert len(ids) == 41
    assert set(ids) <= set(recipes)
    for name, line in written.items():
        # in the document's order, which is train, test, score; 0.2612 is a loss
        figures = [float(number) for number in re.findall(r"(?<![\d.])0\.\d{4,5}(?!\d)", line) if number != "0.2612"]
        of_each = [recipes[each] for each in WRITTEN.get(name, [name])]
        assert [value for each in of_each for value in each.published.model_dump(exclude_none=True).values()] == figures
        for each in of_each:
            same_as_written(each, line)


def same_as_written(recipe: Recipe, line: str) -> None:
    """The recipe has the widths, epochs and batch sizes of the document's line."""
    model = recipe.model
    units = model.get("hidden_layer_sizes") or [int(word) for word in model["layers"].split() if word.isdecimal()]
    if sizes := re.search(r"(?<![\d.])(\d+(?:[-,]\d+)+)(?![\d.])", line):
        written = [int(size) for size in re.split("[-,]", sizes[1])]
        assert units[: len(written)] == written, recipe.id
    if steps := re.search(r"\| (\d+), (\d+) \|", line):
        assert (model["epochs"], model["batch_size"]) == (int(steps[1]), int(steps[2])), recipe.id
    for word in ("tanh", "sigmoid", "linear"):
        assert (model["activation"] == word) == (f" {word}" in line), recipe.id
    if "random-uniform" in line:
        assert model["kernel_initializer"] == "random_uniform", recipe.id
    if rate := re.search(r"(RMSprop|Adagrad|Adadelta|Adam|Adamax|Nadam|SGD)\((\d[\d.]*)", line):
        assert (model["optimizer"]["name"], model["learning_rate"]) == (rate[1].lower(), float(rate[2])), recipe.id
    if convolutions := re.findall(r"\d+C\d", line):
        written = [word.removesuffix("v") for word in model["layers"].split() if "C" in word]
        # cnn-b is written as what it adds to cnn-a
        assert written[-2:] == convolutions if recipe.id == "cnn-b" else written == convolutions, recipe.id


def test_bfloat16_takes_the_steps_of_float32_but_for_its_rounding(recipes: dict[str, Recipe]) -> None:
    """From the same weights on the same images: the logits, and the gradient of all weights.

    bfloat16 has 8 binary digits, so each operation rounds by up to 0.4 %, and a few units with a relu or a max-pooling
    choose otherwise. In six layers that adds up to a twentieth of the gradient, in no direction: another batch has
    another gradient by several times as much. docs/experiments/recipes.md compares the accuracies of whole fits.
    """
    from digits.models.cnn.libraries import keras, tf
    from digits.models.cnn.network import LayerSettings, build_network

    model = recipes["cnn-a"].model
    images, labels = toy_images(64, np.random.default_rng(0))
    pixels, classes = (images.reshape(-1, 12, 12, 1) / 256).astype(np.float32), np.eye(3, dtype=np.float32)[labels]
    keras.utils.set_random_seed(0)
    networks = {}
    for precision in ("float32", "mixed_bfloat16"):
        style = LayerSettings(model["activation"], model["kernel_initializer"], 0.0, 0.0, 0.0, precision)
        networks[precision] = build_network(parse_layers(model["layers"]), style, (12, 12), 3)
    networks["mixed_bfloat16"].set_weights(networks["float32"].get_weights())

    def step(precision: str, batch: slice) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        network, loss = networks[precision], keras.losses.CategoricalCrossentropy(from_logits=True)
        with tf.GradientTape() as tape:
            logits = network(pixels[batch], training=True)
            mean_loss = loss(classes[batch], logits)
        gradients = tape.gradient(mean_loss, network.trainable_variables)
        return logits.numpy(), np.concatenate([np.ravel(gradient) for gradient in gradients])

    logits, exact = step("float32", slice(32))
    fast_logits, fast = step("mixed_bfloat16", slice(32))
    other_batch = step("float32", slice(32, 64))[1]
    assert np.abs(fast_logits - logits).max() < 0.1 * logits.std()
    assert fast @ exact / (exact @ exact) == pytest.approx(1, abs=0.02)  # as long a step in the same direction
    error = np.linalg.norm(fast - exact)
    assert 0 < error < 0.1 * np.linalg.norm(exact)
    assert error < 0.5 * np.linalg.norm(other_batch - exact)


def test_only_the_recipe_that_this_is_tested_on_and_those_like_it_may_be_fitted_in_bfloat16(
    recipes: dict[str, Recipe],
) -> None:
    fast = {name for name, recipe in recipes.items() if recipe.model.get("precision") == "auto"}
    assert fast == {name for name in recipes if name.startswith("cnn-")}


def test_ids_are_of_several_sections_and_say_what_differs(recipes: dict[str, Recipe]) -> None:
    assert {recipe.section for recipe in recipes.values()} == {1, 2, 3, 4, 5}
    for recipe in recipes.values():
        assert recipe.description
        assert recipe.tolerance <= 0.02
        assert not recipe.published.test or recipe.why, f"{recipe.id} gives no reason for missing its figure"
    first = [name for name, recipe in recipes.items() if recipe.model["kind"] == "mlp"]
    assert first == [f"mlp-{number}" for number in range(1, 8)]
    assert recipes["mlp-3"].model["hidden_layer_sizes"] == [10, 80, 240, 80, 10]
    assert all(recipes[name].test_size == 0.3 and recipes[name].normalise == "none" for name in first)


def test_the_race_is_run_twice_and_its_network_handed_on_once(recipes: dict[str, Recipe]) -> None:
    names = ["sgd", "rmsprop", "adagrad", "adadelta", "adam", "adamax", "nadam"]
    for suffix in ("", "-fashion"):
        chain = [recipes[f"opt{suffix}-{name}"] for name in names]
        assert [each.after for each in chain] == [None, *[each.id for each in chain[:-1]]]
        fair = [recipes[f"fair{suffix}-{name}"] for name in names]
        assert {each.after for each in fair} == {None}
        assert {each.seeds for each in fair} == {3}
        assert [each.model for each in fair] == [each.model for each in chain]


BASE = {"section": 1, "description": "x", "data": "digits", "test_size": 0.2, "normalise": "/255", "tolerance": 0.01}


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ({"model": {"epochs": 0}}, "file.yaml: odd.model: epochs = 0, but it must be a whole number from 1"),
        ({"model": {"layers": "32Q5"}}, "file.yaml: odd.model: layers: layer 1, '32Q5', is none of the known kinds"),
        ({"model": {"optimizer": "adamm"}}, "file.yaml: odd.model: optimizer.name"),
        ({"model": {}, "test_size": 1.5}, "file.yaml: odd: test_size = 1.5"),
        ({"model": {}, "published": {"test": 97.3}}, "file.yaml: odd: published.test = 97.3"),
        ({"model": {"kind": "mlp", "hidden_layer_sizes": [0]}}, "file.yaml: odd.model: hidden_layer_sizes"),
    ],
)
def test_an_impossible_parameter_is_refused_by_name(
    recipes: dict[str, Recipe], entry: dict[str, Any], fault: str
) -> None:
    base = {"cnn": recipes["first-nn"].model, "mlp": recipes["mlp-1"].model}
    with pytest.raises(UserError, match=re.escape(fault)):
        parse("odd", "group", BASE | entry, base, "file.yaml: odd")


def small(recipe: Recipe, **model: Any) -> Recipe:
    """The recipe with a network that takes a moment."""
    return recipe.model_copy(update={"model": recipe.model | {"batch_size": 16, "epochs": 2} | model})


def test_fits_are_kept_and_handed_on(toy_data: Dataset, recipes: dict[str, Recipe], tmp_path: Path) -> None:
    chosen = [small(recipes[name], layers="8 8") for name in ("opt-sgd", "opt-rmsprop", "opt-adagrad", "fair-sgd")]
    data = {"digits": toy_data}
    chains = units(chosen, data, tmp_path, None, DEVICE)
    assert [[unit.recipe.id for unit in chain] for chain in chains] == [
        ["opt-sgd", "opt-rmsprop", "opt-adagrad"],
        ["fair-sgd"],
        ["fair-sgd"],
        ["fair-sgd"],
    ]
    assert [unit.seed for [unit] in chains[1:]] == [42, 43, 44]
    handed = chains[0]
    assert [unit.start for unit in handed] == [None, handed[0].folder, handed[1].folder]
    assert handed[0].folder == chains[1][0].folder, "the same fit is not done twice"
    for unit in handed:
        fit_unit(unit)
    before, after = (unit.result for unit in handed[:2])
    assert before
    assert after
    assert after["history"][0]["loss"] < before["history"][0]["loss"], "it starts from the weights of the one before"
    written = {unit.folder: unit.folder.stat().st_mtime_ns for unit in handed}
    assert units(chosen, data, tmp_path, None, DEVICE) == chains
    assert {unit.folder: unit.folder.stat().st_mtime_ns for unit in handed} == written
    rows = rows_of(chosen, chains)
    assert [*rows] == ["opt-sgd", "opt-rmsprop", "opt-adagrad", "fair-sgd"]
    assert len(rows["fair-sgd"].units) == 1, "two of its seeds are still to be fitted"


def test_recipes_without_their_data_are_left_out(toy_data: Dataset, recipes: dict[str, Recipe], tmp_path: Path) -> None:
    chosen = [recipes["fashion-sgd"], recipes["first-nn"]]
    assert [unit.recipe.id for [unit] in units(chosen, {"digits": toy_data}, tmp_path, 2, DEVICE)] == ["first-nn"] * 2


def test_what_diverges_is_recorded_and_not_fitted_again(
    toy_data: Dataset, recipes: dict[str, Recipe], tmp_path: Path
) -> None:
    wild = small(recipes["rate-10"], layers="8 8 8", activation="linear").model_copy(update={"normalise": "none"})
    [[unit]] = units([wild], {"digits": toy_data}, tmp_path, None, DEVICE)
    fit_unit(unit)
    assert unit.result
    assert unit.result["test"] is None
    assert "the loss became" in unit.result["diverged"]
    board = table(rows_of([wild], [[unit]]).values())
    assert board["count"].tolist() == [0]
    assert board["diverged"].tolist() == [1]
    assert "| diverged |" in markdown(board)


def row(recipe: Recipe, *values: float | None, train: float = 0.9) -> Row:
    """A recipe whose fits have these accuracies on the test images."""
    where = Path("nowhere")
    fitted = tuple(Unit(recipe, seed, recipe.model, where, where, None) for seed in range(len(values)))
    common = {"train": train, "seconds": 30.0, "history": [], "diverged": ""}
    return Row(recipe, fitted, tuple(common | {"test": value} for value in values))


def test_figures_are_judged_by_their_tolerance(recipes: dict[str, Recipe]) -> None:
    met, missed, unknown = recipes["tips-deep"], recipes["tips-relu"], recipes["cnn-b-20"]
    board = table([row(met, 0.9730, 0.9750), row(missed, 0.9700), row(unknown, 0.99)])
    assert board["within"].tolist() == ["yes", "no", ""]
    assert board["difference"].tolist()[:2] == pytest.approx([-0.0058, -0.0106])
    assert board["sd"][0] == pytest.approx(0.001414, abs=1e-5)
    assert board["count"].tolist() == [2, 1, 1]
    assert board["why"].tolist() == ["", missed.why, ""]
    assert board["minutes"].tolist() == [1.0, 0.5, 0.5]
    shown = markdown(board)
    assert "| tips-deep | 256 five times | test | 0.9798 | 0.9740 (0.0014, 2) | -0.0058 | yes | 1.0 |" in shown
    both = table([row(recipes["cnn-a"], 0.9880, train=0.9990)])
    assert both["figure"].tolist() == ["train", "test"]
    assert both["published"].tolist() == [0.9970, 0.9876]


def test_a_curve_ends_where_a_fit_is_about_to_diverge(
    recipes: dict[str, Recipe], toy_data: Dataset, tmp_path: Path
) -> None:
    """Its last epochs have no accuracy on the test images."""
    steady, wild = ({"loss": 1.0, "accuracy": 0.5, "valid_accuracy": 0.5}, {"loss": 9.0, "accuracy": 0.1})
    rows = {name: row(recipe, 0.9, 0.9) for name, recipe in recipes.items() if name.startswith("overfit-")}
    for fits in rows.values():
        for result, history in zip(fits.results, ([steady, steady], [steady, wild]), strict=True):
            result["history"] = history
    assert "overfitting" in draw_recipes(rows, toy_data, tmp_path, tmp_path / "pictures")


def test_optimizers_are_ranked_and_the_claims_judged(recipes: dict[str, Recipe]) -> None:
    names = ["sgd", "rmsprop", "adagrad", "adadelta", "adam", "adamax", "nadam"]
    rows = {f"fair-{name}": row(recipes[f"fair-{name}"], 0.9 + place / 100) for place, name in enumerate(names)}
    assert ranks(rows, "fair") == names[::-1]
    assert ranks(rows, "opt") == []
    rows |= {f"opt-{name}": row(recipes[f"opt-{name}"], 0.99 - place / 100) for place, name in enumerate(names)}
    rows |= {
        name: row(recipes[name], value)
        for name, value in {"claim-raw": 0.5, "claim-raw-slow": 0.8, "claim-normalised": 0.97}.items()
    }
    raw, race = sentences(rows)
    assert "stalls on unnormalised pixels is true here: the accuracy is 0.5000 on raw pixels" in raw
    assert f"first: {', '.join(names[::-1])}. If each continues with the weights of the one before: sgd, " in race
    assert race.endswith("for nadam, the last one, this makes a difference of -0.0300.")


def test_eight_rows_are_learned_as_published() -> None:
    losses, right = eight_rows(0.1, seed=0, threads=THREADS)
    assert len(losses) == 200
    assert losses[-1] < losses[0]
    assert right == 1.0
    assert eight_rows(10.0, seed=0, threads=THREADS)[0][-1] > losses[-1]


def test_without_scaling_linear_regression_diverges_as_published() -> None:
    for seed in range(5):
        wild = linear_regression("none", seed)
        assert not np.isfinite(wild[6:]).any()
        assert wild[1] > 1e15
        for kind in ("minmax", "standard"):
            losses = linear_regression(kind, seed)
            assert losses[-1] < losses[0] < 20
    assert scaled("minmax").min() == 0
    assert scaled("minmax").max() == 1


def test_three_cheap_recipes_run_on_the_practice_set(digits: Digits, workspace: Path) -> None:
    only = ("--data", "practice", "--only", "first-nn fashion-sgd mlp-1", "--seeds", "1")
    shown = digits("recipes", *only, toy=False)
    assert shown.returncode == 0, shown.stderr
    assert "Fashion-MNIST is not prepared" in shown.stdout
    report = (workspace / "reports" / "recipes.md").read_text()
    assert "**Practice images: these figures mean nothing.**" in report
    lines = (workspace / "reports" / "recipes.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == ["mlp-1", "mlp-1", "first-nn", "first-nn"]
    for name in ("published", "eight-rows", "scaling"):
        assert (workspace / "reports" / "recipes" / f"{name}.png").stat().st_size > 5000
    page = report_content(workspace, toy=False)
    assert page.recipes is not None
    assert [*page.recipes["id"]] == ["mlp-1", "mlp-1", "first-nn", "first-nn"]
    assert {*page.recipe_pictures} >= {"published", "eight-rows", "scaling"}
    again = digits("recipes", *only, toy=False)
    assert "Nothing to do" in again.stdout
    refused = digits("recipes", "--data", "practice", "--only", "first-nnn", toy=False)
    assert refused.returncode == 2
    assert "there is no recipe 'first-nnn'; did you mean first-nn?" in refused.stderr


def test_fits_in_parallel_are_those_of_one_after_the_other(
    toy_data: Dataset, recipes: dict[str, Recipe], tmp_path: Path
) -> None:
    mlp = recipes["mlp-1"].model_copy(update={"model": recipes["mlp-1"].model | {"max_iter": 3}})
    chains = units([mlp], {"digits": toy_data}, tmp_path / "two", 2, DEVICE)
    assert complete(chains, Processes([None] * 2), Console(plain=True)) == 2
    assert complete(chains, Processes([None] * 2), Console(plain=True)) == 0
    alone = units([mlp], {"digits": toy_data}, tmp_path / "one", 2, DEVICE)
    for [unit], [other] in zip(chains, alone, strict=True):
        fit_unit(other)
        assert (np.load(unit.folder / "test.npy") == np.load(other.folder / "test.npy")).all()
