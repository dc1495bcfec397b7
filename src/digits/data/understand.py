"""The params that fit a competition's files: inferred from their beginnings, completed from their whole content."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from digits.common.errors import MisfitError, UserError
from digits.config import Competition, Params, Paths
from digits.config.faults import validate
from digits.data.build import label_texts, prepare, train_columns
from digits.data.csv_reader import Table, read_table, read_text
from digits.data.infer import ASSUMED, infer
from digits.data.labels import Value, different_labels
from digits.data.pixels import BYTE, DARK
from digits.data.sources import Provenance, Source, find_source, named_place

# of the section, what a competition has unless its files show something else
_USUAL: dict[str, Any] = {
    "labels_file": None,
    "train_id_column": None,
    "pixel_range": None,
    "planar": False,
    "class_names": None,
    "train_rows": None,
    "test_rows": None,
    "metric": "accuracy",
}
_PLAIN = re.compile(r"[\w.,:=+/\[\]-]+")  # a word of SET that means itself to a shell and to make
_SHOWN, _LINES = 5, 3  # keys in a remedy, as more are better written to a file; lines of what does not fit


@dataclass(frozen=True)
class Understood:
    """What is understood of a competition's files.

    values, why, unsure: as in `Inferred`, complete. competition: the section of the params. source: a copy of them.
    """

    values: dict[str, Any]
    why: dict[str, str]
    unsure: list[str]
    competition: Competition
    source: Source


def understand(named: str, base: Competition, paths: Paths, provenance: Provenance) -> Understood:
    """What the files at `named` are, with the slug of `base`. Raises UserError if they cannot be understood."""
    found = infer(named_place(named, paths))
    frozen = {key: tuple(value) if isinstance(value, list) else value for key, value in found.values.items()}
    competition = base.model_copy(update=_USUAL | frozen)
    source = find_source(competition, paths, named, provenance)
    train = _read(source, competition.train_file, competition, train_columns(competition))
    found.set("train_rows", len(train.values), f"rows of {competition.train_file}")
    if competition.test_file is not None:
        test = _read(source, competition.test_file, competition, [])
        found.set("test_rows", len(test.values), f"rows of {competition.test_file}")
    sample = found.values["sample_file"]
    if sample is not None and (fault := _stale(Path(source.folder) / sample, found.values.get("test_rows"))):
        found.set("sample_file", None, fault)
        found.unsure.append(f"{sample} is left out: {fault}")
    labels = _labels(train, competition, source)
    if len(labels) < 2:
        raise UserError(
            f"{competition.train_file}: all images have the label {labels[0]!r} in {competition.label_column!r}"
        )
    found.set("classes", len(labels), f"different labels, from {labels[0]} to {labels[-1]}")
    found.set("pixel_range", *_range(train))
    if not isinstance(competition.submission_label, str):
        found.values["submission_label"] = _in_order(list(competition.submission_label), labels)
    section = validate(Competition, base.model_dump() | _USUAL | found.values, "what the files show")
    return Understood(found.values, found.why, found.unsure, section, source)


def remedy(misfit: MisfitError, named: str, params: Params, paths: Paths) -> UserError:
    """An error that says how the params must differ from those in force, tried on these files.

    named: path of the files. The misfit itself, if the files cannot be understood.
    """
    lines = str(misfit).splitlines()[:_LINES]
    try:
        found = understand(named, params.competition, paths, "local")
        before = params.competition.model_dump()
        differing = _differing(found, before)
        competition = Competition.model_validate(before | differing)
        prepare(found.source, params.model_copy(update={"competition": competition}))
    except UserError as error:
        return UserError("\n".join([*lines, *str(error).splitlines()[:2]]))
    except ValidationError:
        differing = {}
    words = [f"competition.{key}={_word(value)}" for key, value in differing.items()]
    if 0 < len(words) <= _SHOWN and all(_PLAIN.fullmatch(word) for word in words):
        lines.append(f'with these files, add SET="{" ".join(words)}"')
    lines.append(f"make init DATA={shlex.quote(named)} writes a params file that fits these files")
    return UserError("\n".join(lines))


def _differing(found: Understood, before: dict[str, Any]) -> dict[str, Any]:
    """What must change in the section `before`: not what was merely assumed, nor a range that is measured anyway."""
    after = found.competition.model_dump()
    return {
        key: value
        for key, value in found.values.items()
        if before[key] != after[key]
        and not found.why[key].startswith(ASSUMED)
        and not (key == "sample_file" and value is None)
        and not (key == "pixel_range" and before[key] is None)
    }


def _word(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(str, value))}]"
    return "null" if value is None else str(value)


def _stale(sample: Path, rows: int | None) -> str:
    """Why a sample submission does not fit the test images; empty if it does. rows: their number; None: unknown."""
    ids = read_text(sample).iloc[:, 0]
    if not ids.is_unique:
        return "an id occurs more than once in it"
    return f"it has {len(ids):,} ids for {rows:,} images" if rows is not None and len(ids) != rows else ""


def _read(source: Source, name: str, competition: Competition, kept: list[str]) -> Table:
    return read_table(Path(source.folder) / name, competition, kept, [], ("", None))


def _labels(train: Table, competition: Competition, source: Source) -> list[Value]:
    """The label of each class."""
    if not isinstance(competition.label_column, str):
        return [*competition.label_column]
    return different_labels(label_texts(train, competition, Path(source.folder)))


def _range(train: Table) -> tuple[list[float], str]:
    """The range of the pixels, and what it was inferred from."""
    low, high = float(train.values.min()), float(train.values.max())
    whole = train.values.dtype == np.uint8 or bool((train.values == np.rint(train.values)).all())
    seen = f"the training images have {'whole numbers' if whole else 'decimals'} from {low:g} to {high:g}"
    if low >= 0 and high <= 1:
        return [0, 1], seen
    if low >= 0 and DARK <= high <= BYTE:
        return [0, BYTE], seen
    if low >= 0 and whole and high > BYTE:
        return [0, 2 ** int(np.ceil(np.log2(high + 1))) - 1], seen
    limits = [min(low, 0), high]
    return [int(limit) if limit == int(limit) else limit for limit in limits], seen


def _in_order(columns: list[str], labels: list[Value]) -> list[str]:
    """The columns of probabilities in the order of the labels, if their names end in them; else as they are."""
    ends = [
        [column for column in columns if re.fullmatch(rf"(.*\D)?{re.escape(str(label))}", column)] for label in labels
    ]
    return [end[0] for end in ends] if all(len(end) == 1 for end in ends) else columns
