"""Which processes of a cluster are refused, in a line each."""

from collections.abc import Mapping
from typing import Any

_UNEQUAL = "install the same there, best from the same lock file"


def refusal(expected: Mapping[str, Any], found: Any) -> str:
    """Why a process of the cluster cannot be used, "" if it can. expected: what this machine has."""
    if isinstance(found, Exception):
        return f"digits does not run there: {in_a_line(found)}; {_UNEQUAL}"
    for name in expected.keys() - {"machine", "no children", "digits"}:
        if expected[name] != found.get(name):
            return f"it has {name} {found.get(name)}, and this machine {expected[name]}; {_UNEQUAL}"
    if expected["digits"] != found["digits"]:
        return f"it has another version of digits than this machine; {_UNEQUAL}"
    if found["no children"]:
        return (
            "its nanny forbids it to start processes; start it by dask worker --no-nanny, or with "
            "DASK_DISTRIBUTED__WORKER__DAEMON=False before it"
        )
    return ""


def in_a_line(error: BaseException) -> str:
    """What an error says, or else its type."""
    return " ".join(str(error).split()) or type(error).__name__
