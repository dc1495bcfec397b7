"""The command line by itself: which commands and options there are, their help, and what is refused."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from digits.cli import main as command_line
from digits.cli.catalogue import COMMANDS, GROUPS
from digits.cli.context import Outcome
from digits.cli.main import main
from digits.cli.options import ParamOption
from digits.config import Params
from toys import ROOT, Digits

HEAVY = {"tensorflow", "keras", "sklearn", "scipy", "optuna", "pandas", "numpy", "kaggle", "matplotlib"}


@pytest.fixture
def started(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Params, options and stages of every command that is typed in the test, none of which runs."""
    commands: list[dict[str, Any]] = []
    monkeypatch.setattr(
        command_line, "_run", lambda context, stages, _: commands.append(vars(context) | {"stages": stages})
    )
    monkeypatch.chdir(workspace)
    return commands


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line with which the arguments are refused."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err


def test_every_stage_is_a_module_and_belongs_to_a_command() -> None:
    modules = {path.stem for path in (ROOT / "src" / "digits" / "cli" / "commands").glob("[!_]*.py")}
    assert {stage for command in COMMANDS.values() for stage in command.stages} == modules
    assert COMMANDS["submit"].stages == ("fetch", "prepare", "train", "ensemble", "submit")


def test_the_help_lists_every_command_under_its_group(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert main([]) == 0
    assert capsys.readouterr().out == shown
    places = [shown.index(f"\n{title}:\n") for title in GROUPS]
    for (title, group), start, end in zip(GROUPS.items(), places, [*places[1:], len(shown)], strict=True):
        names = ["init"] * (title == "Start") + [command.name for command in group]
        assert re.findall(r"^  ([a-z-]+)  ", shown[start:end], re.MULTILINE) == names


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_names_its_options(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    options = {option for parameter in COMMANDS[name].params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert options >= {"--params", "--set", "--debug"}
    lines = [line for line in shown.splitlines() if line.startswith("  --")]
    assert {word for line in lines for word in re.findall(r"--[a-z-]+", line)} == options | {"--help"}
    assert ("fetch, prepare" in shown) == ("fetch" in COMMANDS[name].stages)


def test_help_waits_for_no_large_library() -> None:
    script = "import sys; from digits.cli.main import main; main(sys.argv[1:]); print(*sys.modules)"
    for name in ("submit", "tune", ""):
        command = [sys.executable, "-c", script, *filter(None, [name, "--help"])]
        shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert "--help" in shown
        assert not HEAVY & set(shown.splitlines()[-1].split())


def test_defaults_in_the_help_are_those_of_params_yaml(params: Params) -> None:
    for command in COMMANDS.values():
        for option in command.params:
            if isinstance(option, ParamOption) and option.name != "storage":
                section, name = option.key.split(".")
                default = getattr(getattr(params, section), name)
                assert f"[default: {option.key} of the params file, {default:g}]" in str(option.help)


def test_options_set_params_beneath_no_other(started: list[dict[str, Any]]) -> None:
    typed = [
        "--set",
        "train.layers=8C3 MP2 8",
        "--sets",
        "train.epochs=3 train.augment.shift=1",
        "--set",
        "train.epochs=2",
    ]
    assert main(["train", *typed, "--budget", "0.5"]) == 0
    assert main(["tune", "--budget", "7", "--workers", "3", "--storage", "postgresql://me:a:# b@host/name"]) == 0
    assert main(["baseline", "--workers", "2", "--only", "mlp-256", "--only", "svm* knn"]) == 0
    train, tune, baseline = started
    spec = train["params"].train
    assert (spec.layers, spec.epochs, spec.augment.shift, spec.budget) == ("8C3 MP2 8", 3, 1, 0.5)
    search = tune["params"].tune
    assert (search.budget, search.workers, search.storage) == (7, 3, "postgresql://me:a:# b@host/name")
    assert (baseline["params"].baseline.workers, baseline["only"]) == (2, ("mlp-256", "svm*", "knn"))
    assert baseline["stages"] == ("fetch", "prepare", "baseline")


def test_uploading_is_decided_by_the_credentials_unless_it_is_said(started: list[dict[str, Any]]) -> None:
    for typed in ([], ["--upload"], ["--no-upload"], ["--force"]):
        assert main(["submit", *typed]) == 0
    assert [(each["upload"], each["force"]) for each in started] == [
        (None, False),
        (True, False),
        (False, False),
        (None, True),
    ]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["sumbit"], "No such command 'sumbit'; did you mean submit?"),
        (["tune", "--storag", "x"], "No such option '--storag'; did you mean --storage?"),
        (["score", "--budget", "3"], "No such option '--budget'"),
        (["submit", "--budget", "soon"], "'soon' is not a valid float"),
        (["recipes", "--seeds", "0"], "0 is not in the range 1<=x<=100"),
        (["baseline", "--only", '"a'], "cannot be split into words: No closing quotation"),
        (["submit", "baseline"], "unexpected extra argument (baseline)"),
        (["study", "--only", "opt-*"], "study is called recipes now; type: "),
        (["data", "--set", "train.epoch=3"], "unknown key train.epoch; did you mean train.epochs?"),
        (["train", "--budget", "-1"], "train.budget = -1.0, but it must be a number above 0"),
    ],
)
def test_bad_usage_is_one_line(
    typed: list[str], message: str, workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workspace)
    assert message in refused(capsys, *typed)


def test_it_is_typed_as_a_module_too() -> None:
    command = [sys.executable, "-m", "digits", "score", "--help"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert shown.startswith("Usage: python -m digits score [OPTIONS]\n")


def test_the_stages_of_a_command_are_summed_up(digits: Digits, workspace: Path) -> None:
    shown = digits("data", "--data", "practice", toy=False)
    assert shown.returncode == 0
    assert re.findall(r"^(fetch|prepare)  ", shown.stdout, re.MULTILINE) == ["fetch", "prepare"]


@pytest.mark.parametrize("lost", [None, ImportError("initialization failed")])
def test_an_interruption_that_a_library_catches_ends_the_command_all_the_same(
    lost: Exception | None, workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the next stage, or where the library makes another error of it, as in the middle of an import."""

    def fetch(_: object) -> Outcome:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        except KeyboardInterrupt:
            if lost:
                raise lost from None
        return Outcome("a stage that knows of nothing", worked=True)

    monkeypatch.chdir(workspace)
    monkeypatch.setattr("digits.cli.commands.fetch.run", fetch)
    assert main(["data"]) == 143
    told = capsys.readouterr().err
    assert told == "error: interrupted; what is finished is kept, and the same command continues from there\n"
