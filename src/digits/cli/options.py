"""The options of the commands, each with its unit and its default; the Makefile's variables are passed as these."""

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from digits.common.errors import UserError


class ParamOption(click.Option):
    """An option that sets one param: --budget 30 of `train` is short for --set train.budget=30."""

    def __init__(self, declaration: str, key: str, **attributes: Any):
        super().__init__([declaration], **attributes)
        self.key = key


def parse(command: click.Command, arguments: Sequence[str] | None = None) -> Any:
    """The return value of the command's callback; 0 where it has printed its help.

    arguments: None: those of this process. Raises UserError where the command does not understand them.
    """
    try:
        return command.main(arguments, standalone_mode=False)
    except (click.NoSuchCommand, click.NoSuchOption) as error:
        hint = f"; did you mean {error.possibilities[0]}?" if error.possibilities else ""
        raise UserError(error.message.removesuffix(".") + hint) from None
    except click.ClickException as error:
        raise UserError(error.format_message()) from None


def overrides(declared: Iterable[click.Parameter], values: Mapping[str, Any]) -> list[str]:
    """The KEY=VALUE of all options in `values`, in the order in which they are laid over the params file."""
    own = [
        f"{option.key}={json.dumps(values[option.name])}"
        for option in declared
        if isinstance(option, ParamOption) and option.name and values[option.name] is not None
    ]
    return [*values["set"], *values["sets"], *own]


def _shell_words(_: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> tuple[str, ...]:
    """The words of all texts, as a shell splits them: quotes hold words together."""
    try:
        return tuple(word for text in texts for word in shlex.split(text))
    except ValueError as error:
        raise click.BadParameter(f"{' '.join(texts)!r} cannot be split into words: {error}", param=option) from None


PARAMS_FILE = Path("params.yaml")
PARAMS = (
    click.Option(
        ["--params"],
        metavar="FILE",
        type=click.Path(path_type=Path),
        default=PARAMS_FILE,
        show_default=True,
        help="Params file.",
    ),
    click.Option(
        ["--set"],
        metavar="KEY=VALUE",
        multiple=True,
        help='A param that differs from the file, such as "train.layers=8C3 MP2 8"; may be repeated.',
    ),
    click.Option(
        ["--sets"],
        metavar="'KEY=VALUE ...'",
        multiple=True,
        callback=_shell_words,
        help="Several params in one text, split as a shell does; this is make's SET.",
    ),
)
DEBUG = click.Option(["--debug"], is_flag=True, help="Show tracebacks instead of one-line errors.")
DATA = click.Option(
    ["--data"],
    metavar="PATH",
    help="Zip or folder with the competition's files, or the word practice. "
    "[default: files in data/raw, else those on Kaggle, else practice images]",
)
SEEDS = click.Option(
    ["--seeds"],
    metavar="NUMBER",
    type=click.IntRange(1, 100),
    help="Fits of each recipe, each with its own seed. [default: as many as the recipe says]",
)
FILE = click.Option(
    ["--file"],
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="Images to label: a CSV as the test file, a PNG or JPEG, or a folder of those.",
)
BLEND = click.Option(
    ["--blend"], metavar="NAME", help="Blend in runs/ to use. [default: the newest one of this competition]"
)
TTA = click.Option(
    ["--tta"],
    is_flag=True,
    help="Average over transformed copies of an image that the networks are unsure of, as submit does; the files are "
    "larger and slower.",
)
RUNS = click.Option(
    ["--runs"],
    metavar="'NAME NAME'",
    multiple=True,
    callback=_shell_words,
    help="Two runs or blends in runs/ to compare. [default: the two newest]",
)
UPLOAD = click.Option(
    ["--upload/--no-upload"],
    default=None,
    help="Send the file to Kaggle, or write and check it only. [default: send it if there are credentials]",
)
FORCE = click.Option(["--force"], is_flag=True, help="Send the file again, even if Kaggle has it or may have it.")
UNASKED = click.Option(["--force"], is_flag=True, help="Remove without asking.")
REQUIRE_GPU = click.Option(["--require-gpu"], is_flag=True, help="Stop if TensorFlow finds no GPU.")
CLUSTER = click.Option(
    ["--cluster"],
    metavar="ADDRESS",
    help="Scheduler of a Dask cluster that makes the fits, as tcp://HOST:8786, or the file that it has written. "
    "[default: this computer makes them]",
)
STORAGE_VARIABLE = "DIGITS_STORAGE"  # in the environment, where make puts an address with its password
STORAGE = ParamOption(
    "--storage",
    "tune.storage",
    metavar="URL",
    envvar=STORAGE_VARIABLE,
    help="Database that lets several machines share a search and its budget, such as "
    "postgresql://USER:PASSWORD@HOST/NAME. [default: a file in runs/tune]",
)


def only(verb: str, default: str) -> click.Option:
    """Names of what to fit or to remove; `default`: which ones without it."""
    return click.Option(
        ["--only"],
        metavar="NAME",
        multiple=True,
        callback=_shell_words,
        help=f"What to {verb}; * and ? are wildcards; may be repeated. [default: {default}]",
    )


def budget(section: str, minutes: float) -> ParamOption:
    """Minutes for all fits of `section`; `minutes` is its default in params.yaml."""
    return ParamOption(
        "--budget",
        f"{section}.budget",
        metavar="MINUTES",
        type=float,
        help=f"Minutes for all fits together. [default: {section}.budget of the params file, {minutes:g}]",
    )


def workers(section: str, zero: str) -> ParamOption:
    """Fits of `section` in parallel; `zero` says what 0 stands for, the default in params.yaml."""
    return ParamOption(
        "--workers",
        f"{section}.workers",
        metavar="NUMBER",
        type=int,
        help=f"Fits in parallel; 0: {zero}. [default: {section}.workers of the params file, 0]",
    )
