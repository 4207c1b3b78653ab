"""Sums of CP-SAT's variables times costs, as integers rounded down."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from math import floor

from ortools.sat.python import cp_model

_ROUNDING = 1 - 1e-12  # a product of doubles may be above the real one by less

Bool = cp_model.IntVar
Terms = list[tuple[Bool, float]]  # a sum of variables times costs


def joined(parts: Iterable[Terms]) -> Iterator[tuple[Bool, float]]:
    """Yield the terms of several sums."""
    for part in parts:
        yield from part


def times(factor: float, terms: Iterable[tuple[Bool, float]]) -> Terms:
    """Return a multiple of a sum."""
    return [(x, factor * cost) for x, cost in terms] if factor else []


def merged(terms: Iterable[tuple[Bool, float]]) -> Terms:
    """Return each variable once, without those that cost nothing."""
    variables, costs = {}, defaultdict(float)
    for x, cost in terms:
        variables[x.index] = x
        costs[x.index] += cost
    return [(x, costs[index]) for index, x in variables.items() if costs[index]]


def down(number: float) -> int:
    """Return a whole number that is not above a product of doubles."""
    return floor(number * _ROUNDING)


def weighted(terms: Sequence[tuple[Bool, int]]) -> cp_model.LinearExprT:
    return cp_model.LinearExpr.weighted_sum([x for x, _ in terms], [cost for _, cost in terms])


def scaled(terms: Iterable[tuple[Bool, float]], scale: float) -> cp_model.LinearExprT:
    return weighted([(x, down(cost * scale)) for x, cost in merged(terms)])
