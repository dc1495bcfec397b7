"""Places the fits that a session has left among the runs here, once they are what was sent for and arrived whole."""

import json
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from digits.common.files import write_atomic
from digits.common.sealed import fault, write_json
from digits.data.dataset import Dataset
from digits.data.sample import with_hash
from digits.kernel.there import MACHINES
from digits.training.elsewhere import MADE, is_of_this_code, spec_of
from digits.training.runs import RunFolder

_LARGEST = 2**31  # bytes of a fit when unpacked
_DAMAGE = (ValueError, KeyError, TypeError, OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Placed:
    """units: folders of fits that are new here. faults: a line for each archive that cannot be used."""

    units: tuple[Path, ...]
    faults: tuple[str, ...]


def place(folder: Path, data: Dataset, runs: Path) -> Placed:
    """Place all fits of a fetched session, each by a rename; fits that are here already are kept as they are."""
    units, faults = [], []
    for archive in sorted(folder.glob("[!.]*.zip")):
        with tempfile.TemporaryDirectory(prefix=f".{archive.stem}-", dir=runs) as temporary:
            try:
                unit = _checked(archive, Path(temporary), data)
            except _DAMAGE as error:
                faults.append(f"{archive.name}: {error}")
                continue
            spec = spec_of(unit.parent)
            assert spec
            run = RunFolder(runs, spec)
            run.open()
            if not (target := run.path / unit.name).exists():
                unit.rename(target)
                units.append(target)
            log = folder / f"{run.path.name}.log.txt"
            if log.exists() and not (kept := run.path / "log.txt").exists():
                write_atomic(kept, log.read_bytes())
    for measured in folder.glob(f"{MACHINES}.*.json"):  # so that the next session need not measure that machine
        if not (target := runs / MACHINES / measured.name.removeprefix(f"{MACHINES}.")).exists():
            write_atomic(target, measured.read_bytes())
    return Placed((*units,), (*faults,))


def _checked(archive: Path, temporary: Path, data: Dataset) -> Path:
    """Unpack an archive; returns its unit's folder, in that of its run. Raises ValueError if it cannot be used."""
    run = temporary / archive.name.partition(".")[0]
    with zipfile.ZipFile(archive) as opened:
        if sum(info.file_size for info in opened.infolist()) > _LARGEST:
            raise ValueError("it is too large")
        for name in (name for name in opened.namelist() if not name.endswith("/")):
            if ".." in (path := run / name).parts or not path.is_relative_to(run):
                raise ValueError("a file in it has no place below its run")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(opened.read(name))
    made = json.loads((run / MADE).read_bytes())
    spec = spec_of(run)
    if spec is None:
        raise ValueError("its run.json is damaged, or of another run")
    if not with_hash(data, spec.data, spec.seed):
        raise ValueError("it was fitted on other images")
    if not is_of_this_code(spec, made):
        raise ValueError("it was fitted by another version of digits")
    [unit] = (path for path in run.iterdir() if path.is_dir())
    if archive.name != f"{run.name}.{unit.name}.zip" or RunFolder(temporary, spec).path != run:
        raise ValueError("its name is not that of its content")
    if damage := fault(unit):
        raise ValueError(damage)
    write_json(unit / MADE, made)
    return unit
