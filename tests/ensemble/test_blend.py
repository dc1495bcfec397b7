"""A blend's scores are those of its probabilities, and it is read back as it was written."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from digits.common.sealed import sealed_folder, write_json
from digits.ensemble.blend import load_blend, load_predictions, make_blend, markdown, save_blend
from digits.ensemble.combine import methods
from digits.ensemble.selection import Member, Selection, select_method
from digits.evaluation.expected_score import gain_of_averaging
from digits.evaluation.metrics import accuracy
from digits.evaluation.scoring import LOG_LOSS, MACRO_F1, Metric

pytestmark = pytest.mark.usefixtures("one_blas_thread")
LABELS = np.random.default_rng(0).permutation(np.arange(600) % 3)
FOLDS = (np.arange(600) % 3).astype(np.int8)
HOLDOUT = np.arange(90) % 3
UNITS = {"a": ["fold-0", "refit-1-2"]}


def predict(labels: np.ndarray, skill: float, generator: np.random.Generator) -> np.ndarray:
    logits = generator.normal(size=(len(labels), 3)) + skill * np.eye(3)[labels]
    probabilities: np.ndarray = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return probabilities


def member(name: str, seed: int, models: int = 3) -> Member:
    generator = np.random.default_rng(seed)
    return Member(
        name,
        np.arange(600),
        predict(LABELS, 1.5, generator),
        np.stack([predict(HOLDOUT, 1.5, generator) for _ in range(3)]),
        np.stack([predict(np.zeros(40, int), 1.5, generator) for _ in range(models)]),
    )


def selected(*members: Member) -> Selection:
    return select_method(members, methods(len(members), 20, 0.1), LABELS, FOLDS)


def test_its_scores_are_those_of_its_probabilities() -> None:
    selection = selected(member("a", 1), member("b", 2))
    blend, predictions = make_blend("blend-x", selection, LABELS, HOLDOUT, UNITS)
    assert blend.cv == accuracy(selection.oof, LABELS)
    assert blend.holdout == accuracy(predictions.holdout, HOLDOUT)
    assert np.array_equal(predictions.oof, selection.oof)
    assert np.array_equal(predictions.rows, np.arange(600))
    assert predictions.test.shape == (40, 3)
    held, test = (
        [selection.combination([getattr(member, part)[fold] for member in selection.members]) for fold in range(3)]
        for part in ("holdout", "test")
    )
    single = np.mean([accuracy(one, HOLDOUT).value for one in held])
    gain = np.mean([gain_of_averaging(predictions.test, one) for one in test])
    assert blend.expected.gain == pytest.approx(gain)
    assert blend.expected.gain > 0
    assert blend.expected.value == pytest.approx((600 * blend.cv.value + 90 * single) / 690 + gain)


def test_test_images_are_predicted_by_all_models_and_the_estimate_knows() -> None:
    """Also where a single fold's model is all that there is to count right ones of."""
    few, of_few = make_blend("blend-x", selected(member("a", 1)), LABELS, HOLDOUT, UNITS)
    many, of_many = make_blend("blend-x", selected(member("a", 1, models=12)), LABELS, HOLDOUT, UNITS)
    assert many.expected.gain > few.expected.gain > 0
    assert np.allclose(of_many.test, member("a", 1, models=12).test.mean(axis=0))
    assert not np.array_equal(of_few.test, of_many.test)
    one = replace(member("a", 1, models=12), holdout=member("a", 1).holdout[:1])
    assert make_blend("blend-x", selected(one), LABELS, HOLDOUT, UNITS)[0].expected.gain > 0


def test_a_score_of_a_share_of_the_test_images_is_less_certain() -> None:
    whole, _ = make_blend("blend-x", selected(member("a", 1)), LABELS, HOLDOUT, UNITS)
    share, predictions = make_blend("blend-x", selected(member("a", 1)), LABELS, HOLDOUT, UNITS, public_share=0.25)
    assert share.expected.value == whole.expected.value
    assert share.expected.high - share.expected.low > whole.expected.high - whole.expected.low
    assert len(predictions.test) == 40


def test_it_comes_back_as_it_was_written(tmp_path: Path) -> None:
    blend, predictions = make_blend("blend-x", selected(member("a", 1), member("b", 2)), LABELS, HOLDOUT, UNITS)
    assert load_blend(tmp_path, "blend-x") is None
    save_blend(tmp_path, blend, predictions, b"a picture")
    assert load_blend(tmp_path, "blend-x") == blend
    assert np.array_equal(load_predictions(tmp_path, blend).test, predictions.test)


def test_one_of_another_version_is_refused(tmp_path: Path) -> None:
    blend, _ = make_blend("blend-x", selected(member("a", 1)), LABELS, HOLDOUT, UNITS)
    content = asdict(blend)
    del content["candidates"][0]["loss_gap"]
    with sealed_folder(tmp_path / "blend-x") as folder:
        write_json(folder / "blend.json", content)
    with pytest.raises(TypeError, match="loss_gap"):
        load_blend(tmp_path, "blend-x")


def test_its_page_shows_every_method_and_every_member() -> None:
    blend, _ = make_blend("blend-x", selected(member("a", 1), member("b", 2)), LABELS, HOLDOUT, UNITS)
    page = markdown(blend)
    lines = page.splitlines()
    for method in methods(2, 20, 0.1):
        assert sum(line.startswith((f"| {method} |", f"| **{method}** |")) for line in lines) == 1
    assert f"| **{blend.method}** |" in page
    for name in ("a", "b"):
        assert sum(line.startswith(f"| `{name}` |") for line in lines) == 1
    assert str(blend.expected) in page
    assert "nan" not in page.lower()
    alone = markdown(make_blend("blend-x", selected(member("a", 1)), LABELS, HOLDOUT, UNITS)[0])
    assert alone.startswith("# One member alone\n")


@pytest.mark.parametrize("metric", [LOG_LOSS, MACRO_F1], ids=lambda metric: metric.name)
def test_another_metric_estimates_and_names_all_scores(metric: Metric, tmp_path: Path) -> None:
    members = member("a", 1, models=9), member("b", 2, models=9)
    selection = select_method(members, methods(2, 20, 0.1), LABELS, FOLDS, metric)
    blend, predictions = make_blend("blend-x", selection, LABELS, HOLDOUT, UNITS, metric=metric)
    assert blend.metric == metric.name
    assert blend.cv == metric.score(selection.oof, LABELS)
    assert blend.holdout == metric.score(predictions.holdout, HOLDOUT)
    assert blend.expected.low < blend.expected.value < blend.expected.high
    if metric is LOG_LOSS:  # these test images are all of one class, about which F1 says little
        assert blend.expected.gain < 0
    assert metric.sign * (blend.expected.value - blend.cv.value) > -0.1
    assert np.allclose(predictions.test.sum(axis=1), 1)
    raw = selection.combination([each.test.mean(axis=0) for each in members])
    assert np.array_equal(predictions.test.argmax(axis=1), raw.argmax(axis=1))
    save_blend(tmp_path, blend, predictions, b"a picture")
    assert load_blend(tmp_path, "blend-x") == blend
    page = markdown(blend)
    assert f"{blend.expected} {metric.title}" in page
    assert page.count("lower is better") == (metric is LOG_LOSS)
    assert f"CV {metric.title} alone" in page
    assert "CV accuracy" not in page
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert all(line.count("|") == rows[0].count("|") for line in rows[: 2 + len(blend.candidates)])
