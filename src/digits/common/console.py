"""Output for the user: lines, warnings, errors, tables, progress bars.

On a terminal the bars move. In a file or in CI each prints a plain line about every ten seconds.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console as RichConsole
from rich.markup import escape
from rich.progress import BarColumn, ProgressColumn, Task, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.table import Column, Table

_BAR_WIDTH = 12  # letters, so that the words beside it have room on 80 columns
_PLAIN_SECONDS = 10.0  # least time between two plain lines of a bar
# what names from files must not do: move the cursor, clear the screen, hide what stands before them
_VISIBLE = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


class Bar(Protocol):
    """A progress bar."""

    def advance(self, steps: float = 1, note: str = "") -> None:
        """Count `steps` units as done. note: a few words on the current step."""

    def part(self, title: str, done: int, total: int, note: str) -> None:
        """Show how far a fit is that runs beside others, in epochs; at the last one, with a line that stays."""


def by_the_clock(bar: Bar) -> Callable[..., None]:
    """A function that advances a bar of minutes by the time since its last call; thread-safe."""
    lock, last = threading.Lock(), time.monotonic()

    def advance(note: str = "") -> None:
        nonlocal last
        with lock:
            now = time.monotonic()
            bar.advance((now - last) / 60, note)
            last = now

    return advance


class _TerminalBar:
    def __init__(self, progress: RichProgress, title: str, total: float, unit: str):
        self._progress = progress
        self._task = progress.add_task(title, total=total, unit=unit, note="")
        self._parts: dict[str, TaskID] = {}

    def advance(self, steps: float = 1, note: str = "") -> None:
        self._progress.update(self._task, advance=steps, note=note)

    def part(self, title: str, done: int, total: int, note: str) -> None:
        if title not in self._parts:
            self._parts[title] = self._progress.add_task(f"  {title}", total=total, unit="epochs", note="")
        self._progress.update(self._parts[title], completed=done, note=note)
        if done >= total:
            self._progress.remove_task(self._parts.pop(title))
            self._progress.console.print(_after_epoch(title, done, total, note), markup=False)


class _Amount(ProgressColumn):
    """How much is done, where the columns of time do not say it already."""

    def render(self, task: Task) -> str:
        unit = task.fields["unit"]
        done = f"{task.completed:.1f}".removesuffix(".0")
        return "" if unit == "minutes" else f"{done} of {task.total:.4g} {unit}"


class _PlainBar:
    def __init__(self, console: RichConsole, title: str, total: float, unit: str):
        self._console, self._title, self._total, self._unit = console, title, total, unit
        self._started = self._printed = time.monotonic()
        self._done = 0.0
        self._parts: dict[str, str] = {}

    def advance(self, steps: float = 1, note: str = "") -> None:
        self._done += steps
        now = time.monotonic()
        if now - self._printed < _PLAIN_SECONDS or self._done <= 0:
            return
        self._printed = now
        elapsed = now - self._started
        left = elapsed / self._done * (self._total - self._done)
        done = "" if self._unit == "minutes" else f"{self._done:.1f} of {self._total:.4g} {self._unit}, "
        notes = [note] if note else [*self._parts.values()]
        told = "; ".join([f"{done}{elapsed:.0f} s of about {elapsed + max(left, 0):.0f} s", *notes])
        self._console.print(f"{self._title}: {told}", markup=False)

    def part(self, title: str, done: int, total: int, note: str) -> None:
        self._parts[title] = _after_epoch(title, done, total, note)
        if done >= total:
            self._console.print(self._parts.pop(title), markup=False)


def _after_epoch(title: str, done: int, total: int, note: str) -> str:
    return f"{title}: epoch {done} of {total}, {note}"


class _Output(RichConsole):
    """Ends the program without a word once nobody reads what it prints, as after `| head`."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())  # for what is flushed at the exit
        raise SystemExit(128 + signal.SIGPIPE)


class Console:
    """Prints everything that the user sees. plain: lines instead of moving bars, even on a terminal."""

    def __init__(self, plain: bool = False):
        self._out = _Output(highlight=False, soft_wrap=True)
        if not self._out.is_terminal:
            self._out.width = 110  # a file has no width, and rich would assume 80 columns
        self._err = _Output(highlight=False, soft_wrap=True, stderr=True)
        self._plain = plain or not self._out.is_terminal

    def say(self, text: str, copied: bool = False) -> None:
        """Print text to standard output; a terminal's lines end between words. copied: no line is broken."""
        self._out.print(text.translate(_VISIBLE), markup=False, soft_wrap=copied or not self._out.is_terminal)

    def warn(self, text: str) -> None:
        """Print a warning to standard output, in bold."""
        self._out.print(text.translate(_VISIBLE), style="bold yellow", markup=False)

    def error(self, text: str) -> None:
        """Print an error to standard error."""
        self._err.print(f"error: {text.translate(_VISIBLE)}", style="bold red", markup=False)

    def table(self, columns: list[str], rows: list[list[str]], title: str = "") -> None:
        """Print a table; cells are plain text."""
        headers = [Column(column, overflow="fold") for column in columns]  # a long name is never cut
        table = Table(
            *headers, title=title or None, title_justify="left", box=None, header_style="bold", pad_edge=False
        )
        for row in rows:
            table.add_row(*(escape(cell.translate(_VISIBLE)) for cell in row))
        self._out.print(table)

    @contextmanager
    def status(self, text: str) -> Iterator[None]:
        """Show what is happening until the end of the block, in a few words."""
        if self._plain:
            self.say(text)
            yield
            return
        with self._out.status(escape(text)):
            yield

    @contextmanager
    def bar(self, title: str, total: float, unit: str) -> Iterator[Bar]:
        """Show a progress bar, with the time left, until the end of the block. total: number of steps, in `unit`."""
        if self._plain:
            yield _PlainBar(self._out, title, total, unit)
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(_BAR_WIDTH),
            _Amount(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        # the speed is averaged over an hour, because some tasks advance only every few minutes
        with RichProgress(*columns, console=self._out, speed_estimate_period=3600) as progress:
            yield _TerminalBar(progress, title, total, unit)
