"""The command line: it parses what was typed, runs the stages of a command, and prints what they made.

`make submit BUDGET=30` runs `digits submit --budget 30`.
"""

import logging
import sys
import traceback
from collections.abc import Sequence
from contextlib import closing, nullcontext
from importlib import import_module
from importlib.util import find_spec
from io import TextIOWrapper
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from digits.cli import options
from digits.cli.catalogue import COMMANDS, GROUPS, ONLY_READS, WRITES, Command
from digits.cli.init import init
from digits.common.console import Console
from digits.common.disk import check_writable, refusal
from digits.common.errors import UserError
from digits.common.files import in_use, lock_file, sweep
from digits.common.interrupts import Interruption

if TYPE_CHECKING:
    from digits.cli.context import Context, Outcome

USER_FAULT, OUR_FAULT = 2, 1  # exit statuses
_RENAMED = {"study": "recipes"}


class _CommandLine(click.Group):
    """Lists its commands by group, and says where one has another name now."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, group in GROUPS.items():
            listed = (init, *group) if title == "Start" else group
            with formatter.section(title):
                formatter.write_dl([(command.name or "", command.short_help or "") for command in listed])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if new := _RENAMED.get(cmd_name):
            ctx.fail(f"{cmd_name} is called {new} now; type: {ctx.command_path} {new}")
        return super().get_command(ctx, cmd_name)


_COMMAND_LINE = _CommandLine(
    "digits",
    commands=[init, *COMMANDS.values()],
    help="From a Kaggle competition's CSVs of images to a scored submission that can be trusted.",
    epilog="COMMAND --help lists the options of a command; make help lists the same commands for make.",
    options_metavar="",
    context_settings={"max_content_width": 110},
    subcommand_metavar="COMMAND [OPTIONS]",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    typed = [*(sys.argv[1:] if arguments is None else arguments)]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names may have letters that the terminal's alphabet lacks
    console, interruption, made = Console(), Interruption(), ""
    try:
        with interruption.raised():
            parsed = options.parse(_COMMAND_LINE, typed or ["--help"])
            status = parsed if isinstance(parsed, int) else _execute(console, interruption, *parsed)
        if status is not None:
            return status
        made = "the result uses the finished fits"
    except UserError as error:
        console.error(str(error))
        return USER_FAULT
    except (KeyboardInterrupt, click.Abort) as error:  # Abort is what click makes of it
        made = str(error)
    except Exception as error:  # of `init`, which runs while it is parsed
        return _failed(console, error)
    console.error(f"interrupted; {made or 'what is finished is kept'}, and the same command continues from there")
    return interruption.status


def _execute(console: Console, interruption: Interruption, command: Command, values: dict[str, Any]) -> int | None:
    """Run a command with these values of its options; returns the exit status, None if the user ended it early.

    Raises KeyboardInterrupt if there is no result, with what there is.
    """
    logging.getLogger("digits").setLevel(logging.INFO)
    logging.getLogger("digits").propagate = False
    try:
        if command.fits_networks and not find_spec("tensorflow"):
            raise UserError(f"{command.name} needs TensorFlow and Keras; type: pip install 'digits[keras]'")
        if values.get("cluster") and not find_spec("distributed"):
            raise UserError("a cluster needs Dask; type: pip install 'digits[cluster]'")
        context = _context(command, values, console)
        if command.name in ONLY_READS:
            return None if _run(context, command.stages, interruption) else 0
        for name in ("runs", *(WRITES[stage] for stage in command.stages if stage in WRITES)):
            check_writable(getattr(context.paths, name))
        if lock_file(lock := context.paths.runs / ".lock") != lock:
            console.warn("runs/: this file system has no locks; use this folder on one computer at a time")
        sweep(context.paths.runs, context.paths.written)
        # clean-runs uses runs/ alone, once it knows what to remove
        with nullcontext() if command.name == "clean-runs" else in_use(context.paths.runs), closing(context):
            if command.name != "kaggle-gpu" and any(context.paths.sessions.glob("*.json")):
                context.sessions.end_abandoned()
            return None if _run(context, command.stages, interruption) else 0
    except UserError as error:
        console.error(str(error))
        return USER_FAULT
    except Exception as error:
        if interruption.signal:  # a library has made another error of it, as while it was imported
            raise KeyboardInterrupt from error
        return _failed(console, error, values["debug"])


def _failed(console: Console, error: Exception, debug: bool | None = None) -> int:
    """Print an error that no stage expects, in a line; returns the exit status. debug: None: not to be had."""
    if debug:
        traceback.print_exc()
    said = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        console.error(f"memory ran out{f': {said}' if said else ''}; close other programs, then type the same command")
        return USER_FAULT
    if refused := refusal(error):
        console.error(str(refused))
        return USER_FAULT
    hint = "; the same command with DEBUG=1 (or --debug) shows the details" if debug is False else ""
    console.error(f"{type(error).__name__}: {said}{hint}")
    return OUR_FAULT


def _context(command: Command, values: dict[str, Any], console: Console) -> "Context":
    """What the stages are given. Raises UserError if the params cannot be used."""
    # imported here, so that the help and refused options wait for none of the rooms
    from digits.cli.context import Context  # noqa: PLC0415
    from digits.config import Paths, load_params  # noqa: PLC0415

    if values["params"] == options.PARAMS_FILE and not values["params"].exists():
        raise UserError("this folder has no params.yaml; type `digits init` to make it a project, or go to one by cd")
    return Context(
        params=load_params(values["params"], options.overrides(command.params, values)),
        paths=Paths(Path.cwd()),
        console=console,
        data_path=values.get("data") or None,
        upload=values.get("upload"),
        force=values.get("force", False),
        only=values.get("only", ()),
        require_gpu=values.get("require_gpu", False),
        seeds=values.get("seeds"),
        file=values.get("file"),
        blend=values.get("blend") or None,
        tta=values.get("tta", False),
        compared=values.get("runs", ()),
        cluster_address=values.get("cluster") or None,
        fits_networks=command.fits_networks,
    )


def _run(context: "Context", stages: Sequence[str], interruption: Interruption) -> bool:
    """Run the stages in order; print what each made, how long it took, and what to type next.

    Returns whether the user interrupted one of them.
    """
    rows: list[list[str]] = []
    outcomes: list[Outcome] = []
    for stage in stages:
        if interruption.signal and not context.interrupted:  # a library has caught it
            raise KeyboardInterrupt
        started = perf_counter()
        # imported when it runs, so that light commands stay light
        outcome: Outcome = import_module(f"digits.cli.commands.{stage}").run(context)
        seconds = f"{perf_counter() - started:.1f} s" if outcome.worked else "unchanged"
        rows.append([stage, outcome.summary, seconds])
        outcomes.append(outcome)
        context.interrupted |= outcome.interrupted
    _tell(context.console, outcomes, rows)
    return context.interrupted


def _tell(console: Console, outcomes: "Sequence[Outcome]", rows: list[list[str]]) -> None:
    """Print the result, what to type next, and what each stage made; rows: stage, summary, time."""
    if not any(summary for _, summary, _ in rows):
        return
    last = outcomes[-1]
    console.say("")
    width = max((len(heading) for heading, _ in last.result), default=0)
    for heading, text in last.result:
        console.say(f"{heading:{width}}  {text}")
    if not any(outcome.worked for outcome in outcomes):
        console.say("Nothing to do: everything is up to date.")
    if last.next_steps:
        console.say("\nNext:" if last.result else "Next:")
        for step in last.next_steps:
            console.say(f"  {step}", copied=True)
    if last.result or last.next_steps:
        console.say("")
    console.table(["stage", "result", "time"], rows)
