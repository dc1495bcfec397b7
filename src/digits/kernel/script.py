"""The one script that is sent to Kaggle: this package, the params and what else is needed, packed as text."""

import base64
import gzip
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from digits.common.code_version import PACKAGE
from digits.common.errors import UserError
from digits.config import Params
from digits.kernel.there import PARAMS, TASK

_LARGEST = 20_000_000  # characters of a script; nobody has published Kaggle's limit
_NOT_NEEDED = ("demo", "export", "replication", "report", "tuning", "watch")  # rooms; half of the package
_SCRIPT = '''\
# This script was written by digits. It unpacks that package and calls it; nothing else is in it.
import base64, io, sys, tarfile, tempfile

PACKED = """
{packed}"""
folder = tempfile.mkdtemp()
with tarfile.open(fileobj=io.BytesIO(base64.b64decode(PACKED))) as archive:
    archive.extractall(folder, filter="data")
sys.path.insert(0, folder)
from digits.kernel.there import main

main(folder)
'''


def script(params: Params, task: dict[str, Any], more: Mapping[str, Path] | None = None) -> str:
    """The text of the script; equal arguments give equal bytes. task: see `there.main`. more: files, by path there.

    The address of a database, which has a password, is not in it. Raises UserError if it is too large for Kaggle.
    """
    tune = params.tune.model_copy(update={"storage": None})
    train = params.train.model_copy(update={"use_tuned": False})  # what was found is in these params
    own = params.model_copy(update={"tune": tune, "train": train})
    files = {
        PARAMS: yaml.safe_dump(own.model_dump(), sort_keys=False, allow_unicode=True).encode(),
        TASK: json.dumps(task, sort_keys=True).encode(),
        **{f"digits/{name}": (PACKAGE / name).read_bytes() for name in _modules()},
        **{name: path.read_bytes() for name, path in (more or {}).items()},
    }
    text = _SCRIPT.format(packed=base64.encodebytes(_archive(files)).decode())
    if len(text) > _LARGEST:
        raise UserError(
            f"the models have {len(text) / 1e6:.0f} MB as a script, which is too much for Kaggle; blend fewer"
        )
    return text


def _modules() -> list[Path]:
    modules = (path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
    return [path for path in modules if path.parts[0] not in _NOT_NEEDED]


def _archive(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    # without the time of packing, so that the same files give the same bytes
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as file, tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in sorted(files.items()):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()
