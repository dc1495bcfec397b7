"""What the script does on Kaggle's machine. It begins with the standard library: what else is there is asked first.

Kaggle keeps what lies in its folder `working` when the session ends, also where it is cut. So each finished fit is put
there at once, as one archive.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Timer
from typing import Any

PARAMS, TASK = "params.yaml", "task.json"  # files of the script
MACHINES, RUNS = "machines", "runs"  # folders of the script
SESSION, MADE, SUBMISSION = (
    "session.json",
    "made.json",
    "submission.csv",
)  # of the session; in a fit's folder; the task's
ROOT_VARIABLE, CPU_VARIABLE = "DIGITS_KAGGLE_ROOT", "DIGITS_KAGGLE_CPU"  # for tests: another /kaggle, no GPU
_LATE = 1.25, 600.0  # times the budget, and seconds, after which the fits are ended
# the oldest versions that were tried
NEEDED = {
    "numpy": "1.26",
    "scipy": "1.13",
    "pandas": "2.2",
    "scikit-learn": "1.6",
    "joblib": "1.4",
    "threadpoolctl": "3.5",
    "pydantic": "2.11",
    "pyyaml": "6.0",
    "click": "8.1",
    "rich": "13.9",
    "filelock": "3.18",
    "pillow": "11.0",
    "tensorflow": "2.19",
    "keras": "3.15",
}


class CannotWorkError(Exception):
    """Why the session cannot do its task; Kaggle marks a session as failed by an exception alone."""


def main(folder: str) -> None:
    """Do the task of the script whose files are in `folder`.

    task.json: competition (its slug), files (of the competition), data (hash of the arrays), minutes (the budget),
    libraries (distributions whose versions are told), internet (whether packages may be installed), blend (its name, if
    it is to predict the file `test`, else the task is to train). Raises CannotWorkError.
    """
    task = json.loads(Path(folder, TASK).read_text())
    root = Path(os.environ.get(ROOT_VARIABLE, "/kaggle"))
    working = root / "working"
    try:
        missing = _missing()
        if missing and task["internet"]:
            command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", folder, *missing]
            subprocess.run(command, check=False)  # without what they depend on: TensorFlow there needs its NumPy
            missing = _missing()
        libraries = {name: _version(name) for name in task["libraries"]}
        told = {"python": platform.python_version(), "libraries": libraries, "gpus": _gpus()}
        print(f"Python {told['python']}", *(f"{name} {said}" for name, said in libraries.items()), sep=", ", flush=True)
        (working / SESSION).write_text(json.dumps(told | {"missing": missing}))
        if missing:
            raise CannotWorkError(f"Kaggle's image lacks {', '.join(missing)}")
        data = _data(root / "input", task)
        if blend := task.get("blend"):
            from digits.kernel.predicting import predict  # noqa: PLC0415 - it needs what was looked for before

            predict(Path(folder), blend, data / task["test"], working / SUBMISSION)
        else:
            _train(task, told, Path(folder), data, working)
    except CannotWorkError as error:
        print(f"error: {error}", flush=True)
        raise


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _missing() -> list[str]:
    """What must be installed, as pip is asked for it."""
    found = {name: max(_numbers(_version(each)) for each in (name, f"{name}-cpu")) for name in NEEDED}
    return [f"{name}>={least}" for name, least in NEEDED.items() if found[name] < _numbers(least)]


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(".")[:2] if part.isdigit()]


def _gpus() -> list[str]:
    """Names of the GPUs."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return []


def _data(folder: Path, task: Mapping[str, Any]) -> Path:
    """The folder of the competition's files: Kaggle has changed where it is."""
    slug: str = task["competition"]
    places = [folder / "competitions" / slug, folder / slug]
    for place in places:
        if all((place / name).is_file() for name in task["files"]):
            return place
    raise CannotWorkError(
        f"{' and '.join(task['files'])} are in neither of {' and '.join(map(str, places))}; see what Kaggle's page "
        f"kaggle.com/c/{slug}/data lists"
    )


def _train(task: Mapping[str, Any], told: dict[str, Any], package: Path, data: Path, working: Path) -> None:
    """Train, and leave each fit when it is finished. Raises CannotWorkError if the data are not those of the task."""
    with tempfile.TemporaryDirectory() as temporary:
        project = Path(temporary)
        shutil.copy(package / PARAMS, project)
        if (package / MACHINES).is_dir():
            shutil.copytree(package / MACHINES, project / RUNS / MACHINES)
        for _ in _running(["data", "--data", str(data)], project, package, _LATE[1]):
            pass
        [about] = (project / "data" / "processed").glob("[!.]*/about.json")
        if json.loads(about.read_text())["hash"] != task["data"]:
            raise CannotWorkError(
                "Kaggle's files of the competition, or scikit-learn's folds of them, are not those of your computer; "
                "with the files that make data downloads they are the same"
            )
        gpu = [] if os.environ.get(CPU_VARIABLE) else ["--require-gpu"]
        arguments = ["train", "--data", str(data), "--budget", str(task["minutes"]), *gpu]
        left = set[Path]()
        for _ in _running(arguments, project, package, task["minutes"] * 60 * _LATE[0] + _LATE[1]):
            _leave(project / RUNS, told, working, left)


def _running(arguments: list[str], project: Path, package: Path, seconds: float) -> Iterator[None]:
    """Run a command of digits; yields after each line that it prints, and at its end.

    It is interrupted after so many seconds. Raises CalledProcessError if it fails; it has printed why.
    """
    places = os.pathsep.join(filter(None, (str(package), os.environ.get("PYTHONPATH"))))
    command, environment = [sys.executable, "-m", "digits", *arguments], os.environ | {"PYTHONPATH": places}
    with subprocess.Popen(
        command, cwd=project, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
    ) as process:
        timer = Timer(seconds, process.terminate)
        timer.daemon = True
        timer.start()
        for line in process.stdout or ():
            print(line, end="", flush=True)
            yield
    timer.cancel()
    yield
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)


def _leave(runs: Path, told: dict[str, Any], working: Path, left: set[Path]) -> None:
    """Put the fits that were finished since the last call, with the logs of their runs, where Kaggle keeps them."""
    units = {path.parent for path in runs.glob("[!.]*/[!.]*/manifest.json")} - left
    for unit in sorted(units):
        name, temporary = f"{unit.parent.name}.{unit.name}.zip", working / ".digits"
        with zipfile.ZipFile(temporary, "w") as archive:
            archive.write(unit.parent / "run.json", "run.json")
            archive.writestr(MADE, json.dumps(told))
            for path in sorted(unit.rglob("*")):
                archive.write(path, f"{unit.name}/{path.relative_to(unit)}")
        temporary.replace(working / name)
        left.add(unit)
    for path in (*runs.glob("[!.]*/log.txt"), *runs.glob(f"{MACHINES}/*.json")) if units else ():
        shutil.copy(path, working / f"{path.parent.name}.{path.name}")
