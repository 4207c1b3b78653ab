"""Which samples are taken: all, or those that a scenario's `subset` names."""

from collections.abc import Sequence

from planner.errors import DataError
from planner.scenario.data_schema import SubsetSpec


def subset(spec: SubsetSpec | None, count: int, rows: list[dict[str, str]] | None, where: str) -> list[int]:
    """Return the indices of the samples that are taken: all, or those that the scenario names."""
    if spec is None:
        return list(range(count))
    keys: Sequence[int] = range(count)
    if spec.column is not None:
        if not rows or spec.column not in rows[0]:
            raise DataError(f"{where}.subset.column: no column {spec.column!r} in the label table")
        keys = [_whole_number(row[spec.column], f"{where}.subset.column {spec.column!r}") for row in rows]
    return [i for i in range(count) if keys[i] % spec.modulo in spec.equals]


def _whole_number(text: str | None, what: str) -> int:
    try:
        return int(text or "")  # which refuses more than 4,300 digits
    except ValueError as exc:
        raise DataError(f"{what}: {text!r} is no whole number") from exc
