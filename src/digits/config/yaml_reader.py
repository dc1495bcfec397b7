"""YAML files of params, read more strictly than PyYAML reads them."""

import re
from pathlib import Path
from typing import Any

import yaml

from digits.common.errors import UserError


class _Loader(yaml.SafeLoader):
    """Reads 2e-3 as a number, and refuses a mapping with the same key twice.

    Keys are compared as written: before `<<` merges the keys of another mapping, which the written ones override.
    """

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = str(key_node.value)
            if key in seen:
                line = key_node.start_mark.line + 1
                raise yaml.composer.ComposerError(None, None, f"key {key!r} occurs twice (line {line}); remove one")
            seen.add(key)
        return node


# YAML 1.1 requires the point and the sign of 2.0e-3; on a command line people type 2e-3 or 2e3.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def parse_yaml(text: str) -> Any:
    """The value of a YAML text. Raises yaml.YAMLError."""
    try:
        return yaml.load(text, Loader=_Loader)
    except (ValueError, RecursionError) as error:  # the 13th month, a number of 5,000 digits, 1,000 lists in each other
        raise yaml.YAMLError(str(error)) from None


def read_yaml(path: Path) -> dict[str, Any]:
    """The sections of a params file. Raises UserError if it is missing, or is not YAML with sections."""
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; correct the name in PARAMS= or in `extends` of a params file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected sections such as `train:`, found {type(content).__name__}")
    return content
