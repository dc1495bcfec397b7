"""YAML files of params, read more strictly than PyYAML reads them."""

import re
from pathlib import Path
from typing import Any

import yaml

from digits.common.errors import UserError


class _Loader(yaml.SafeLoader):
    """Reads 2e-3 as a number, and refuses a mapping with the same key twice.

    Keys are compared as they are written, before `<<` merges those of another mapping, which the written ones replace.
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


def parse_yaml(text: str) -> Any:
    """The value that a text stands for. Raises yaml.YAMLError."""
    return yaml.load(text, Loader=_Loader)


def read_yaml(path: Path) -> dict[str, Any]:
    """The sections of a params file. Raises UserError where there is no such file, or it is no YAML with sections."""
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; PARAMS= names a params file, without it params.yaml is used") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected sections such as `train:`, found {type(content).__name__}")
    return content
