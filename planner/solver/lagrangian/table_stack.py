"""Tables of equal shape in one array, so that thousands of small ones are weighed in a few calls."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.float64]
Integers = NDArray[np.int64]
Ways = tuple[tuple[Table, ...], ...]  # way to cross -> row -> table


@dataclass(frozen=True, slots=True)
class TableStack:
    """Some of all tables, by their numbers.

    Parameters
    ----------
    ways
        Way to cross -> row -> the tables of all numbers, along the first axis.
    shares
        Of all numbers: what part of its tensor's cost a table has.
    """

    numbers: tuple[int, ...]
    ways: Ways
    shares: tuple[float, ...]

    def weighed(self, weights: Sequence[float], added: Sequence[Sequence[Table]] = ()) -> list[Table]:
        """Return, in the order of numbers, the weighted sum of rows by the cheapest way.

        Parameters
        ----------
        added
            Of all tables but the last ones: wire or none -> what is added to the sum. These repeat where
            there are more ways, by the formats that a tensor may have.
        """
        ways = [weighed_sum(rows, weights) for rows in self.ways]
        if not added:
            return list(_least(ways))
        tables = []
        for place, number in enumerate(self.numbers):
            own = [way[place] for way in ways]
            more = added[number] if number < len(added) else [0.0]
            tables.append(_least([table + more[way % len(more)] for way, table in enumerate(own)]))
        return tables

    def entries(self, places: Sequence[Integers]) -> Table:
        """Return way -> row -> number -> the entry of its table.

        Parameters
        ----------
        places
            Way -> indices of shape [numbers, axes].
        """
        return np.array(
            [
                [_entries(tables, indices) for tables in rows]
                for rows, indices in zip(self.ways, places, strict=True)
            ]
        )

    def entries_of(self, added: Sequence[Sequence[Table]], places: Sequence[Integers]) -> Table:
        """Return way -> number -> the entry of what is added to a table; places as in `entries`."""
        return np.array(
            [
                [
                    float(_entries(added[number][way % len(added[number])][None], index[None])[0])
                    for number, index in zip(self.numbers, indices, strict=True)
                ]
                for way, indices in enumerate(places)
            ]
        )

    def without_above(self, row: int, most: float) -> "TableStack":
        """Return the tables, infinite in the first row where the tensor has more than this of another row."""
        shares = np.array(self.shares)
        return replace(self, ways=tuple(_without_above(rows, row, most * shares) for rows in self.ways))

    def most_difference(self, row: int) -> float:
        """Return the largest difference of a table's entries in a row."""
        most = 0.0
        for rows in self.ways:
            flat = rows[row].reshape(len(self.numbers), -1) if row < len(rows) else np.zeros((1, 1))
            most = max(most, float(np.ptp(flat, axis=1).max()))
        return most


def stacked(tables: Sequence[Ways], shares: Sequence[float]) -> list[TableStack]:
    """Return all tables, those of equal shapes in one stack.

    Parameters
    ----------
    shares
        What part of its tensor's cost each has.
    """
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
            tuple(shares[n] for n in numbers),
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


def _entries(tables: Table, indices: Integers) -> Table:
    # Axes may have length 1.
    within = (np.minimum(indices[:, axis], size - 1) for axis, size in enumerate(tables.shape[1:]))
    entries: Table = tables[(np.arange(len(tables)), *within)]
    return entries


def _least(ways: Sequence[Table]) -> Table:
    return ways[0] if len(ways) == 1 else np.minimum.reduce(np.broadcast_arrays(*ways))


def _without_above(rows: tuple[Table, ...], row: int, most: Table) -> tuple[Table, ...]:
    above = rows[row] > most.reshape(-1, *[1] * (rows[row].ndim - 1))
    return (np.where(above, inf, rows[0]), *rows[1:]) if above.any() else rows
