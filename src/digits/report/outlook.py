"""What more minutes are expected to bring, as far as it can be told without a fit or a measurement."""

from collections.abc import Iterator
from contextlib import contextmanager

from digits.common.console import Console
from digits.common.errors import UserError
from digits.config import Params, Paths
from digits.data.dataset import Dataset
from digits.training.budget import make_plan
from digits.training.device import measured_device
from digits.training.tuned import tuned_params


class _NoMeasurement(Console):
    """Refuses to wait for the measurement that a plan needs on a machine whose speed is not known."""

    @contextmanager
    def status(self, text: str) -> Iterator[None]:
        raise UserError(text)
        yield


def expected_error(params: Params, data: Dataset, paths: Paths, minutes: float) -> float | None:
    """Expected error rate, 0 to 1, of a `make submit` of so many minutes here; None if it is not known."""
    with_budget = params.model_copy(update={"train": params.train.model_copy(update={"budget": minutes})})
    try:
        tuned = tuned_params(with_budget, data, paths.studies)
        device = measured_device(paths.runs / "machines", None)
        return make_plan(tuned, data, device, paths, _NoMeasurement()).error
    except UserError:
        return None
