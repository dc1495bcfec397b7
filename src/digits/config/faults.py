"""Pydantic's errors as lines for the user: the key's full path, what is allowed, and the nearest valid name."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from digits.common.errors import UserError
from digits.common.matching import did_you_mean, hint

Model = TypeVar("Model", bound=BaseModel)

# what a text must be, by the regular expression in the schema; a test looks for patterns that are missing here
_PATTERNS = {
    r"^[a-z0-9][a-z0-9-]{0,60}$": "a name of lower-case letters, digits and hyphens",
    r"^[A-Za-z0-9][A-Za-z0-9-]{0,60}$": "a name of letters, digits and hyphens",
    r"^[^/\\\x00-\x1f.][^/\\\x00-\x1f]*\.csv$": "the name of a .csv file, without a folder",
}


def validate(model: type[Model], content: Any, origin: str) -> Model:
    """`content` as a `model`. Raises UserError with one line per fault, each beginning with `origin`."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise UserError("\n".join(f"{origin}: {line}" for line in explain(error, model))) from None


def explain(error: ValidationError, model: type[BaseModel], above: Sequence[str] = ()) -> list[str]:
    """One line per fault of a section that should be a `model`. above: keys that lead to the section."""
    schema = model.model_json_schema()
    return [*dict.fromkeys(_explain(fault, schema, above) for fault in error.errors())]


def _explain(fault: Any, schema: dict[str, Any], above: Sequence[str]) -> str:
    location = fault["loc"]
    below, node = _find(schema, location)
    sections = [*above, *below]
    key = ".".join(sections)
    if fault["type"] == "extra_forbidden":
        known = _find(schema, location[:-1])[1].get("properties", {})
        return f"unknown key {key}{hint(sections[-1], known, sections[:-1])}"
    if fault["type"] == "missing":
        return f"{key} is missing; it must be {allowed(schema, node)}"
    if fault["type"] in ("value_error", "assertion_error"):
        message = str(fault["ctx"]["error"])
        return f"{key}: {message}" if key else message
    if fault["type"].startswith("union_tag"):  # a section without its kind, or of an unknown one
        kinds, given = node["discriminator"]["mapping"], fault["ctx"].get("tag")
        name = node["discriminator"]["propertyName"]
        wrong = "is missing; it" if given is None else f"= {given!r}, but it"
        return f"{key}.{name} {wrong} must be one of {', '.join(kinds)}{did_you_mean(given, kinds) if given else ''}"
    if location[-1] == "[key]":
        return f"{'.'.join(sections[:-1])}: a name must be {allowed(schema, node)}"
    near = did_you_mean(str(fault["input"]), node["enum"]) if "enum" in node else ""
    return f"{key} = {fault['input']!r}, but it must be {allowed(schema, node)}{near}"


def _find(schema: dict[str, Any], location: Iterable[str | int]) -> tuple[list[str], dict[str, Any]]:
    """The path of keys that the user writes for one of pydantic's locations, and the JSON schema of the value there.

    If a section or a value may be of several kinds or types, pydantic's location also contains the kind or type, which
    is not a key of the file.
    """
    keys, node, above = [], schema, schema
    for part in location:
        node = here = _resolve(schema, node)
        if "anyOf" in node:
            if isinstance(part, str):
                break  # the type that pydantic has tried
            node = next(choice for choice in node["anyOf"] if choice.get("type") == "array")
        if part in (kinds := node.get("discriminator", {}).get("mapping", {})):
            node = {"$ref": kinds[part]}
            continue
        keys.append(str(part))
        if isinstance(part, int):
            items = node.get("prefixItems")
            node = items[part] if items and part < len(items) else node.get("items", {})
        elif part == "[key]":  # an extra part by which pydantic reports a wrong key of the dictionary above
            node = above.get("propertyNames", {"pattern": next(iter(above.get("patternProperties", {})), "")})
        elif part in node.get("properties", {}):
            node = node["properties"][part]
        elif isinstance(node.get("additionalProperties"), dict):
            node = node["additionalProperties"]
        else:
            node = next(iter(node.get("patternProperties", {}).values()), {})
        above = here
    return keys, _resolve(schema, node)


def _resolve(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    return node


def allowed(schema: dict[str, Any], node: dict[str, Any]) -> str:
    """The values that a node of a JSON schema allows, in words."""
    node = _resolve(schema, node)
    if "anyOf" in node:
        return " or ".join(allowed(schema, choice) for choice in node["anyOf"])
    if "discriminator" in node:
        found = node["discriminator"]
        return f"a section with {found['propertyName']}: one of {', '.join(found['mapping'])}"
    if "enum" in node:
        return "one of " + ", ".join(map(str, node["enum"]))
    if "const" in node:
        return repr(node["const"])
    if "pattern" in node:
        return _PATTERNS[node["pattern"]]
    words = {
        "integer": "a whole number",
        "number": "a number",
        "string": "text",
        "boolean": "true or false",
        "array": "a list",
        "object": "a section",
        "null": "null",
    }[node.get("type", "object")]
    if items := node.get("prefixItems", [node["items"]] if "items" in node else []):
        words += f", each item {allowed(schema, items[0])}"
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
