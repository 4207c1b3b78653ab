"""Class numbers of labels that are numbers or names."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from planner.errors import DataError
from planner.formatting import names_text
from planner.inputs.labels.text_file import read_text
from planner.scenario.data_schema import SampleSpec

_MOST_NAMES_BYTES = 16 * 2**20
_WHOLE = re.compile(r"[+-]?\d{1,4000}(\.0*)?")  # 3.0 is what a spreadsheet makes of 3


@dataclass(frozen=True, slots=True)
class ClassNumbers:
    """The class number of each label.

    Parameters
    ----------
    names
        Of the classes by number; empty where labels are numbers.
    """

    numbers: tuple[int, ...]
    names: tuple[str, ...] = ()


def given_classes(spec: SampleSpec, where: str) -> tuple[str, ...]:
    """Return the names of classes that a scenario gives in the model's order; none if it gives none.

    Raises
    ------
    DataError
        If their file cannot be read, or a name is there twice.
    """
    if spec.classes is None:
        return ()
    names = spec.classes
    if isinstance(names, str):
        lines = read_text(Path(names), _MOST_NAMES_BYTES, f"{where}.classes").splitlines()
        names = tuple(line.strip() for line in lines if line.strip())
    twice = next((name for number, name in enumerate(names) if name in names[:number]), None)
    if twice is not None:
        raise DataError(f"{where}.classes: {twice!r} is there twice")
    if not names:
        raise DataError(f"{where}.classes: {spec.classes} holds no names")
    return names


def class_numbers(labels: Sequence[str], classes: Sequence[str], where: str) -> ClassNumbers:
    """Return the class numbers of labels: their own, or the places of their names.

    Parameters
    ----------
    labels
        All numbers or all names.
    classes
        Names in the model's order; empty: names are taken in sorted order.
    where
        What holds the labels, for messages.

    Raises
    ------
    DataError
        If a label is neither a whole number nor a name, or in no class.
    """
    if "" in labels:
        raise DataError(f"{where}: a label is empty")
    if classes and any(label in classes for label in labels):
        return _named(labels, classes, where)
    if all(_is_number(label) for label in labels):
        return ClassNumbers(tuple(_whole_number(label, where) for label in labels))
    number = next((label for label in labels if _is_number(label)), None)
    if number is not None:
        name = next(label for label in labels if not _is_number(label))
        raise DataError(
            f"{where}: {name!r} is no whole number, but {number!r} is; labels are one or the other"
        )
    return _named(labels, classes or sorted(set(labels)), where)


def _named(labels: Sequence[str], classes: Sequence[str], where: str) -> ClassNumbers:
    places = {name: place for place, name in enumerate(classes)}
    unknown = next((label for label in labels if label not in places), None)
    if unknown is not None:
        raise DataError(f"{where}: {unknown!r} is none of `classes`: {names_text(classes)}")
    return ClassNumbers(tuple(places[label] for label in labels), tuple(classes))


def check_class_names(names: Sequence[str], offset: int, classes: int, where: str) -> None:
    """Refuse names of classes that are not as many as the model's classes: numbers would be shifted.

    Parameters
    ----------
    names
        Empty where labels are numbers.
    offset
        `label_offset`.

    Raises
    ------
    DataError
        If they and the offset are more or fewer than the model's classes.
    """
    if names and len(names) + offset != classes:
        with_offset = f" with label_offset {offset}" if offset else ""
        raise DataError(
            f"{where}.labels: name {len(names)} classes ({names_text(names)}){with_offset}, but the model "
            f"has {classes}; give `classes`: all names in the model's order"
        )


def _is_number(label: str) -> bool:
    try:
        float(label)
    except ValueError:
        return False
    return True


def _whole_number(label: str, where: str) -> int:
    # Of nan, inf and 1e3 as well: which class they mean nobody can say.
    if not _WHOLE.fullmatch(label) or not math.isfinite(float(label)):
        raise DataError(f"{where}: {label!r} is no whole number")
    return int(label.partition(".")[0])
