"""What the script does on Kaggle's machine. It begins with the standard library: what else is there is asked first.

Kaggle keeps what lies in its folder `working` when the session ends, also where it is cut. So each finished fit is put
there at once, as one archive.
"""

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Thread
from time import monotonic, sleep
from typing import Any

PARAMS, TASK = "params.yaml", "task.json"  # files of the script
MACHINES, RUNS = "machines", "runs"  # folders of the script
SUBMISSION = "submission.csv"
SESSION, MADE = "session.json", "made.json"  # about the session; about a fit, in its folder
ROOT_VARIABLE, CPU_VARIABLE = "DIGITS_KAGGLE_ROOT", "DIGITS_KAGGLE_CPU"  # for tests: another /kaggle, no GPU
_LATE = 1.25, 600.0  # times the budget, and seconds, after which the fits are ended
_ENDING = 60.0  # seconds that this may take
# the modules that are needed, by distribution, and their oldest versions that were tried
NEEDED = {
    "numpy": ("numpy", "1.26"),
    "scipy": ("scipy", "1.11"),
    "pandas": ("pandas", "2.2"),
    "scikit-learn": ("sklearn", "1.2"),
    "joblib": ("joblib", "1.4"),
    "threadpoolctl": ("threadpoolctl", "3.1"),
    "pydantic": ("pydantic", "2.9"),
    "pyyaml": ("yaml", "6.0"),
    "click": ("click", "8.1"),
    "rich": ("rich", "13.0"),
    "filelock": ("filelock", "3.12"),
    "tensorflow": ("tensorflow", "2.18"),
    "keras": ("keras", "3.8"),
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
        libraries = {name: _version(name) for name in task["libraries"]}
        told = {"python": platform.python_version(), "libraries": libraries}
        print(f"Python {told['python']}", *(f"{name} {said}" for name, said in libraries.items()), sep=", ", flush=True)
        missing = _missing()
        if missing and task["internet"]:
            missing = _installed(missing, folder)
        (working / SESSION).write_text(json.dumps(told | {"missing": missing}))
        if missing:
            raise CannotWorkError(f"Kaggle's image lacks {', '.join(missing)}")
        data = _data(root / "input", task)
        if blend := task.get("blend"):
            _predict(blend, Path(folder), data / task["test"], working)
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
    """What must be installed, as pip would be asked for it."""
    found = []
    for name, (module, least) in NEEDED.items():
        if _numbers(_version(name)) < _numbers(least):
            found.append(f"{name}>={least}")
            continue
        try:
            if name not in ("tensorflow", "keras"):  # which take seconds, and are loaded by each fit
                import_module(module)
        except Exception as error:
            print(f"{name}: {error}")
            found.append(name)
    return found


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(".")[:2] if part.isdigit()]


def _installed(missing: Sequence[str], folder: str) -> list[str]:
    """Install packages beside this one; returns those that are still missing."""
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--target", folder, *missing], check=False)
    return _missing()


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
    with tempfile.TemporaryDirectory() as temporary:
        project = Path(temporary)
        (project / PARAMS).write_bytes((package / PARAMS).read_bytes())
        shutil.copytree(package / MACHINES, project / "runs" / MACHINES)
        _check_data(task, project, package, data)
        gpu = [] if os.environ.get(CPU_VARIABLE) else ["--require-gpu"]
        arguments = ["train", "--data", str(data), "--budget", str(task["minutes"]), *gpu]
        left = set[Path]()
        for _ in _running(arguments, project, package, monotonic() + task["minutes"] * 60 * _LATE[0] + _LATE[1]):
            _leave(project / "runs", told, working, left)
    if not left:
        raise CannotWorkError("no fit was finished")


def _predict(blend: str, package: Path, test: Path, working: Path) -> None:
    """Write submission.csv for a test file that may be another one than the competition shows."""
    from digits.kernel.predicting import predict  # noqa: PLC0415 - it needs what was looked for before

    with tempfile.TemporaryDirectory() as temporary:
        predict(package, blend, test, Path(temporary, SUBMISSION))
        shutil.move(Path(temporary, SUBMISSION), working / SUBMISSION)


def _check_data(task: Mapping[str, Any], project: Path, package: Path, data: Path) -> None:
    """Raise CannotWorkError unless the arrays and folds are those of the computer that has sent the task."""
    for _ in _running(["data", "--data", str(data)], project, package, monotonic() + _LATE[1]):
        pass
    [about] = (project / "data" / "processed").glob("[!.]*/about.json")
    if json.loads(about.read_text())["hash"] != task["data"]:
        raise CannotWorkError(
            "Kaggle's files of the competition, or scikit-learn's folds of them, are not those of your computer; with "
            "the files that make data downloads they are the same"
        )


def _running(arguments: Sequence[str], project: Path, package: Path, end: float) -> Iterator[None]:
    """Run a command of digits, printing what it prints; yields every second, and once more when it has ended.

    end: on the clock of `monotonic`; a command that still runs is interrupted then. Raises CannotWorkError if it fails.
    """
    places = os.pathsep.join(filter(None, (str(package), os.environ.get("PYTHONPATH"))))
    environment = os.environ | {"PYTHONPATH": places, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "digits", *arguments],
        cwd=project,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    errors: list[str] = []

    def show() -> None:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            if line.startswith("error: "):
                errors.append(line.removeprefix("error: ").strip())

    shown = Thread(target=show, daemon=True)
    shown.start()
    while process.poll() is None:
        yield
        sleep(1)
        if monotonic() > end:
            process.send_signal(signal.SIGTERM)
            sleep(_ENDING)
            process.kill()
    shown.join(_ENDING)
    yield
    if process.returncode and monotonic() < end:
        raise CannotWorkError(errors[-1] if errors else f"digits has ended with the status {process.returncode}")


def _leave(runs: Path, told: dict[str, Any], working: Path, left: set[Path]) -> None:
    """Put the fits that were finished since the last call, with the logs of their runs, where Kaggle keeps them."""
    units = {path.parent for path in runs.glob("[!.]*/[!.]*/manifest.json")} - left
    devices = [json.loads(path.read_text()) for path in runs.glob("machines/[!t.]*.json")]
    for unit in sorted(units):
        name, temporary = f"{unit.parent.name}.{unit.name}.zip", working / ".digits"
        with zipfile.ZipFile(temporary, "w") as archive:
            archive.write(unit.parent / "run.json", "run.json")
            device = next(({key: each[key] for key in ("name", "gpus")} for each in devices), {})
            archive.writestr(MADE, json.dumps(told | {"device": device}))
            for path in sorted(unit.rglob("*")):
                archive.write(path, f"{unit.name}/{path.relative_to(unit)}")
        temporary.replace(working / name)
        left.add(unit)
    for path in (*runs.glob("[!.]*/log.txt"), *runs.glob(f"{MACHINES}/*.json")) if units else ():
        shutil.copy(path, working / f"{path.parent.name}.{path.name}")
