"""Write docs/reference/: the params from the schema and the comments of params.yaml, the commands from the program."""

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import click
import yaml
from pydantic import BaseModel

from digits.cli.catalogue import GROUPS, Command
from digits.cli.init import init
from digits.common.markdown import table
from digits.config.baselines import BaselineSpec
from digits.config.faults import allowed
from digits.config.networks import CnnSpec, TtaView
from digits.config.schema import Params
from digits.models.distributions import Categorical, Dimension
from digits.models.search_space import SPACES

ROOT = Path(__file__).parents[1]
Comments = Mapping[str, str]


def read_comments(text: str) -> dict[str, str]:
    """The comment of each key of a params file, by its full path: what follows # on its line and the lines below."""
    comments: dict[str, str] = {}
    path: list[tuple[int, str]] = []  # of the sections that the line is in: indentation and name
    for line in text.splitlines():
        code, _, comment = line.partition(" #" if "#" in line.lstrip()[1:] else "#")
        comment = comment.strip()
        key = re.match(r"^( *)([\w-]+):( |$)", code)
        if key:
            indent = len(key[1])
            path = [*((depth, name) for depth, name in path if depth < indent), (indent, key[2])]
        elif not comment or code.strip():
            continue
        if comment and path:
            name = ".".join(name for _, name in path)
            comments[name] = f"{comments[name]} {comment}" if name in comments and not key else comment
    return comments


def params_page(text: str) -> str:
    """docs/reference/params.md, from the text of params.yaml."""
    return "\n".join(_params_lines(yaml.safe_load(text), read_comments(text))).rstrip() + "\n"


def _params_lines(values: dict[str, Any], comments: Comments) -> Iterator[str]:
    yield "# Reference of the params"
    yield ""
    yield "Every key of [params.yaml](../../params.yaml): its value there, what it may be, and what it means. Set a"
    yield 'key for one command with `SET="train.epochs=3"`. A file of your own begins with `extends: params.yaml` and'
    yield "lists what differs. This page is made from the code that checks the file (`make reference`)."
    yield ""
    for name, field in Params.model_fields.items():
        yield f"## {name}"
        yield ""
        if name in comments:
            yield re.sub(r"^[Mm]ake ([a-z-]+)", r"`make \1`", _sentence(comments[name])) + "\n"
        section = field.annotation
        if name == "networks":
            yield from _networks(values, comments)
        else:
            yield from _table(section, values[name], comments, name)
        if name == "baseline":
            yield from _baselines(values, comments)
        if name == "train":
            yield "### train.tta\n"
            yield f"{_doc(TtaView)} Each item of the list has some of these keys; the others are as here.\n"
            yield from _table(TtaView, {key: entry.default for key, entry in TtaView.model_fields.items()}, {}, "")
        if name == "tune":
            yield from _spaces()


def _table(model: Any, values: Mapping[str, Any], comments: Comments, above: str) -> Iterator[str]:
    """A table of a section's keys, and of the keys of the sections in it."""
    rows = [
        (f"`{key}`", _value(value), words, _cell(comments.get(f"{above}.{key}", "")))
        for key, value, words in _keys(model, values)
    ]
    yield table(["key", "value", "allowed", "meaning"], rows, "l")
    yield ""


def _keys(model: type[BaseModel], values: Mapping[str, Any]) -> Iterator[tuple[str, Any, str]]:
    """Each key of a section, its value and what it may be; those of a section within it as section.key."""
    schema = model.model_json_schema()
    for key, field in model.model_fields.items():
        node, value = schema["properties"][key], values.get(key)
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            for name, below, words in _keys(inner, value or {}):
                yield f"{key}.{name}", below, words
        else:
            yield key, value, allowed(schema, node)


def _baselines(values: dict[str, Any], comments: Comments) -> Iterator[str]:
    """A table for each kind of scikit-learn model, with the values of the first one of that kind."""
    models = values["baseline"]["models"]
    union, *_ = get_args(BaselineSpec)
    for spec in get_args(union):
        [kind] = get_args(spec.model_fields["kind"].annotation)
        yield f"### kind: {kind}"
        yield ""
        yield f"{_doc(spec)}\n"
        name = next((name for name, model in models.items() if model["kind"] == kind), None)
        where = f"baseline.models.{name}"
        yield (
            f"The values are those of `{where}`.\n" if name else "None of the models in params.yaml is of this kind.\n"
        )
        borrowed = {f"{where}.{key}": _any_comment(comments, key) for key in spec.model_fields}
        yield from _table(spec, models.get(name, {}), {**borrowed, **comments}, where)


