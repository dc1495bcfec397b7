"""Which names are meant: the nearest valid one, and those that wildcards choose."""

import difflib
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from digits.common.errors import UserError


def nearest(name: str, known: Iterable[Any], section: Sequence[str] = ()) -> str:
    """Words to put behind a fault, "; did you mean ...?" with the nearest valid name, or none where none is near."""
    close = difflib.get_close_matches(name, [str(each) for each in known], n=1, cutoff=0.5)
    return f"; did you mean {'.'.join([*section, close[0]])}?" if close else ""


def nearest_or_all(name: str, known: Iterable[Any], section: Sequence[str] = ()) -> str:
    """As `nearest`, but all valid names where none is near."""
    names = [str(each) for each in known]
    return nearest(name, names, section) or (f"; known here: {', '.join(names)}" if names else "")


def choose(wanted: Sequence[str], known: Sequence[str], what: str) -> list[str]:
    """Names among `known` that the names and wildcards (* and ?) in `wanted` mean; all where nothing is wanted.

    Raises UserError for a word that means none; `what` says what the names are names of.
    """
    for word in wanted:
        if not any(fnmatchcase(name, word) for name in known):
            raise UserError(f"ONLY: there is no {what} {word!r}{nearest_or_all(word, known)}")
    return [name for name in known if not wanted or any(fnmatchcase(name, word) for word in wanted)]
