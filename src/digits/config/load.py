"""Merges params files and SET into validated params, or reports one readable line per fault.

Params come in layers (of params, not of a network): the file that the params file extends, the file itself, then each
word of SET. Each layer changes the layers before it by these rules:
- Sections are merged key by key; lists and single values are replaced. A value of SET replaces the whole value of its
  key, and `baseline.models` of a file replaces all earlier models. A section with another `kind` or `name` than before,
  such as a schedule or an optimizer, is replaced as well.
- A network is `train` with the changes of the network's own section in `networks`. What a layer sets in `train`
  overrides what earlier layers set for a network.
- A measured accuracy belongs to the network as it was in the layer that states the accuracy. A later layer that changes
  the network removes the accuracy.
- At the end, the network that train.network names, if any, is merged into `train`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from digits.common.errors import UserError
from digits.common.matching import hint
from digits.config.faults import validate
from digits.config.overrides import Content, lay_over, take_network
from digits.config.schema import Params
from digits.config.section import Replacement
from digits.config.yaml_reader import parse_yaml, read_yaml


def load_params(path: Path, overrides: Sequence[str] = ()) -> Params:
    """Params of the file at `path` and of the files that it extends, changed by `overrides` such as "train.epochs=3".

    Raises UserError with one line per fault: the key's full path, what is allowed and the nearest valid name.
    """
    content: Content = {}
    for layer in _file_layers(path):
        content = lay_over(content, layer)
    for override in overrides:
        content = lay_over(content, _set_layer(override, content))
    return validate(Params, take_network(content, path.name), path.name)


def _file_layers(path: Path, extended_by: tuple[Path, ...] = ()) -> list[Content]:
    """The layers of the files that this one extends, the most basic one first, then its own."""
    layer = read_yaml(path)
    baseline = layer.get("baseline")
    if isinstance(baseline, dict) and isinstance(baseline.get("models"), dict):
        baseline["models"] = Replacement(baseline["models"])  # models that the file does not list are dropped
    base = layer.pop("extends", None)
    if base is None:
        return [layer]
    other = path.parent / str(base)
    if other.resolve() in (path.resolve(), *extended_by):
        raise UserError(f"{path}: extends {base}, which extends this file in turn; remove one `extends`")
    return [*_file_layers(other, (*extended_by, path.resolve())), layer]


def _set_layer(override: str, below: Content) -> Content:
    """The layer of one word of SET. Raises UserError if `below` has no such section."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise UserError(f'SET: {override!r} is not of the form key=value; write it as in SET="train.epochs=3"')
    try:
        value = parse_yaml(text)
    except yaml.YAMLError:
        raise UserError(f"SET: {text!r}, the value of {key}, is not valid YAML; quote it if it has spaces") from None
    *sections, last = key.split(".")
    layer: Content = {last: Replacement(value) if isinstance(value, dict) else value}
    for name in reversed(sections):
        layer = {name: layer}
    _check_sections(sections, last, below)
    return layer


def _check_sections(sections: list[str], last: str, content: Content) -> None:
    """Raise UserError if `content` has no such sections, or has a value in place of the last one."""
    found: Any = content
    for depth, name in enumerate(sections):
        known = found if isinstance(found, dict) else {}
        if name not in known:
            unknown = ".".join(sections[: depth + 1])
            raise UserError(f"SET: unknown key {unknown}{hint(name, known, sections[:depth])}")
        found = known[name]
    if not isinstance(found, dict):
        raise UserError(f"SET: {'.'.join(sections)} is a single value, not a section with a key {last!r}")
