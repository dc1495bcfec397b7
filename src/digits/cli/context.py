"""What a stage is given, and what it gives back."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from digits.common.console import Console
from digits.common.errors import UserError
from digits.config import Params, Paths
from digits.data.cache import folder_name
from digits.data.dataset import Dataset, load_dataset
from digits.data.sources import Source, find_source
from digits.ensemble.members import Members, blend_name, members
from digits.kaggle.api import CompetitionApi
from digits.kaggle.ledger import Ledger
from digits.kaggle.upload import Uploader
from digits.training.budget import Plan, make_plan
from digits.training.device import Device, measured_device
from digits.training.tuned import study_of


@dataclass(frozen=True)
class Context:
    """One command of the user.

    Everything that its stages share follows from the params and the files, found once; so commands that run side by
    side with other params or data do not meet. named: what DATA= names, if anything. upload: whether to send the
    submission to Kaggle; None: where there are credentials. force: whether to send it once more, where Kaggle has it
    already. only: names or wildcards that choose among what a stage would do; none: all of it. require_gpu: whether to
    refuse to train networks without one. seeds: of every recipe of the study; None: as many as each needs.
    """

    params: Params
    paths: Paths
    console: Console
    named: str | None = None
    upload: bool | None = None
    force: bool = False
    only: tuple[str, ...] = ()
    require_gpu: bool = False
    seeds: int | None = None

    @cached_property
    def source(self) -> Source:
        """The competition's files."""
        return find_source(self.params.competition, self.paths, self.named)

    @cached_property
    def kaggle(self) -> CompetitionApi:
        """The competition on Kaggle."""
        return CompetitionApi(self.params.competition.slug, self.params.kaggle, self.console)

    @property
    def ledger(self) -> Ledger:
        """What has become of the submissions."""
        return Ledger(self.paths.ledger)

    @property
    def delivery(self) -> Uploader:
        """What sends submissions, and asks for their scores."""
        return Uploader(self.kaggle, self.ledger, self.params.kaggle, self.console)

    @cached_property
    def data_folder(self) -> Path:
        """Where the arrays made of these files with these params lie, or will lie."""
        return self.paths.processed / folder_name(self.params, self.source)

    @cached_property
    def data(self) -> Dataset:
        """The arrays. Raises UserError where they are still to be made."""
        if not self.data_folder.is_dir():
            raise UserError("the data is not prepared for these params; type: make data")
        return load_dataset(self.data_folder)

    @cached_property
    def device(self) -> Device:
        """What this machine trains networks with. Raises UserError where a GPU is required and there is none."""
        device = measured_device(self.paths.runs / "machines", self.console)
        if self.require_gpu and not device.gpus:
            raise UserError(
                "REQUIRE_GPU is set, but TensorFlow sees no GPU here; without REQUIRE_GPU the same command uses the "
                "processor; on Linux, .venv/bin/python -m pip install -e '.[gpu]' adds what TensorFlow needs"
            )
        return device

    @cached_property
    def plan(self) -> Plan:
        """What the minutes of `train` are spent on."""
        study = study_of(self.params, self.data, self.paths.studies, "train")
        return make_plan(self.params, study, self.data, self.device, self.paths, self.console)

    @cached_property
    def members(self) -> Members:
        """The runs to be blended; as they are when they are first asked for, whatever another command adds later."""
        return members(self.params, self.plan, self.data, self.paths)

    @cached_property
    def blend_name(self) -> str:
        """Name of the blend of these members."""
        return blend_name(self.params, self.members)


@dataclass(frozen=True)
class Outcome:
    """What a stage made, in a line; whether it had anything to do; what the user may type next.

    interrupted: whether the user ended it before its time, so that the rest goes on with what there is.
    """

    summary: str
    worked: bool
    next_steps: tuple[str, ...] = ()
    interrupted: bool = False
