"""What a search found is a candidate of the plan, on the same footing as the others."""

from math import log
from typing import Any

import pytest

from digits.config import Params, load_params, validate
from digits.config.section import overlay
from digits.training.candidates import learning_curves, networks
from digits.tuning.found import network_fragment
from digits.tuning.origin import Origin
from digits.tuning.trial import Pace
from toys import ROOT

OVERRIDES: dict[str, Any] = {"layers": "16C3v MP2 32C3 MP2 64", "optimizer": {"name": "adam"}, "learning_rate": 0.004}


def found(
    params: Params, errors: dict[float, float], share: float, earlier: dict[float, float] | None = None
) -> Params:
    """The params with a network that has twice the epochs of `small` in the same time, and a share of its errors.

    earlier: its share after fewer epochs of `small`.
    """
    origin = Origin("small", params.network("small"), 7.0, Pace(1.0, 1.0, 1000.0), (9.0, 36.0))
    fragment = network_fragment(params, origin, OVERRIDES, 14.0, errors, {7.0: share, **(earlier or {})})
    return validate(Params, overlay(params.model_dump(), fragment), "best.yaml")


def test_it_is_a_network_of_its_own_that_differs_in_what_was_found(params: Params) -> None:
    tuned = found(params, {7.0: 0.004}, 0.75)
    assert tuned.train.candidates == (*params.train.candidates, "tuned")
    network, small = networks(tuned)[0]["tuned"].model_dump(), params.network("small").model_dump()
    differs = {name for name in network if network[name] != small[name]}
    assert differs == {"layers", "optimizer", "learning_rate", "epochs"}
    assert network["epochs"] == round(2.5 * 14)
    assert network["layers"] == OVERRIDES["layers"]


def test_it_makes_a_share_of_the_errors_up_to_some_times_the_length_that_was_compared(params: Params) -> None:
    """The shipped curves of the competition stay as they are, because its errors are relative to the origin's."""
    tuned = found(params, {7.0: 0.010}, 0.8)
    before = learning_curves(params, networks(params)[0])
    after = learning_curves(tuned, networks(tuned)[0])
    assert {name: after[name] for name in before} == before
    for epochs in (4, 7, 14, 17.5):
        own, origins = after["tuned"].measured_error(2 * epochs), before["small"].measured_error(epochs)
        assert own == pytest.approx(0.8 * origins, rel=0.01)
    assert after["tuned"].measured_error(100) == after["tuned"].measured_error(35)


@pytest.mark.parametrize("earlier", [0.4, 0.6, 0.75])
def test_a_gain_that_shrank_from_shorter_fits_to_longer_ones_goes_on_to_shrink(params: Params, earlier: float) -> None:
    """What wins short fits may lose long ones: in twice the time its share of the errors grows as from half of it."""
    tuned = found(params, {7.0: 0.010}, 0.8, {3.5: earlier})
    small = learning_curves(params, networks(params)[0])["small"]
    own = learning_curves(tuned, networks(tuned)[0])["tuned"]
    shares = [own.measured_error(2 * epochs) / small.measured_error(epochs) for epochs in (7, 8)]
    assert shares[0] == pytest.approx(0.8, rel=0.01)
    grown = 0.8 * (0.8 / earlier) ** (log(8 / 7) / log(2))
    assert shares[1] == pytest.approx(min(grown, 0.8 * small.measured_error(7) / small.measured_error(8)), rel=0.01), (
        "a longer fit of it counts as no worse than a shorter one"
    )


def test_where_nothing_was_measured_both_curves_follow_a_power_of_the_epochs() -> None:
    """Half the errors in four times the epochs: so the next quarter fewer come with 1.78 times as many."""
    params = load_params(ROOT / "params.yaml", ["competition.slug=clothes"])
    tuned = found(params, {2.0: 0.20, 8.0: 0.10}, 0.8, {2.0: 0.8})
    after = learning_curves(tuned, networks(tuned)[0])
    for epochs in (2, 4, 8, 14, 17.5):
        assert after["small"].measured_error(epochs) == pytest.approx(0.2 * (epochs / 2) ** -0.5, rel=0.03)
        assert after["tuned"].measured_error(2 * epochs) == pytest.approx(0.16 * (epochs / 2) ** -0.5, rel=0.03), (
            "in whole epochs"
        )


@pytest.mark.parametrize(
    ("errors", "share", "earlier"),
    [
        ({2.0: 0.9, 6.0: 0.0002}, 0.5, 0.9),  # images that are learned at once
        ({2.0: 0.001, 6.0: 0.9}, 0.9, 0.0001),  # the origin has diverged
        ({2.0: 0.9, 6.0: 0.9}, 0.999, 0.001),
    ],
)
def test_whatever_was_seen_the_params_are_valid(errors: dict[float, float], share: float, earlier: float) -> None:
    params = load_params(ROOT / "params.yaml", ["competition.slug=clothes"])
    tuned = found(params, errors, share, {2.0: earlier})
    curves = learning_curves(tuned, networks(tuned)[0])
    assert all(0 < curves["tuned"].measured_error(epochs) <= 1 for epochs in (1, 6, 15, 40))


def test_a_gain_that_grew_is_not_taken_to_grow_further(params: Params) -> None:
    found_at_once, grown = (found(params, {7.0: 0.010}, 0.8, {3.5: earlier}) for earlier in (0.8, 1.1))
    curves = [learning_curves(each, networks(each)[0])["tuned"] for each in (found_at_once, grown)]
    assert curves[0] == curves[1]


def test_on_another_competition_all_curves_are_moved_to_the_errors_that_were_seen() -> None:
    """So the networks that were not measured there compare with the one that was found."""
    params = load_params(ROOT / "params.yaml", ["competition.slug=clothes"])
    tuned = found(params, {7.0: 0.10}, 0.8)
    before = learning_curves(params, networks(params)[0])
    after = learning_curves(tuned, networks(tuned)[0])
    assert after["small"].measured_error(7.0) == pytest.approx(0.10, rel=0.01)
    assert after["tuned"].measured_error(14.0) == pytest.approx(0.08, rel=0.01)
    ratios = [curves["medium"].measured_error(14) / curves["small"].measured_error(14) for curves in (before, after)]
    assert ratios[0] == pytest.approx(ratios[1], rel=0.01)


def test_where_longer_fits_gain_less_than_elsewhere_all_curves_are_flatter() -> None:
    params = load_params(ROOT / "params.yaml", ["competition.slug=clothes"])
    tuned = found(params, {4.0: 0.105, 14.0: 0.10}, 0.8)
    after = learning_curves(tuned, networks(tuned)[0])
    assert after["small"].measured_error(4) == pytest.approx(0.105, rel=0.01)
    assert after["small"].measured_error(14) == pytest.approx(0.10, rel=0.01)
    assert 1 < after["medium"].measured_error(8) / after["medium"].measured_error(26) < 1.05


def test_a_network_that_was_named_gives_way_to_what_was_found() -> None:
    params = load_params(ROOT / "params.yaml", ["train.network=small"])
    origin = Origin("small", params.train.spec, 7.0, Pace(1.0, 1.0, 1000.0), (9.0, 36.0))
    fragment = network_fragment(params, origin, OVERRIDES, 7.0, {7.0: 0.004}, {7.0: 0.75})
    tuned = validate(Params, overlay(params.model_dump(), fragment), "best.yaml")
    [(name, network)] = networks(tuned)[0].items()
    assert (name, network.layers, network.epochs) == ("tuned", OVERRIDES["layers"], round(2.5 * 7))
    assert network.label_smoothing == params.train.spec.label_smoothing
