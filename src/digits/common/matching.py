"""Names that a user types: selection by wildcards, and a hint at the nearest valid name."""

import difflib
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from digits.common.errors import UserError


def did_you_mean(name: str, valid: Iterable[Any], section: Sequence[str] = ()) -> str:
    """The end of a message: "; did you mean ...?" with the valid name nearest to `name`, or "" if none is near.

    section: keys that lead to the valid names; they are put before the suggested name.
    """
    near = difflib.get_close_matches(name, [str(each) for each in valid], n=1, cutoff=0.5)
    return f"; did you mean {'.'.join([*section, near[0]])}?" if near else ""


def hint(name: str, valid: Iterable[Any], section: Sequence[str] = ()) -> str:
    """As `did_you_mean`; if no name is near, "; valid names: ..." with all of them, or "" if there are none."""
    names = [str(each) for each in valid]
    return did_you_mean(name, names, section) or (f"; valid names: {', '.join(names)}" if names else "")


def select_names(patterns: Sequence[str], names: Sequence[str], noun: str) -> list[str]:
    """The names that match any of the patterns (wildcards: * and ?), in their own order; all if there is no pattern.

    noun: what the names denote, for the message. Raises UserError for a pattern that matches no name.
    """
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UserError(f"ONLY: there is no {noun} {pattern!r}{hint(pattern, names)}")
    return [name for name in names if not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)]
