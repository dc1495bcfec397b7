"""Names and wildcards mean what a user expects, and an unknown one names its neighbour."""

import pytest

from digits.common.errors import UserError
from digits.common.matching import select_names

KNOWN = ["mlp-64", "mlp-512", "svm", "svm-deskewed"]


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        ([], KNOWN),
        (["svm"], ["svm"]),
        (["svm*"], ["svm", "svm-deskewed"]),
        (["svm", "mlp-??"], ["mlp-64", "svm"]),
        (["*", "svm"], KNOWN),
    ],
)
def test_what_is_wanted_is_chosen_in_the_known_order(wanted: list[str], chosen: list[str]) -> None:
    assert select_names(wanted, KNOWN, "baseline") == chosen


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(UserError, match=r"^ONLY: there is no baseline 'mlp-513'; did you mean mlp-512\?$"):
        select_names(["svm", "mlp-513"], KNOWN, "baseline")
    with pytest.raises(UserError, match=r"'forest'; valid names: mlp-64, mlp-512, svm, svm-deskewed$"):
        select_names(["forest"], KNOWN, "baseline")
