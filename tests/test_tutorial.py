"""The tutorial's commands do what it shows: each is run on practice images, in order, and says what the page says."""

import re
import shlex
from pathlib import Path

import pytest

from test_docs import blocks
from toys import ROOT, SMALL, Digits

pytestmark = pytest.mark.slow

TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text()
# small enough for a test, with time for one fold
QUICK = [each for each in SMALL if not each.startswith(("baseline.", "train.tta", "data.folds"))]
FIGURES = r"\d[\d,]*(\.\d+)?"


def shape(text: str) -> str:
    """A line without what differs between runs and machines: figures, names of networks, runs and files."""
    text = re.sub(r"\b[0-9a-f]{10,16}\b", "HASH", text)
    text = re.sub(r"\bin (mixed_bfloat16|float32)( \([^)]*\))?", "in PRECISION", text)
    text = re.sub(r"\b(\d+C\d+v?|[MA]P\d|D0\.\d+|BN)( (\d+C\d+v?|[MA]P\d|D0\.\d+|BN|\d+))*", "LAYERS", text)
    text = re.sub(r"\b(narrow|tiny|small|medium|deep|default)\b", "NAME", text)
    text = re.sub(r"\b(practice|digit-recognizer)(-HASH|\.zip)?\b", "DATA\\2", text)
    text = text.replace("accuracy not known yet", "expected score about 0.99, to within 0.01")
    text = re.sub(r", then \d+ refits? of .* on all labelled images", "", text)  # for which this test leaves no time
    text = re.sub(FIGURES, "#", text)
    text = re.sub(r"\b(fold|refit|fit|epoch|minute|model|run|thread)s\b", r"\1", text)
    return " ".join(text.split())


def results(text: str) -> dict[str, str]:
    """The result of each stage in the table at a command's end, by stage; cells that were wrapped are joined."""
    found: dict[str, str] = {}
    match = re.search(r"^stage +(?=result)", text, re.MULTILINE)
    if match is None:
        return found
    width = match.end() - match.start()
    for line in text[match.end() :].splitlines()[1:]:
        stage, cell = line[:width].strip(), line[width:]
        if not line.strip():
            break
        if stage:
            found[stage] = ""
        cell = re.sub(r"\s{2,}[\d.]+ s\s*$|\s{2,}unchanged\s*$", "", cell)
        found[[*found][-1]] += f" {cell.strip()}"
    return {stage: _figures_of(shape(cell)) for stage, cell in found.items()}


def _figures_of(result: str) -> str:
    """A result without the method that the blend has chosen; a practice file says no score."""
    _, colon, blend = result.partition("expected score # (# to #), CV")
    return colon + blend or result.replace("DATA only", "expected score # (# to #)")


def steps() -> list[tuple[str, str]]:
    """The commands of the tutorial, each with the output that the page shows before the next one."""
    parts = re.split(r"^```console\n(.*?)^```\n", TUTORIAL, flags=re.MULTILINE | re.DOTALL)
    shown = ["\n".join(blocks(part, "text")) for part in parts[2::2]]
    return [*zip([command.strip() for command in parts[1::2]], shown, strict=True)]


def arguments(command: str, *also: str) -> list[str]:
    """Arguments of the program for a make command, on practice images; also: further overrides."""
    _, name, *variables = shlex.split(command)
    given = dict(word.split("=", 1) for word in variables)
    options = [] if name == "submissions" else ["--data", "practice"]
    if "ONLY" in given:
        options += ["--only", given["ONLY"]]
    assert given.keys() <= {"DATA", "ONLY", "BUDGET"}
    return [name, *options, *(f"--set={each}" for each in also), *(f"--set={each}" for each in QUICK)]


def test_each_command_does_what_the_tutorial_shows(digits: Digits, workspace: Path) -> None:
    assert [command.split()[1] for command, _ in steps()] == [
        "submit",
        "data",
        "baseline",
        "submit",
        "report",
        "submit",
        "submissions",
    ]
    for number, (command, page) in enumerate(steps()):
        # the page goes from practice to the competition's images, and this test only to other seeds
        shown = digits(*arguments(command, f"train.seed={42 + (number > 0)}"), toy=False)
        assert shown.returncode == 0, shown.stderr
        expected, found = results(page), results(shown.stdout)
        for stage, result in expected.items():
            assert result == found[stage], command
        said = {shape(line) for line in shown.stdout.splitlines()}
        plain = page.split("\nstage ")[0]
        for line in filter(None, map(shape, plain.splitlines())):
            assert line in said or line == "...", f"{command}: {line}"
    assert (workspace / "reports" / "index.html").exists()
