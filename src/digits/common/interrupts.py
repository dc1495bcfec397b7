"""Ctrl-C, SIGTERM and SIGHUP: the first one ends a command at its next safe point, the second one at once."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import inf
from multiprocessing import resource_tracker
from threading import current_thread, main_thread
from time import monotonic
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SAME = 0.5  # seconds: `timeout`, make and shells send a signal to a process and once more to its group
_AT_ONCE = 2.0  # seconds to remove temporary files after the second signal
_LOST = 0.05  # seconds after which an exception that went nowhere is raised again


class Interruption:
    """Whether a command was interrupted. signal: the number of the first signal; 0: none has come."""

    def __init__(self) -> None:
        self.signal, self._last, self._end = 0, -inf, inf
        self._hook = sys.unraisablehook

    @property
    def status(self) -> int:
        """Exit status of the interrupted command: 128 and the number of the first signal, as in a shell."""
        return 128 + (self.signal or signal.SIGINT)

    @contextmanager
    def raised(self) -> Iterator[None]:
        """Raise KeyboardInterrupt for each of the signals in this block; those that are ignored stay so, as by nohup.

        The process ends two seconds after the second signal, also if its threads still wait for something.
        """
        if current_thread() is not main_thread():  # the only one that may handle signals
            yield
            return
        handled = [number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        former = {number: signal.signal(number, self._on_signal) for number in handled}
        self._hook, sys.unraisablehook = sys.unraisablehook, self._on_lost
        try:
            yield
        finally:
            sys.unraisablehook = self._hook
            if self.signal:
                self._set_alarm()
            for number, handler in former.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _: Any) -> None:
        first, former, self._last = not self.signal, self._last, monotonic()
        if number == signal.SIGHUP:
            _leave_terminal()
        if first:
            self.signal = number
            signal.signal(signal.SIGALRM, self._on_alarm)
        elif self._last - former < _SAME:
            return
        else:
            self._end = min(self._end, self._last + _AT_ONCE)
            self._set_alarm()
        raise KeyboardInterrupt

    def _set_alarm(self) -> None:
        """Set it to the end of the process, if that is near, and else to none."""
        signal.setitimer(signal.ITIMER_REAL, max(_LOST, self._end - monotonic()) if self._end < inf else 0)

    def _on_alarm(self, *_: Any) -> None:
        if monotonic() >= self._end:
            os._exit(self.status)
        self._set_alarm()
        raise KeyboardInterrupt

    def _on_lost(self, lost: "sys.UnraisableHookArgs") -> None:
        """Python only shows what is raised where it cannot be caught, as while an object is removed."""
        if issubclass(lost.exc_type, KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, _LOST)
        else:
            self._hook(lost)


def _leave_terminal() -> None:
    """Let what is still printed go nowhere if the terminal is closed."""
    for stream in (1, 2):
        try:
            os.write(stream, b"")
        except OSError:
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)


@contextmanager
def withheld() -> Iterator[None]:
    """Keep the signals from all processes that are started in this block: who has started them will end them.

    A terminal sends Ctrl-C to all of them. One that is only starting would show a traceback.
    """
    former = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        resource_tracker.ensure_running()  # where it starts now, it unblocks signals, until Python 3.12
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)
