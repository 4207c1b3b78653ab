"""The linear program that mixes the plans met so far where the objective has makespans.

As `restricted_master`, with the longest path through each model's graph in it: a variable per node, a row per
segment, so that all paths are there at once. It keeps the columns and the basis from one round to the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from planner.errors import SolverError
from planner.solver.highs import QuietHighs
from planner.solver.lagrangian.path_lengths import BEGIN, END, PathGraph
from planner.solver.lagrangian.restricted_master import INFEASIBILITY_PENALTY, Column, Maximum, Mixture


@dataclass(frozen=True, slots=True)
class Span:
    """A model's makespan: at least each of some rows, and each path beside the sum of some of these rows."""

    maximum: Maximum
    model: int
    serial: tuple[int, ...] = ()


class PathMaster:
    """The mixture of plans, each with its cost, its usage of rows and the seconds of its segments.

    Parameters
    ----------
    maxima
        Other maxima of rows.
    columns
        Some of the plans: what they cost gives the scale, for the solver's tolerances.
    """

    def __init__(
        self,
        graph: PathGraph,
        spans: Sequence[Span],
        maxima: Sequence[Maximum],
        rows: int,
        columns: Sequence[Column],
    ) -> None:
        self._graph, self._spans = graph, spans
        self.rows, self.columns = rows, 0
        weight = sum(span.maximum.weight for span in spans)
        self._scale = scale = max(abs(c.cost) + weight * graph.longest(c.lengths) for c in columns) or 1.0
        self._highs = QuietHighs()
        every = [*(span.maximum for span in spans), *maxima]
        self._maximum_of = {row: m for m, maximum in enumerate(every) for row in maximum.rows}
        nodes = [node for node in graph.order if node != BEGIN]
        self._node = {node: len(every) + n for n, node in enumerate(nodes)}
        limits = [row for row in range(rows) if row not in self._maximum_of]
        first = len(every) + len(nodes)
        self._excess = {row: first + n for n, row in enumerate(limits)}
        costs = [maximum.weight / scale for maximum in every] + [0.0] * len(nodes)
        costs += [INFEASIBILITY_PENALTY] * len(limits)
        for cost in costs:
            self._highs.addVar(0.0, inf)
            self._highs.changeColCost(self._highs.getNumCol() - 1, cost)
        self._fixed = len(costs)
        self._add_rows()

    def _add_rows(self) -> None:
        """Add the rows, of which plans that come later use their part."""
        self._add_row({}, 1.0, is_equal=True)
        for row in range(self.rows):
            if row in self._maximum_of:
                self._add_row({self._maximum_of[row]: -1.0}, 0.0)
            else:
                self._add_row({self._excess[row]: -1.0}, 1.0)
        span_of = {span.model: m for m, span in enumerate(self._spans)}
        for segment in self._graph.segments:
            terms = {} if segment.tail == BEGIN else {self._node[segment.tail]: 1.0}
            if segment.model in span_of:
                terms[span_of[segment.model] if segment.head == END else self._node[segment.head]] = -1.0
            self._add_row(terms, 0.0 if segment.model in span_of else inf)

    def _add_row(self, terms: dict[int, float], upper: float, *, is_equal: bool = False) -> None:
        lower = upper if is_equal else -inf
        places, factors = np.array(list(terms), dtype=np.int32), np.array(list(terms.values()))
        self._highs.addRow(lower, upper, len(terms), places, factors)

    def add(self, column: Column) -> None:
        """Add a plan."""
        self.columns += 1
        ends = np.array(column.lengths)
        for span in self._spans:
            serial_s = sum(column.usage[row] for row in span.serial)
            for s, segment in enumerate(self._graph.segments):
                if segment.head == END and segment.model == span.model:
                    ends[s] += serial_s
        values = np.concatenate([[1.0], column.usage, ends])
        places = np.flatnonzero(values).astype(np.int32)
        self._highs.addCol(column.cost / self._scale, 0.0, inf, len(places), places, values[places])

    def solve(self) -> tuple[Mixture, tuple[float, ...]]:
        """Return the best mixture, and segment -> its multiplier.

        Raises
        ------
        SolverError
            If the solver fails.
        """
        self._highs.run_alone()
        if not self._highs.is_solved:
            raise SolverError("the solver failed on a mixture of plans")
        solution = self._highs.getSolution()
        duals = np.maximum(0.0, -np.array(solution.row_dual)) * self._scale
        shares = tuple(max(0.0, share) for share in solution.col_value[self._fixed :])
        least = self._highs.getInfo().objective_function_value * self._scale
        rows = tuple(map(float, duals))
        return Mixture(least, rows[1 : 1 + self.rows], shares), rows[1 + self.rows :]
