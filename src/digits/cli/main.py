"""The command line: run the named stages in order, tell what came of it.

`make` is the face of this; see `make help`.
"""

import argparse
import logging
import shlex
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from time import perf_counter

from digits.cli.context import Context, Outcome
from digits.common.console import Console
from digits.common.errors import UserError
from digits.config import Paths, load_params

# imported when run, so that the light ones stay light
STAGES = (
    "fetch",
    "prepare",
    "baseline",
    "tune",
    "dashboard",
    "train",
    "ensemble",
    "submit",
    "score",
    "submissions",
    "leaderboard",
    "study",
    "report",
)
UPLOAD = {"auto": None, "always": True, "never": False}

USER_FAULT, OUR_FAULT, INTERRUPTED = 2, 1, 130  # exit statuses


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    options = _parser().parse_args(arguments)
    console = Console()
    logging.getLogger("digits").setLevel(logging.INFO)
    logging.getLogger("digits").propagate = False
    try:
        params = load_params(options.params, _words("SET", options.set))
        only = _words("ONLY", options.only)
        context = Context(
            params=params,
            paths=Paths(Path.cwd()),
            console=console,
            named=options.data or None,
            upload=UPLOAD[options.upload],
            force=options.force,
            only=only,
            require_gpu=options.require_gpu,
            seeds=options.seeds,
        )
        interrupted = _run(context, options.stages)
    except UserError as error:
        console.error(str(error))
        return USER_FAULT
    except KeyboardInterrupt:
        console.error("interrupted; every finished fit is kept, the same command goes on from there")
        return INTERRUPTED
    except Exception as error:
        if options.debug:
            traceback.print_exc()
        hint = "" if options.debug else "; type the same with DEBUG=1 for the details"
        console.error(f"{type(error).__name__}: {' '.join(str(error).split())}{hint}")
        return OUR_FAULT
    if interrupted:
        console.error("interrupted: this is made of what was finished; the same command goes on from there")
        return INTERRUPTED
    return 0


def _words(name: str, text: str) -> tuple[str, ...]:
    """The words of a variable, which a shell's quotes may hold together."""
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise UserError(f"{name}: {text!r} cannot be taken apart: {error}") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="digits", description=__doc__)
    parser.add_argument("stages", nargs="+", choices=STAGES, metavar="STAGE", help=", ".join(STAGES))
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="params file")
    parser.add_argument("--set", default="", metavar="'KEY=VALUE ...'", help="params that differ from the file")
    parser.add_argument("--data", help="zip or folder of the competition's files, or the word practice")
    parser.add_argument("--only", default="", metavar="'NAME ...'", help="baselines or recipes; * and ? are wildcards")
    parser.add_argument(
        "--upload", choices=UPLOAD, default="auto", help="send the submission to Kaggle; auto: if there are credentials"
    )
    parser.add_argument("--force", action="store_true", help="send it once more, though Kaggle has it")
    parser.add_argument("--require-gpu", action="store_true", help="refuse to train networks without a GPU")
    parser.add_argument("--seeds", type=_seeds, help="study: fits of every recipe, from as many seeds")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def _seeds(text: str) -> int | None:
    if text and not (text.isdecimal() and 0 < int(text) <= 100):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 100")
    return int(text) if text else None


def _run(context: Context, stages: Sequence[str]) -> bool:
    """Run the stages in order and print what each made, how long it took, and what to do next.

    Returns whether the user ended one of them before its time.
    """
    rows: list[list[str]] = []
    outcomes: list[Outcome] = []
    for stage in stages:
        started = perf_counter()
        outcome: Outcome = import_module(f"digits.cli.commands.{stage}").run(context)
        seconds = f"{perf_counter() - started:.1f} s" if outcome.worked else "unchanged"
        rows.append([stage, outcome.summary, seconds])
        outcomes.append(outcome)
    context.console.say("")
    context.console.table(["stage", "result", "time"], rows)
    if not any(outcome.worked for outcome in outcomes):
        context.console.say("\nNothing to do: everything is up to date.")
    if outcomes[-1].next_steps:
        context.console.say("\nNext:")
        for step in outcomes[-1].next_steps:
            context.console.say(f"  {step}")
    return any(outcome.interrupted for outcome in outcomes)


if __name__ == "__main__":
    sys.exit(main())
