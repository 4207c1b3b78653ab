"""A device's own seconds as a CSV table: columns unit, precision and seconds; others are left alone."""

import csv
import io
from collections.abc import Iterator
from math import isfinite
from pathlib import Path

from profiling.errors import ProfileError
from profiling.input_files import read_input
from profiling.precision import Precision
from profiling.printable_text import reason
from profiling.records.profile import UnitCost

SUFFIX = ".csv"
COLUMNS = ("unit", "precision", "seconds")
_MOST_BYTES = 16 * 2**20
_SEPARATORS = (",", ";", "\t")


def read_cost_table(path: Path) -> tuple[UnitCost, ...]:
    """Return the seconds of units in precisions that a table holds, in its order.

    Cells are separated by commas, semicolons or tabs; precisions may be in capitals.

    Raises
    ------
    ProfileError
        If it cannot be read, lacks a column, or a row says no precision or no number >= 0, or is there
        twice; with its line.
    """
    try:
        text = read_input(path, _MOST_BYTES).decode("utf-8-sig")
    except OSError as exc:
        raise ProfileError(f"{path}: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise ProfileError(f"{path} is not UTF-8 text: {reason(exc)}") from exc
    header = next(iter(text.splitlines()), "")
    separator = next((one for one in _SEPARATORS if one in header), ",")
    reader = csv.DictReader(
        io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True
    )
    try:
        columns = reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
        missing = [name for name in COLUMNS if columns.count(name) != 1]
        if missing:
            found = ", ".join(columns) or "no columns"
            raise ProfileError(f"{path} needs one column {missing[0]!r} in its first line, which has {found}")
        return tuple(_distinct_costs(path, reader))
    except csv.Error as exc:
        raise ProfileError(f"{path}: line {reader.line_num}: {reason(exc)}") from exc


def _distinct_costs(path: Path, reader: "csv.DictReader[str]") -> Iterator[UnitCost]:
    """Yield the rows; refuse a unit that is there twice in a precision."""
    lines: dict[tuple[str, Precision], int] = {}
    for row in reader:
        where = f"{path}: line {reader.line_num}"
        cost = _unit_cost(where, row)
        first = lines.setdefault((cost.unit, cost.precision), reader.line_num)
        if first != reader.line_num:
            raise ProfileError(
                f"{where}: unit {cost.unit!r} is there twice in {cost.precision}, first in line {first}"
            )
        yield cost


def _unit_cost(where: str, row: dict[str, str | None]) -> UnitCost:
    unit, precision, seconds = ((row[name] or "").strip() for name in COLUMNS)
    precision = precision.lower()
    if precision not in set(Precision):
        raise ProfileError(f"{where}: precision must be {', '.join(Precision)}, got {precision!r}")
    try:
        cost = UnitCost(unit, Precision(precision), float(seconds))
    except ValueError as exc:
        raise ProfileError(f"{where}: seconds must be a number, got {seconds!r}") from exc
    if not (isfinite(cost.seconds) and cost.seconds >= 0):
        raise ProfileError(f"{where}: seconds must be finite and >= 0, got {seconds} of unit {unit!r}")
    return cost
