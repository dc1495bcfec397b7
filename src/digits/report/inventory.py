"""Lists what is in runs/, and which command uses it with the current params and data. It fits nothing."""

import os
from collections.abc import Callable, Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from digits.common.files import hidden
from digits.common.sealed import DAMAGED, read_json
from digits.config import Params, Paths
from digits.data.dataset import Dataset
from digits.data.sample import sampled
from digits.data.sources import MARK
from digits.ensemble.blend import load_blend
from digits.ensemble.members import blend_name
from digits.replication.fits import units
from digits.replication.recipe import load_recipes
from digits.training.allocation import shares
from digits.training.candidates import baseline_runs, network_runs, networks
from digits.training.device import Device
from digits.training.elsewhere import made_elsewhere
from digits.training.tuned import studies_of, tuned_params

_MOST_SEEDS = 100  # per recipe; SEEDS cannot be larger
COLUMNS = ["name", "fits", "MB", "age", "used by"]
UserOf = Callable[[str], str | None]  # the command that uses a name in runs/; "": none; None: not known


@dataclass(frozen=True)
class Item:
    """Paths that are listed, used and removed together. name: relative to runs/; all fits of recipes share one.

    size: bytes. changed: seconds since 1970, only to be shown. user: see `UserOf`.
    """

    name: str
    paths: tuple[Path, ...]
    fits: int
    size: int
    changed: float
    user: str | None

    def cells(self, now: float) -> list[str]:
        """Name, fits, MB, age, and the command that uses it."""
        minutes = max(0.0, now - self.changed) / 60  # a clock may be wrong
        unit, length = next((each for each in (("d", 1440), ("h", 60)) if minutes >= 2 * each[1]), ("min", 1))
        user = {None: "not known", "": "nothing"}.get(self.user, self.user)
        return [self.name, str(self.fits or ""), f"{self.size / 1e6:,.1f}", f"{minutes / length:.0f} {unit}", str(user)]


def user_of(params: Params, data: Dataset, device: Device, recipe_data: dict[str, Dataset], paths: Paths) -> UserOf:
    """A function that tells which command uses a name; recipe_data: see `replication.fits.units`.

    For runs on other images this is known only if the images are in data/processed for this competition, and never if
    `data` are practice images.
    """
    tuned = tuned_params(params, data, paths.studies)
    candidates, extra = networks(tuned)
    learned = [sampled(data, share, tuned.train.seed) for share in shares(len(data.train_rows(0)))]
    planned = [run for each in learned for run in network_runs(candidates | extra, tuned, each, device).values()]
    folder = paths.runs / "recipes"
    recipes = units(load_recipes().values(), recipe_data, folder, _MOST_SEEDS, device) if folder.is_dir() else []
    users = {
        "machines": "make train, tune, recipes",
        "kaggle": "make kaggle-gpu",
        **{
            run.folder_name: "make kaggle-gpu"
            for run in made_elsewhere(tuned, paths.runs, {each.hash for each in learned})
        },
        **{run.folder_name: "make train" for run in planned},
        **{run.folder_name: "make baseline" for run in baseline_runs(tuned, data)},
        **{f"tune/{study.name}": "make tune" for study in studies_of(params, data, paths.studies)},
        **{f"recipes/{unit.folder.name}": "make recipes" for chain in recipes for unit in chain},
    }
    prepared = [] if data.practice else [read_json(path) or {} for path in paths.processed.glob("*/about.json")]
    known = {data.hash, *(about["hash"] for about in prepared if about.get("slug") == params.competition.slug)}

    def user(name: str) -> str | None:
        if name.startswith("blend-"):
            return "make ensemble" if _is_current(name, params, users.keys(), paths.runs) else ""
        if name in users:
            return users[name]
        if name.startswith("recipes/"):
            return "" if len(recipe_data) == 2 else None
        record = read_json(paths.runs / name / ("study.json" if name.startswith("tune/") else "run.json")) or {}
        return "" if str(record.get("data")).split("/")[0] in known else None  # before the slash: of a sample

    return user


def _is_current(name: str, params: Params, used: Set[str], runs: Path) -> bool:
    """Whether `make ensemble` would make this blend from runs that are used, with the fits that they have now."""
    with suppress(TypeError):  # made by another version of this package
        if (blend := load_blend(runs, name)) and blend_name(params, blend.units) == name:
            return all(
                member in used and {*own} == {unit.name for unit in _units(runs / member)}
                for member, own in blend.units.items()
            )
    return False


def inventory(paths: Paths, user: UserOf) -> list[Item]:
    """Everything in runs/, copies of files given as DATA, and what was found damaged."""
    found: dict[tuple[str, str | None], list[Path]] = {}
    for path in sorted(paths.runs.glob("[!.]*/")):
        for part in sorted(path.glob("[!.]*/")) if path.name in ("recipes", "tune") else [path]:
            name = os.path.relpath(part, paths.runs)
            found.setdefault(("recipes" if path.name == "recipes" else name, user(name)), []).append(part)
    for path in sorted(paths.copies.glob("[!.]*/")):  # an unmarked copy may be the user's only one
        found[os.path.relpath(path, paths.runs), "commands without DATA" if (path / MARK).exists() else None] = [path]
    for path in sorted(path for folder in paths.written for path in hidden(folder) if path.name.startswith(DAMAGED)):
        found[os.path.relpath(path, paths.runs), None if path.parent == paths.copies else ""] = [path]
    return [_item(name, parts, command) for (name, command), parts in found.items()]


def _units(folder: Path) -> list[Path]:
    return [*folder.glob("fold-*"), *folder.glob("refit-*")]


def _item(name: str, paths: list[Path], user: str | None) -> Item:
    fits = len(paths) if name == "recipes" else len(_units(paths[0]))
    files = [path for path in paths if path.is_file()]
    files += [Path(folder) / file for path in paths for folder, _, names in os.walk(path) for file in names]
    stats = []
    for file in files:
        with suppress(FileNotFoundError):  # another command has removed it
            stats.append(file.lstat())
    changed = max((stat.st_mtime for stat in stats), default=0.0)
    size = sum(stat.st_size for stat in stats)
    return Item(name, tuple(paths), fits, size, changed, user)
