"""Tables of equal shape in one array, so that thousands of small ones are weighed in a few calls."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.float64]
Ways = tuple[tuple[Table, ...], ...]  # way to cross -> row -> table


@dataclass(frozen=True, slots=True)
class TableStack:
    """Some of all tables, by their numbers.

    Parameters
    ----------
    ways
        Way to cross -> row -> the tables of all numbers, along the first axis.
    """

    numbers: tuple[int, ...]
    ways: Ways

    def weighed(self, weights: Sequence[float]) -> Table:
        """Return number -> the weighted sum of its rows, by the cheapest way."""
        tables = [weighed_sum(rows, weights) for rows in self.ways]
        return tables[0] if len(tables) == 1 else np.minimum.reduce(np.broadcast_arrays(*tables))

    def entries(self, indices: NDArray[np.int64]) -> Table:
        """Return way -> row -> number -> the entry of its table.

        Parameters
        ----------
        indices
            Shape [numbers, axes].
        """
        return np.array([[_entries(tables, indices) for tables in rows] for rows in self.ways])

    def most_difference(self, row: int) -> float:
        """Return the largest difference of a table's entries in a row."""
        most = 0.0
        for rows in self.ways:
            flat = rows[row].reshape(len(self.numbers), -1) if row < len(rows) else np.zeros((1, 1))
            most = max(most, float(np.ptp(flat, axis=1).max()))
        return most


def stacked(tables: Sequence[Ways]) -> list[TableStack]:
    """Return all tables, those of equal shapes in one stack."""
    alike: dict[object, list[int]] = {}
    for number, ways in enumerate(tables):
        alike.setdefault(tuple(tuple(t.shape for t in rows) for rows in ways), []).append(number)
    return [
        TableStack(
            tuple(numbers),
            tuple(
                tuple(np.stack([tables[n][way][row] for n in numbers]) for row in range(len(rows)))
                for way, rows in enumerate(tables[numbers[0]])
            ),
        )
        for numbers in alike.values()
    ]


def weighed_sum(rows: Sequence[Table], weights: Sequence[float]) -> Table:
    """Return the weighted sum of rows; what is infinite in the first is forbidden, whatever its weight."""
    total = rows[0] * weights[0] if weights[0] else np.where(np.isinf(rows[0]), inf, 0.0)
    for table, weight in zip(rows[1:], weights[1:], strict=False):
        if weight:
            total = total + weight * table
    return total


def _entries(tables: Table, indices: NDArray[np.int64]) -> Table:
    # Axes may have length 1.
    within = (np.minimum(indices[:, axis], size - 1) for axis, size in enumerate(tables.shape[1:]))
    entries: Table = tables[(np.arange(len(tables)), *within)]
    return entries
