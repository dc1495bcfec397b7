"""Signals: the first one interrupts, the second one ends the process; one that comes twice at once is one."""

import signal
import subprocess
import sys
import time

import pytest

# The thread stands for whatever Python would wait for at its exit; sys.argv: seconds to the next safe point.
SCRIPT = """
import os, sys, threading, time
from digits.common.interrupts import Interruption
threading.Thread(target=time.sleep, args=(3600,)).start()
interruption, again = Interruption(), False
try:
    with interruption.raised():
        try:
            print("ready", flush=True)
            time.sleep(3600)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
            time.sleep(float(sys.argv[1]))
except KeyboardInterrupt:
    again = True
print("again" if again else "safe", flush=True)
if not again:
    os._exit(interruption.status)
"""
APART = 0.7  # seconds between two signals that are two


def started(to_safety: float, *before: str) -> "subprocess.Popen[str]":
    command = [*before, sys.executable, "-c", SCRIPT, str(to_safety)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_status_names_the_signal(number: signal.Signals) -> None:
    process = started(0)
    process.send_signal(number)
    assert process.communicate(timeout=60)[0] == "interrupted\nsafe\n"
    assert process.returncode == 128 + number


def test_what_comes_twice_at_once_is_one_interruption() -> None:
    """As from `timeout`, which sends its signal to the process and to its group."""
    process = started(2 * APART)
    process.send_signal(signal.SIGTERM)
    assert process.stdout
    assert process.stdout.readline() == "interrupted\n"
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=60)[0] == "safe\n"
    assert process.returncode == 143


def test_the_second_ends_it_whatever_it_waits_for() -> None:
    process = started(3600)
    process.send_signal(signal.SIGINT)
    time.sleep(APART)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=60)[0] == "interrupted\nagain\n"
    assert process.returncode == 130


def test_an_interruption_that_python_would_lose_is_raised_again() -> None:
    """While an object is removed, exceptions go nowhere."""
    script = """
import signal, time
from digits.common.interrupts import Interruption
class Slow:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)
interruption = Interruption()
try:
    with interruption.raised():
        Slow()
        time.sleep(3600)
except KeyboardInterrupt:
    print(interruption.status)
"""
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert (shown.stdout, shown.stderr) == ("143\n", "")


def test_what_is_ignored_stays_so() -> None:
    """As after nohup."""
    process = started(0, "sh", "-c", 'trap "" HUP; exec "$@"', "sh")
    process.send_signal(signal.SIGHUP)
    time.sleep(APART)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
