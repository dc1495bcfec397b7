"""params.yaml and the command line's overrides -> validated params, or one readable line per fault."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from digits.common.errors import UserError
from digits.common.matching import nearest, nearest_or_all
from digits.config.networks import CnnSpec
from digits.config.schema import Params
from digits.config.section import overlay

_TAKEN_WHOLE = ("baseline.models",)  # its keys are the user's own names, so one left out means one not wanted

Model = TypeVar("Model", bound=BaseModel)


class _Loader(yaml.SafeLoader):
    """YAML that reads 2e-3 as the number it is, and refuses a key that stands twice.

    Keys are compared as they are written, before `<<` fetches those of another mapping, which the written ones replace.
    """

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = str(key_node.value)
            if key in seen:
                line = key_node.start_mark.line + 1
                raise yaml.composer.ComposerError(None, None, f"key {key!r} stands twice (line {line})")
            seen.add(key)
        return node


# YAML 1.1 wants a point and a sign in 2.0e-3; nobody types that on a command line.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def load_params(path: Path, overrides: Sequence[str] = ()) -> Params:
    """Params of the file at `path`, with `overrides` such as "train.epochs=3" laid over them.

    A file that begins with `extends: other.yaml` says only what differs from that file beside it; lists, and the
    dictionary of baseline models, are taken whole. Raises UserError with one line per fault, each with the key's full
    path, what is allowed and the nearest valid name.
    """
    content = _read_extended(path)
    for override in overrides:
        key, said = _parse_override(content, override)
        below = _without_what_was_measured(content, said)
        content = overlay(_with_networks(below, said, key.removeprefix("train.")), said, (key,))
    _take_network(content)
    return validate(Params, content, path.name)


def _with_networks(content: dict[str, Any], said: dict[str, Any], whole: str = "") -> dict[str, Any]:
    """The content, with what is newly said of `train` laid over its networks too, which would hide it otherwise.

    whole: key below `train` of what is replaced as a whole.
    """
    networks, train = content.get("networks"), said.get("train")
    if not isinstance(networks, dict) or not isinstance(train, dict):
        return content
    of_networks = {name: value for name, value in train.items() if name in CnnSpec.model_fields}
    laid = {
        name: overlay(network, of_networks, (whole,)) if isinstance(network, dict) else network
        for name, network in networks.items()
    }
    return content | {"networks": laid}


def _without_what_was_measured(content: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    """The content without the accuracies of networks that what is newly said of them changes."""
    train, said_train, changed = content.get("train"), said.get("train"), said.get("networks")
    measured = train.get("measured_accuracy") if isinstance(train, dict) else None
    if not isinstance(train, dict) or not isinstance(measured, dict):
        return content
    names = set(changed) if isinstance(changed, dict) else set()
    all_of_them = isinstance(said_train, dict) and not CnnSpec.model_fields.keys().isdisjoint(said_train)
    kept = {
        slug: {name: value for name, value in found.items() if not all_of_them and name not in names}
        for slug, found in measured.items()
        if isinstance(found, dict)
    }
    return content | {"train": train | {"measured_accuracy": measured | kept}}


def _take_network(content: dict[str, Any]) -> None:
    """Lay the network that train.network names over `train`, where it names one."""
    train, networks = content.get("train"), content.get("networks")
    if not isinstance(train, dict) or not isinstance(networks, dict) or train.get("network") is None:
        return
    name = train["network"]
    if name not in networks:
        raise UserError(
            f"train.network = {name!r}: there is no such network{nearest_or_all(str(name), networks, ['networks'])}"
        )
    content["train"] = overlay(train, networks[name])


def validate(model: type[Model], content: Any, origin: str) -> Model:
    """`content` as a `model`; raises UserError, one line per fault, each starting with `origin`."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        schema = model.model_json_schema()
        lines = [f"{origin}: {_explain(fault, schema)}" for fault in error.errors()]
        raise UserError("\n".join(dict.fromkeys(lines))) from None


def _read_extended(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    content = _read_yaml(path)
    base = content.pop("extends", None)
    if base is None:
        return content
    other = path.parent / str(base)
    if other.resolve() in (path.resolve(), *seen):
        raise UserError(f"{path}: extends {base}, which extends it in turn")
    below = _without_what_was_measured(_read_extended(other, (*seen, path.resolve())), content)
    return overlay(_with_networks(below, content), content, _TAKEN_WHOLE)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; PARAMS= names a params file, without it params.yaml is used") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected sections such as `train:`, found {type(content).__name__}")
    return content


