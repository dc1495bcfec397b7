"""What a stage gets, and what it returns."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from digits.common.console import Console
from digits.common.disk import check_room
from digits.common.errors import MisfitError, UserError
from digits.common.executors import Executor, Processes
from digits.common.sealed import intact
from digits.config import Params, Paths, load_params
from digits.data.dataset import Dataset, load_dataset
from digits.data.sources import Source, find_source, folder_name, has_files
from digits.ensemble.application import FittedBlend, fitted_blend, newest_blend
from digits.ensemble.members import Members, blend_name, members
from digits.kaggle.api import CompetitionApi
from digits.kaggle.ledger import Ledger
from digits.kaggle.sessions import Sessions
from digits.kaggle.upload import Uploader
from digits.training.budget import Plan, make_plan
from digits.training.device import Device, measured_device
from digits.training.schedule import Timing
from digits.training.timing import measured_timing
from digits.training.tuned import tuned_params

if TYPE_CHECKING:
    from digits.cluster.client import Cluster
    from digits.report.inventory import Item

_PROBABILITY = 4  # bytes
RECIPES, FASHION = "digit-recognizer", "params.fashion-mnist.yaml"  # of published recipes: competition, other data


@dataclass
class Context:
    """The params and options of one command, and what all its stages derive from them.

    Everything cached here follows from the params and the files and is computed once per command. So commands with
    other params or data can run at the same time.

    data_path: zip or folder of the competition's files, or "practice"; None: those of data/raw, else Kaggle's. upload:
    whether to send the submission to Kaggle; None: if there are credentials. force: whether to send it once more, or to
    remove without asking. only: names or wildcards of what to fit or to remove; empty: all of them. require_gpu:
    whether to refuse to fit networks without a GPU. seeds: fits per recipe; None: as many as each recipe says. file:
    images to label. blend: name of the blend to use; None: the newest. tta: whether exported models average over
    transformed copies. compared: names of two runs. cluster_address: of the scheduler of a Dask cluster, or of its
    file; None: fits run here. fits_networks: whether TensorFlow must be where fits run.
    interrupted: whether the user has ended a stage early, the only value that changes; later stages use what is
    finished, and nothing is sent.
    """

    params: Params
    paths: Paths
    console: Console
    data_path: str | None = None
    upload: bool | None = None
    force: bool = False
    only: tuple[str, ...] = ()
    require_gpu: bool = False
    seeds: int | None = None
    file: Path | None = None
    blend: str | None = None
    tta: bool = False
    compared: tuple[str, ...] = ()
    cluster_address: str | None = None
    fits_networks: bool = False
    interrupted: bool = False

    @cached_property
    def source(self) -> Source:
        """The competition's files."""
        return find_source(self.params.competition, self.paths, self.data_path)

    @contextmanager
    def fitting_files(self) -> Iterator[None]:
        """Turn a MisfitError into a UserError with the params that fit the files."""
        try:
            yield
        except MisfitError as misfit:
            from digits.data.understand import remedy  # noqa: PLC0415 - only where something is wrong

            place = self.source.folder if "source" in self.__dict__ else str(self.paths.raw)
            named = self.data_path or os.path.relpath(place, self.paths.root)
            with self.console.status("looking for params that fit these files"):
                error = remedy(misfit, named, self.params, self.paths)
            raise error from None

    @cached_property
    def kaggle(self) -> CompetitionApi:
        """Kaggle's API for this competition."""
        return CompetitionApi(self.params.competition.slug, self.params.kaggle, self.console)

    @property
    def sessions(self) -> Sessions:
        """Sessions on Kaggle's machines."""
        return Sessions(self.kaggle, self.paths.sessions, self.params.kaggle, self.console)

    @property
    def ledger(self) -> Ledger:
        """The ledger of all submissions."""
        return Ledger(self.paths.ledger)

    @property
    def uploader(self) -> Uploader:
        """Sends submissions and fetches their scores."""
        return Uploader(self.kaggle, self.ledger, self.params.kaggle, self.console)

    @cached_property
    def data_folder(self) -> Path:
        """Folder of the arrays that `prepare` makes of these files with these params.

        It need not exist yet. It is checked once per command, and set aside if it is damaged.
        """
        folder = self.paths.processed / folder_name(self.params, self.source)
        intact(folder)
        return folder

    @cached_property
    def data(self) -> Dataset:
        """The prepared arrays. Raises UserError where `prepare` has not made them yet."""
        return load_dataset(self.data_folder)

    @cached_property
    def prepared(self) -> Dataset | None:
        """The arrays, or None if they are not prepared yet. Raises UserError if DATA cannot be used."""
        try:
            folder = self.data_folder
        except UserError:
            if self.data_path:
                raise  # what the user has named cannot be used
            return None
        return self.data if folder.is_dir() else None

    @cached_property
    def device(self) -> Device:
        """The device that networks are fitted on. Raises UserError where a GPU is required and there is none."""
        machines = self.paths.runs / "machines"
        if self.cluster:
            from digits.cluster.machines import cluster_device  # noqa: PLC0415 - it needs Dask

            device: Device = cluster_device(self.cluster, machines, self.console)
        else:
            device = measured_device(machines, self.console)
        if self.require_gpu and not device.gpus:
            raise UserError(
                "REQUIRE_GPU is set, but TensorFlow finds no GPU; without REQUIRE_GPU the same command uses the "
                "processor. On Linux with an NVIDIA GPU, `make setup EXTRAS=gpu` installs what TensorFlow needs"
            )
        return device

    @cached_property
    def cluster(self) -> "Cluster | None":
        """The cluster that fits run on; None: they run here. Raises UserError if it cannot be used."""
        if not self.cluster_address:
            return None
        from digits.cluster.client import Cluster  # noqa: PLC0415 - it needs Dask

        return Cluster(self.cluster_address, self.fits_networks, self.console)

    def executor(self, gpus: Sequence[str | None]) -> Executor:
        """Runs fits: on the cluster, or here, one in parallel for each of `gpus`, see `Device.workers`."""
        return self.cluster or Processes(gpus)

    @property
    def timing(self) -> Callable[..., Timing]:
        """Measures how fast a network is fitted; its arguments are those of `measured_timing`."""
        if not self.cluster:
            return measured_timing
        from digits.cluster.machines import cluster_timing  # noqa: PLC0415 - it needs Dask

        return partial(cluster_timing, self.cluster)

    def close(self) -> None:
        """End the connection to the cluster, if there is one."""
        if cluster := self.__dict__.get("cluster"):
            cluster.close()

    def check_room(self, fits: int) -> None:
        """Raise DiskError if the disk of runs/ has no room for so many fits: for what they predict, at the least."""
        rows = len(self.data.valid_rows(0)) + len(self.data.holdout_rows) + len(self.data.test_images)
        check_room(self.paths.runs, fits * rows * self.data.classes * _PROBABILITY, f"the probabilities of {fits} fits")

    @cached_property
    def tuned(self) -> Params:
        """The params with what `make tune` found for them and these data."""
        return tuned_params(self.params, self.data, self.paths.studies)

    @cached_property
    def plan(self) -> Plan:
        """The fits of `train`: how its minutes are spent, and on which images."""
        return make_plan(self.tuned, self.data, self.device, self.paths, self.console, self.timing)

    @cached_property
    def recipe_data(self) -> dict[str, Dataset]:
        """The data that published recipes are fitted on, as far as `prepare` has made them."""
        found = {"digits": self.data} if self.params.competition.slug == RECIPES else {}
        file = self.paths.root / FASHION
        if file.exists():
            other = replace(self, params=load_params(file), data_path=None)
            if has_files(other.params.competition, self.paths) and other.data_folder.is_dir():
                found["fashion"] = other.data
        return found

    @cached_property
    def inventory(self) -> "tuple[list[Item], str]":
        """Everything in runs/, and why it is not known what is used; "" where it is known."""
        from digits.report.inventory import inventory, user_of  # noqa: PLC0415 - other commands need not load it

        try:
            data, device = self.data, measured_device(self.paths.runs / "machines", None)
            return inventory(self.paths, user_of(self.params, data, device, self.recipe_data, self.paths)), ""
        except UserError as error:
            return inventory(self.paths, lambda name: None), str(error)

    @cached_property
    def members(self) -> Members:
        """The finished runs to blend. Runs that another command finishes later are not added to them."""
        return members(self.tuned, self.plan, self.data, self.paths)

    @cached_property
    def fitted_blend(self) -> FittedBlend:
        """The blend that the user names, else the newest one of this competition and of DATA, with its models."""
        wanted = self.data.hash if self.data_path else ""
        newest = self.blend or newest_blend(self.paths.runs, self.params.competition.slug, wanted)
        return fitted_blend(self.paths.runs, newest)

    @cached_property
    def blend_name(self) -> str:
        """Name of the blend of these members."""
        return blend_name(self.params, self.members.units)


@dataclass(frozen=True)
class Outcome:
    """The result of a stage.

    summary: what it made, in a line; "" if the stage has said it. result: what the user wants to know of it, each under
    a heading, if the command ends with it. worked: whether there was anything to do. next_steps: commands that the user
    may type next, one per line. interrupted: whether the user ended the stage early.
    """

    summary: str
    worked: bool
    next_steps: tuple[str, ...] = ()
    result: tuple[tuple[str, str], ...] = ()
    interrupted: bool = False
