"""What a stage is given, and what it gives back."""

from dataclasses import dataclass

from digits.config import Params, Paths
from digits.console import Console


@dataclass(frozen=True)
class Job:
    """One command of the user.

    data: what DATA= names, if anything. upload: whether to send the submission to Kaggle.
    """

    params: Params
    paths: Paths
    console: Console
    data: str | None = None
    upload: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a stage made, in a line; whether it had anything to do; what the user may type next."""

    summary: str
    worked: bool
    next_steps: tuple[str, ...] = ()
