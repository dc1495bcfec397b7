"""params.yaml and SET from the command line -> validated params, or one readable line per fault.

Params come in layers (of params, not of a network): the file that the params file extends, the file itself, then each
word of SET. A layer is laid over those below it by these rules:
- Sections are merged key by key; lists and single values are replaced. The value of SET replaces what stands at its
  key, and `baseline.models` of a file what stands below. A section of another `kind` or `name` than the one below,
  such as a schedule or an optimizer, replaces it as well.
- A network is `train` with the network's own section in `networks` over it. What a layer says of `train` wins over what
  the layers below say of a network.
- A measured accuracy holds for the network as it was in the layer that states the accuracy. A later layer that changes
  the network removes the accuracy.
- At the end the network that train.network names, if any, is laid over `train`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from digits.common.errors import UserError
from digits.common.matching import hint
from digits.config.faults import validate
from digits.config.overrides import Content, lay_over, take_network
from digits.config.renames import refuse_old_names
from digits.config.schema import Params
from digits.config.section import Replacement
from digits.config.yaml_reader import parse_yaml, read_yaml


def load_params(path: Path, overrides: Sequence[str] = ()) -> Params:
    """Params of the file at `path` and of the files that it extends, with `overrides` such as "train.epochs=3" on top.

    Raises UserError with one line per fault: the key's full path, what is allowed and the nearest valid name.
    """
    content: Content = {}
    for layer in _file_layers(path):
        content = lay_over(content, layer)
    for override in overrides:
        content = lay_over(content, _set_layer(override, content))
    return validate(Params, take_network(content, path.name), path.name)


def _file_layers(path: Path, extended_by: tuple[Path, ...] = ()) -> list[Content]:
    """The layers of the file that this one extends, the lowest first, then its own."""
    layer = read_yaml(path)
    refuse_old_names(layer, path.name)
    baseline = layer.get("baseline")
    if isinstance(baseline, dict) and isinstance(baseline.get("models"), dict):
        baseline["models"] = Replacement(baseline["models"])  # a model that the file leaves out is not wanted
    base = layer.pop("extends", None)
    if base is None:
        return [layer]
    other = path.parent / str(base)
    if other.resolve() in (path.resolve(), *extended_by):
        raise UserError(f"{path}: extends {base}, which extends it in turn")
    return [*_file_layers(other, (*extended_by, path.resolve())), layer]


def _set_layer(override: str, below: Content) -> Content:
    """The layer of one word of SET. Raises UserError where `below` has no such section."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise UserError(f'SET: {override!r} is not of the form key=value, as in SET="train.epochs=3"')
    try:
        value = parse_yaml(text)
    except yaml.YAMLError:
        raise UserError(f"SET: {text!r}, the value of {key}, is not valid YAML") from None
    *sections, last = key.split(".")
    layer: Content = {last: Replacement(value) if isinstance(value, dict) else value}
    for name in reversed(sections):
        layer = {name: layer}
    refuse_old_names(layer, "SET")
    _check_sections(sections, last, below)
    return layer


def _check_sections(sections: list[str], last: str, content: Content) -> None:
    """Raise UserError where `content` has no such sections, or a value in the place of the last one."""
    found: Any = content
    for depth, name in enumerate(sections):
        known = found if isinstance(found, dict) else {}
        if name not in known:
            unknown = ".".join(sections[: depth + 1])
            raise UserError(f"SET: unknown key {unknown}{hint(name, known, sections[:depth])}")
        found = known[name]
    if not isinstance(found, dict):
        raise UserError(f"SET: {'.'.join(sections)} is a value, it has no key {last!r}")
