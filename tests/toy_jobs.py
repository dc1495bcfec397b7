"""Jobs for executors that tell what has happened to them; workers of a cluster import them from here."""

import os
import time
from pathlib import Path
from typing import Any

from digits.common.executors import Place
from digits.common.processes import Send
from digits.common.sealed import save_folder


def adds(numbers: list[int], place: Place, send: Send) -> None:
    """Ask for the sum of all numbers, one after the other, and save it."""
    total = 0
    for number in numbers:
        total = send(total + number)
    save_folder(place.results / "run" / "sum", lambda folder: write(folder / "sum.txt", str(total)))


def waits(signs: Path, place: Place, send: Send) -> None:
    """Say in a file which process does it, send two messages, wait for a file, save a folder."""
    write(signs / f"began-{os.getpid()}", "")
    (place.results / "run").mkdir(parents=True, exist_ok=True)
    with (place.results / "run" / "log.txt").open("a", encoding="utf-8") as log:
        log.write(f"{os.getpid()} begins\n")
    send("begun")
    send("waiting")
    while not (signs / "go").exists():
        time.sleep(0.02)
    save_folder(place.results / "run" / "unit", lambda folder: write(folder / "process.txt", str(os.getpid())))


def fails(error: Exception, place: Place, send: Send) -> None:
    """Raise an error."""
    raise error


def dies(number: int, place: Place, send: Send) -> None:
    """End by a signal."""
    os.kill(os.getpid(), number)


def tells_of_its_place(argument: Any, place: Place, send: Send) -> None:
    """Send what it finds where it reads, and the seconds that it has."""
    found = {path.name: path.read_bytes() for path in place.data.iterdir()}
    needed = (place.results / argument / "file").read_text() if argument else ""
    send((found, needed, place.end - time.monotonic()))


def write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