def _parse_override(content: dict[str, Any], override: str) -> tuple[str, dict[str, Any]]:
    """Its key, and what it says as content of its own. Raises UserError where `content` has no such section."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise UserError(f'SET: {override!r} is not of the form key=value, as in SET="train.epochs=3"')
    *sections, last = key.split(".")
    target: Any = content
    for depth, name in enumerate(sections):
        if not isinstance(target, dict) or name not in target:
            known = target if isinstance(target, dict) else ()
            raise UserError(
                f"SET: unknown key {'.'.join(sections[: depth + 1])}{nearest_or_all(name, known, sections[:depth])}"
            )
        target = target[name]
    if not isinstance(target, dict):
        raise UserError(f"SET: {'.'.join(sections)} is a value, it has no key {last!r}")
    try:
        said = {last: yaml.load(text, Loader=_Loader)}
    except yaml.YAMLError:
        raise UserError(f"SET: {text!r}, the value of {key}, is not valid YAML") from None
    for name in reversed(sections):
        said = {name: said}
    return key, said


def _explain(fault: Any, schema: dict[str, Any]) -> str:
    """One line for one of pydantic's faults."""
    location = fault["loc"]
    sections, node = _find(schema, location)
    key = ".".join(sections)
    if fault["type"] == "extra_forbidden":
        known = _find(schema, location[:-1])[1].get("properties", {})
        return f"unknown key {key}{nearest_or_all(sections[-1], known, sections[:-1])}"
    if fault["type"] == "missing":
        return f"{key} is missing; it must be {_allowed(node)}"
    if fault["type"] in ("value_error", "assertion_error"):
        message = str(fault["ctx"]["error"])
        return f"{key}: {message}" if key else message
    if fault["type"].startswith("union_tag"):  # a model without its kind, or of a kind that there is not
        kinds, given = node["discriminator"]["mapping"], fault["ctx"].get("tag")
        name = node["discriminator"]["propertyName"]
        wrong = "is missing; it" if given is None else f"= {given!r}, but it"
        return f"{key}.{name} {wrong} must be one of {', '.join(kinds)}{nearest(given, kinds) if given else ''}"
    if location[-1] == "[key]":
        return f"{'.'.join(sections[:-1])}: a name must be {_allowed(node)}"
    hint = nearest(str(fault["input"]), node["enum"]) if "enum" in node else ""
    return f"{key} = {fault['input']!r}, but it must be {_allowed(node)}{hint}"


def _find(schema: dict[str, Any], location: Iterable[str | int]) -> tuple[list[str], dict[str, Any]]:
    """The keys that lead to one of pydantic's locations, as the user writes them, and the JSON schema of what is there.

    Where a value may be of several kinds, pydantic's location names the kind, which is no key.
    """
    keys, node = [], schema
    for part in location:
        node = _resolve(schema, node)
        if part in (kinds := node.get("discriminator", {}).get("mapping", {})):
            node = {"$ref": kinds[part]}
            continue
        keys.append(str(part))
        if isinstance(part, int):
            items = node.get("prefixItems")
            node = items[part] if items and part < len(items) else node.get("items", {})
        elif part in node.get("properties", {}):
            node = node["properties"][part]
        elif isinstance(node.get("additionalProperties"), dict):
            node = node["additionalProperties"]
        else:
            # dict keys are reported as an extra part "[key]"; what is wrong is the key itself
            node = node.get("propertyNames", next(iter(node.get("patternProperties", {}).values()), {}))
    return keys, _resolve(schema, node)


def _resolve(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    return node


def _allowed(node: dict[str, Any]) -> str:
    """What a part of a JSON schema allows, in words."""
    if "anyOf" in node:
        return " or ".join(_allowed(choice) for choice in node["anyOf"])
    if "enum" in node:
        return "one of " + ", ".join(map(str, node["enum"]))
    if "const" in node:
        return repr(node["const"])
    words = {
        "integer": "a whole number",
        "number": "a number",
        "string": "text",
        "boolean": "true or false",
        "array": "a list",
        "object": "a section",
        "null": "null",
    }[node.get("type", "object")]
    if "pattern" in node:
        words += f" like {node['pattern']}"
    bounds = [
        f"{phrase} {node[name]:.15g}"
        for name, phrase in (
            ("minimum", "from" if {"maximum", "exclusiveMaximum"} & node.keys() else "of at least"),
            ("exclusiveMinimum", "above"),
            ("maximum", "to" if "minimum" in node else "and at most"),
            ("exclusiveMaximum", "to below" if "minimum" in node else "and below"),
        )
        if name in node
    ]
    return " ".join([words, *bounds])
