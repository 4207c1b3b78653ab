"""The least sum of tables over a few variables each: exact, by dynamic programming over a tree decomposition.

Bertele and Brioschi, "Nonserial Dynamic Programming", Academic Press 1972; with messages both ways as in
Shenoy and Shafer, "Axioms for probability and belief-function propagation", UAI 1990.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

import networkx as nx
import numpy as np
from networkx.algorithms.approximation import treewidth_min_degree
from numpy.typing import NDArray

Table = NDArray[np.float64]
Scope = tuple[int, ...]


@dataclass(slots=True)
class _Bag:
    """A node of the decomposition, and how tables over fewer variables stretch to its own.

    Parameters
    ----------
    shared
        Variables that its parent has, too.
    factors
        (number of a table, order of its axes, shape with ones).
    stretch
        Shape with ones of a message to or from its parent, whose axes are `shared`.
    parent_stretch
        The same within the parent.
    """

    variables: Scope
    parent: int | None
    shared: Scope = ()
    factors: list[tuple[int, Scope, Scope]] = field(default_factory=list)
    stretch: Scope = ()
    parent_stretch: Scope = ()


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
        self._bags = self._decompose(scopes)
        self.states = sum(prod(self._sizes[v] for v in bag.variables) for bag in self._bags)
        self._bag_of = {v: i for i, bag in reversed(list(enumerate(self._bags))) for v in bag.variables}

    def minimise(self, tables: Sequence[Table]) -> tuple[float, list[int]]:
        """Return the least sum, infinite if there is none, and values of all variables that give it."""
        beliefs, least = self._collect(tables)
        values = [0] * len(self._sizes)
        for bag, belief in zip(self._bags, beliefs, strict=True):
            fixed_values = tuple(values[v] if v in bag.shared else slice(None) for v in bag.variables)
            rest = belief[fixed_values]
            new_variables = [v for v in bag.variables if v not in bag.shared]
            for v, value in zip(
                new_variables, np.unravel_index(int(np.argmin(rest)), rest.shape), strict=True
            ):
                values[v] = int(value)
        return least, values

    def marginals(self, tables: Sequence[Table]) -> list[Table]:
        """Return variable -> value -> the least sum with that value; each array has shape [values]."""
        beliefs, _ = self._collect(tables)
        for i, bag in enumerate(self._bags):
            if bag.parent is None:
                continue
            up = self._message(beliefs[i], bag.variables, bag.shared)
            down = self._message(beliefs[bag.parent], self._bags[bag.parent].variables, bag.shared)
            with np.errstate(invalid="ignore"):  # infinity less infinity, which is not taken
                from_parent = np.where(np.isinf(up), np.inf, down - up)
            beliefs[i] = beliefs[i] + from_parent.reshape(bag.stretch)
        return [
            self._message(beliefs[self._bag_of[v]], self._bags[self._bag_of[v]].variables, (v,))
            for v in range(len(self._sizes))
        ]

    def _collect(self, tables: Sequence[Table]) -> tuple[list[Table], float]:
        """Return each bag's sum of its own tables and of the least that lies below, and the least of all."""
        beliefs: list[Table] = [np.empty(0)] * len(self._bags)
        messages: list[list[Table]] = [[] for _ in self._bags]
        least = 0.0
        # Children come after their parent in the list, so that from the end all messages to a bag are there.
        for i in reversed(range(len(self._bags))):
            bag = self._bags[i]
            belief = np.zeros([self._sizes[v] for v in bag.variables])
            for number, axes, shape in bag.factors:
                belief = belief + tables[number].transpose(axes).reshape(shape)
            for message in messages[i]:
                belief = belief + message
            beliefs[i] = belief
            if bag.parent is None:
                least = float(belief.min())
            else:
                up = self._message(belief, bag.variables, bag.shared)
                messages[bag.parent].append(up.reshape(bag.parent_stretch))
        return beliefs, least

    def _message(self, belief: Table, variables: Scope, kept_variables: Scope) -> Table:
        """Return the least over all other variables; axes in the order of `variables`."""
        least: Table = belief.min(axis=tuple(a for a, v in enumerate(variables) if v not in kept_variables))
        return least

    def _decompose(self, scopes: Sequence[Scope]) -> list[_Bag]:
        graph = nx.Graph()
        graph.add_nodes_from(range(len(self._sizes)))
        for scope in scopes:
            graph.add_edges_from((a, b) for a in scope for b in scope if a < b)
        # A heuristic: the least tree width is NP-hard to find, and networks are nearly chains.
        _, tree = treewidth_min_degree(graph)
        root = next(iter(tree))
        order = [root, *(child for _, child in nx.bfs_edges(tree, root))]
        position = {bag: i for i, bag in enumerate(order)}
        parents = {child: position[parent] for parent, child in nx.bfs_edges(tree, root)}
        bags = [_Bag(tuple(sorted(bag)), parents.get(bag)) for bag in order]
        for bag in bags:
            if bag.parent is not None:
                above = bags[bag.parent].variables
                bag.shared = tuple(v for v in bag.variables if v in above)
                bag.stretch = self._stretched(bag.shared, bag.variables)
                bag.parent_stretch = self._stretched(bag.shared, above)
        self._assign(bags, scopes)
        return bags

    def _assign(self, bags: list[_Bag], scopes: Sequence[Scope]) -> None:
        """Put each table into a bag that has all its variables."""
        bags_with: dict[int, set[int]] = {}
        for i, bag in enumerate(bags):
            for v in bag.variables:
                bags_with.setdefault(v, set()).add(i)
        for number, scope in enumerate(scopes):
            possible = set.intersection(*(bags_with[v] for v in scope)) if scope else {0}
            bag = bags[min(possible, key=lambda i: len(bags[i].variables))]
            axes = tuple(sorted(range(len(scope)), key=scope.__getitem__))
            bag.factors.append((number, axes, self._stretched(scope, bag.variables)))

    def _stretched(self, scope: Scope, variables: Scope) -> Scope:
        return tuple(self._sizes[v] if v in scope else 1 for v in variables)