def _any_comment(comments: Comments, key: str) -> str:
    """The comment on a key of any model; params.yaml explains a key where it comes first."""
    return next((text for name, text in comments.items() if re.fullmatch(rf"baseline\.models\.[^.]+\.{key}", name)), "")


def _networks(values: dict[str, Any], comments: Comments) -> Iterator[str]:
    """What each named network changes of `train`."""
    yield "A network is `train` with the keys of its own section in place of those of `train`. Every key of `train`"
    yield "that describes a network is allowed."
    yield ""
    keys = [*CnnSpec.model_fields]
    rows = [
        (f"`{name}`", f"`{key}`", _value(value), _cell(comments.get(f"networks.{name}.{key}", "")))
        for name, network in values["networks"].items()
        for key, value in sorted(network.items(), key=lambda item: keys.index(item[0]))
    ]
    yield table(["network", "key", "value", "meaning"], rows, "l")
    yield ""


def _spaces() -> Iterator[str]:
    """The dimensions of a search, which `tune.space` may narrow."""
    for kind, space in SPACES.items():
        yield f"### tune.space, kind: {kind}"
        yield ""
        rows = [(f"`{name}`", _distribution(dimension), _condition(dimension)) for name, dimension in space.items()]
        yield table(["dimension", "searched", "where"], rows, "l")
        yield ""


def _distribution(dimension: Dimension) -> str:
    found = dimension.distribution
    if isinstance(found, Categorical):
        return ", ".join(_value(choice) for choice in found.choices)
    return f"{found.low:g} to {found.high:g}" + (", on a logarithmic scale" if found.log else "")


def _condition(dimension: Dimension) -> str:
    if dimension.condition is None:
        return "always"
    name, choices = dimension.condition
    return f"`{name}` is " + " or ".join(_value(choice) for choice in choices)


def commands_page() -> str:
    """docs/reference/commands.md, from the table of commands."""
    return "\n".join(_commands_lines()).rstrip() + "\n"


def _commands_lines() -> Iterator[str]:
    yield "# Reference of the commands"
    yield ""
    yield "Every command and its options. `make submit BUDGET=30` and `digits submit --budget 30` do the same."
    yield "`make help` also lists the commands for developers. This page is made from the program (`make reference`)."
    yield ""
    yield "## init"
    yield ""
    yield f"{' '.join((init.help or '').split())}"
    yield ""
    yield "    digits init FOLDER"
    yield ""
    for group in GROUPS.values():
        for command in group:
            yield from _command(command)


def _command(command: Command) -> Iterator[str]:
    yield f"## {command.name}"
    yield ""
    yield " ".join((command.help or "").split())
    yield ""
    yield f"    make {command.name}"
    yield ""
    rows = [row for option in command.params if isinstance(option, click.Option) for row in _option(option)]
    yield table(["make", "program", "meaning"], rows, "l")
    yield ""


def _option(option: click.Option) -> Iterator[tuple[str, str, str]]:
    flag = option.opts[0]
    variable = {"--set": "", "--sets": "SET"}.get(flag, flag.removeprefix("--").replace("-", "_").upper())
    value = f" {option.metavar}" if option.metavar else ""
    shown = " or ".join(f"`{each}`" for each in (f"{flag}{value}", *option.secondary_opts))
    example = "1" if option.is_flag else (option.metavar or "").strip("'")
    if option.secondary_opts:
        example = "0 or 1"
    default = f" [default: {option.default}]" if option.show_default else ""
    yield (f"`{variable}={example}`" if variable else "", shown, _cell((option.help or "") + default))


def _value(value: Any) -> str:
    """A value as params.yaml would have it, as code."""
    if isinstance(value, dict) and len(value) > 2:
        return "see params.yaml"
    words = yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False).strip().removesuffix("...")
    return f"`{_cell(words.strip())}`"


def _cell(text: str) -> str:
    return " ".join(text.split())


def _doc(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split())


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:].rstrip(".") + "."


def pages(root: Path = ROOT) -> dict[Path, str]:
    """The text of each page of the reference, by its path."""
    folder = root / "docs" / "reference"
    text = (root / "params.yaml").read_text(encoding="utf-8")
    return {folder / "params.md": params_page(text), folder / "commands.md": commands_page()}


def main(check: bool) -> int:
    """Write the pages, or only say which ones are not current; returns the exit status."""
    stale = [path for path, text in pages().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if not check:
            path.write_text(pages()[path], encoding="utf-8")
        print(path.relative_to(ROOT), "is not current; type: make reference" if check else "is written")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
