"""The least sum of tables over a few variables each: exact, by dynamic programming over a tree decomposition.

Bertele and Brioschi, "Nonserial Dynamic Programming", Academic Press 1972; with messages both ways as in
Shenoy and Shafer, "Axioms for probability and belief-function propagation", UAI 1990. Tables of equal shape
that wait for nothing are computed in one call: thousands of small ones would take mostly Python's time.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from planner.solver.lagrangian.elimination_order import Bag, Scope, eliminate

Table = NDArray[np.float64]
Integers = NDArray[np.int64]
_Member = TypeVar("_Member")


@dataclass(frozen=True, slots=True)
class _TableBatch:
    """Tables that are added to bags of a batch, each to another.

    Parameters
    ----------
    rows
        Places in the batch.
    numbers
        Of the tables.
    axes
        The order of their axes in the bag, the first for the tables themselves.
    shape
        With ones for the bag's other variables.
    """

    rows: Integers
    numbers: tuple[int, ...]
    axes: tuple[int, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Messages:
    """Messages from bags of a batch to their parents in one other batch, each to another.

    Parameters
    ----------
    rows, parent, parent_rows
        Places in the batch; the parents' batch, and places there.
    shape
        Of the messages among the parents' axes, with ones; the first axis is that of the bags.
    left_out
        The parents' axes that the messages do not have.
    """

    rows: Integers
    parent: int
    parent_rows: Integers
    shape: tuple[int, ...]
    left_out: tuple[int, ...]


@dataclass(slots=True)
class _Batch:
    """Bags of equal shape, none of which waits for another.

    Parameters
    ----------
    variables
        Shape [bags, variables of each].
    shape
        Of all their tables as one.
    """

    variables: Integers
    shape: tuple[int, ...]
    tables: list[_TableBatch] = field(default_factory=list)
    messages: list[_Messages] = field(default_factory=list)


class Network:
    """A sum of tables, decomposed once for any numbers in them.

    Parameters
    ----------
    sizes
        Number of values per variable.
    scopes
        Table -> its variables, each table's axes in this order.

    Examples
    --------
    >>> network = Network([2, 2], [(0,), (0, 1)])
    >>> tables = [np.array([0.0, 3.0]), np.array([[5.0, 4.0], [0.0, 9.0]])]
    >>> network.minimise(tables)
    (3.0, [1, 0])
    >>> [table.tolist() for table in network.marginals(tables)]
    [[4.0, 3.0], [3.0, 4.0]]
    """

    def __init__(self, sizes: Sequence[int], scopes: Sequence[Scope]) -> None:
        self._sizes = tuple(sizes)
        bags = eliminate(sizes, scopes)
        self.states = states_of(sizes, bags)
        self._without_variables = tuple(n for n, scope in enumerate(scopes) if not scope)
        self._batches: list[_Batch] = []
        self._place: list[tuple[int, int]] = [(0, 0)] * len(bags)  # bag -> its batch, and where in it
        self._gather(bags)
        self._link(bags)
        self._assign(bags, scopes)

    def minimise(self, tables: Sequence[Table]) -> tuple[float, list[int]]:
        """Return the least sum, infinite if there is none, and values of all variables that give it."""
        beliefs, _, least = self._collect(tables)
        values = np.zeros(len(self._sizes), dtype=np.int64)
        for batch, belief in zip(reversed(self._batches), reversed(beliefs), strict=True):
            others = (values[batch.variables[:, k]] for k in range(1, batch.variables.shape[1]))
            rest = belief[(np.arange(len(belief)), slice(None), *others)]
            values[batch.variables[:, 0]] = rest.argmin(axis=1)
        return least, [int(value) for value in values]

    def marginals(self, tables: Sequence[Table]) -> list[Table]:
        """Return variable -> value -> the least sum with that value; each array has shape [values]."""
        beliefs, messages, least = self._collect(tables)
        marginals: list[Table] = [np.empty(0)] * len(self._sizes)
        collected = list(zip(self._batches, beliefs, messages, strict=True))
        for batch, belief, up in reversed(collected):
            for x in batch.messages:
                down = beliefs[x.parent][x.parent_rows].min(axis=x.left_out).reshape(up[x.rows].shape)
                with np.errstate(invalid="ignore"):  # infinity less infinity, which is not taken
                    from_parent = np.where(np.isinf(up[x.rows]), np.inf, down - up[x.rows])
                belief[x.rows] += from_parent[:, None]
            if not batch.messages:
                # What other parts of the network, which share no table with this one, add at least.
                with np.errstate(invalid="ignore"):
                    elsewhere = np.where(np.isinf(up), np.inf, least - up)
                belief += elsewhere.reshape(-1, *[1] * (belief.ndim - 1))
            of_first = belief.min(axis=tuple(range(2, belief.ndim)))
            for v, row in zip(batch.variables[:, 0], of_first, strict=True):
                marginals[v] = row
        return marginals

    def _collect(self, tables: Sequence[Table]) -> tuple[list[Table], list[Table], float]:
        """Return per batch the bags' sums of their own tables and of the least below, and their messages up.

        Also the least sum of all.
        """
        beliefs = [self._own_tables(batch, tables) for batch in self._batches]
        messages = []
        least = float(sum(tables[number] for number in self._without_variables))
        for batch, belief in zip(self._batches, beliefs, strict=True):
            up = belief.min(axis=1)
            messages.append(up)
            for x in batch.messages:
                beliefs[x.parent][x.parent_rows] += up[x.rows].reshape(x.shape)
            if not batch.messages:
                least += float(up.sum())
        return beliefs, messages, least

    def _own_tables(self, batch: _Batch, tables: Sequence[Table]) -> Table:
        total = np.zeros(batch.shape)
        for x in batch.tables:
            stacked = np.stack([tables[number] for number in x.numbers])
            total[x.rows] += stacked.transpose(x.axes).reshape(x.shape)
        return total

    def _gather(self, bags: Sequence[Bag]) -> None:
        """Put bags of equal height and shape into one batch; batches come in the order of height."""
        heights = [0] * len(bags)
        for number, bag in enumerate(bags):
            if bag.parent is not None:
                heights[bag.parent] = max(heights[bag.parent], heights[number] + 1)
        alike = _grouped(
            ((heights[number], bag.parent is None, self._shape(bag.variables)), number)
            for number, bag in enumerate(bags)
        )
        for (_, _, shape), numbers in sorted(alike.items()):
            for row, number in enumerate(numbers):
                self._place[number] = len(self._batches), row
            variables = np.array([bags[number].variables for number in numbers])
            self._batches.append(_Batch(variables, (len(numbers), *shape)))

    def _link(self, bags: Sequence[Bag]) -> None:
        """Say where the messages of bags go."""
        children: dict[int, int] = defaultdict(int)
        edges = []
        for number, bag in enumerate(bags):
            if bag.parent is None:
                continue
            batch, row = self._place[number]
            parent, parent_row = self._place[bag.parent]
            above = bags[bag.parent].variables
            shared = tuple(v in bag.variables for v in above)
            # Children of one parent are in different groups: what is added at once goes to different bags.
            edges.append(((batch, parent, shared, children[bag.parent]), (row, parent_row)))
            children[bag.parent] += 1
        for (batch, parent, shared, _), pairs in _grouped(edges).items():
            rows, parent_rows = np.array(pairs).T
            sizes = self._batches[parent].shape[1:]
            shape = (len(pairs), *(size if has else 1 for size, has in zip(sizes, shared, strict=True)))
            left_out = tuple(axis for axis, has in enumerate(shared, 1) if not has)
            self._batches[batch].messages.append(_Messages(rows, parent, parent_rows, shape, left_out))

    def _assign(self, bags: Sequence[Bag], scopes: Sequence[Scope]) -> None:
        """Put each table into the bag of the first of its variables that leaves: it has all of them."""
        bag_of = {bag.variables[0]: number for number, bag in enumerate(bags)}
        tables_in: dict[int, int] = defaultdict(int)
        placed = []
        for number, scope in enumerate(scopes):
            if not scope:
                continue
            home = min(bag_of[v] for v in scope)
            variables = bags[home].variables
            batch, row = self._place[home]
            places = tuple(variables.index(v) for v in scope)
            placed.append(((batch, places, tables_in[home]), (row, number)))
            tables_in[home] += 1
        for (batch, places, _), pairs in _grouped(placed).items():
            rows = np.array([row for row, _ in pairs])
            sizes = self._batches[batch].shape[1:]
            shape = (len(pairs), *(size if k in places else 1 for k, size in enumerate(sizes)))
            axes = (0, *(1 + axis for axis in sorted(range(len(places)), key=places.__getitem__)))
            numbers = tuple(number for _, number in pairs)
            self._batches[batch].tables.append(_TableBatch(rows, numbers, axes, shape))

    def _shape(self, scope: Scope) -> tuple[int, ...]:
        return tuple(self._sizes[v] for v in scope)


def states_of(sizes: Sequence[int], bags: Sequence[Bag]) -> float:
    """Return how many numbers the tables of all bags have."""
    return sum(prod(float(sizes[v]) for v in bag.variables) for bag in bags)


_Key = TypeVar("_Key", bound=Hashable)


def _grouped(pairs: Iterable[tuple[_Key, _Member]]) -> dict[_Key, list[_Member]]:
    """Return key -> what comes with it, in order."""
    groups: dict[_Key, list[_Member]] = {}
    for key, member in pairs:
        groups.setdefault(key, []).append(member)
    return groups
