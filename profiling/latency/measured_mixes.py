"""Which mixes of precisions are measured of a graph, and what a measurement calls its units and tensors."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from profiling.arrays import Array
from profiling.graph.operator_graph import OperatorGraph
from profiling.on_device.measurement_order import CALLER, PlannedUnit, SwitchTensor
from profiling.precision import Precision

# Pairs of mixed models: one has in int8 what the other has in fp32, of the units that can. Each place between
# two units that follow each other is a switch to int8 in one model and back in another, among neighbours as
# plans have them. What int16 costs is the same among whatever neighbours: no kernels are fused for it.
# Tensors beside int8-qoperator switch as those of int8 do.
_PAIRS = {Precision.INT8: 3, Precision.INT16: 1}
_ORDERS = 8  # random orders of pairs, of which the best is taken


def switch_tensors(graph: OperatorGraph) -> tuple[str, ...]:
    """Return the tensors that may change their precision, in the order in which measurements count them."""
    return tuple(name for name in graph.boundary_tensors() if graph.tensors[name].is_float)


def planned_units(graph: OperatorGraph) -> list[PlannedUnit]:
    """Return the units as a measurement names them."""
    return [PlannedUnit(unit.name, unit.quantizable) for unit in graph.units]


def planned_switches(graph: OperatorGraph) -> list[SwitchTensor]:
    """Return the tensors that may change their precision."""
    return [_switch(graph, name) for name in switch_tensors(graph)]


def _switch(graph: OperatorGraph, name: str) -> SwitchTensor:
    producer = graph.producer(name)
    consumers = [*graph.consumers(name), *([CALLER] if name in graph.outputs else [])]
    return SwitchTensor(
        name, graph.tensors[name].size_bytes, CALLER if producer is None else producer, consumers
    )


def by_precision(mix: Mapping[int, Precision]) -> dict[str, list[int]]:
    """Return precision -> units, as a `MeasurementPlan` has it."""
    used = sorted(set(mix.values()))
    return {p.value: sorted(unit for unit, precision in mix.items() if precision is p) for p in used}


def mixes_of(graph: OperatorGraph, precisions: Sequence[Precision]) -> list[dict[int, Precision]]:
    """Return the precisions of the quantized units of each variant: first uniform, then mixed."""
    able = {p: [unit.index for unit in graph.units if unit.can_be(p)] for p in precisions[1:]}
    uniform: list[dict[int, Precision]] = [{}, *(dict.fromkeys(able[p], p) for p in precisions[1:])]
    mixed = []
    for precision in precisions[1:]:
        if precision not in _PAIRS:
            continue  # beside it tensors stay in float, or have another precision
        for switches in _switching_places(graph, _PAIRS[precision]):
            runs = np.cumsum(switches)
            for phase in (1, 0):
                ones = [index for index in able[precision] if runs[index] % 2 == phase]
                mixed.append(graph.resolve_precisions(dict.fromkeys(ones, precision)))
    # Tiny graphs can repeat themselves; the first ones stay in place.
    return uniform + [m for i, m in enumerate(mixed) if m not in uniform and m not in mixed[:i]]


def _switching_places(graph: OperatorGraph, pairs: int) -> Iterator[Array]:
    """Yield for each pair of models before which units they switch, each unit in one pair.

    Runs have one to `2 * pairs - 1` units. Were all of one length, networks that repeat blocks would switch
    at the same places of each. The order of pairs is random, but so that the two ends of a tensor are in
    different precisions in some model, also where other units lie between them.
    """
    ends = [
        (tensor.producer, unit)
        for tensor in planned_switches(graph)
        for unit in tensor.consumers
        if unit > tensor.producer >= 0
    ]
    orders = (_order_of_pairs(seed, len(graph.units), pairs, ends) for seed in range(_ORDERS))
    best = min(orders, key=lambda order: _unshown(order, ends))
    yield from (np.asarray(best) == pair for pair in range(pairs))


def _order_of_pairs(seed: int, units: int, pairs: int, ends: Sequence[tuple[int, int]]) -> list[int]:
    """Return for each unit which pair switches before it.

    Parameters
    ----------
    ends
        Of tensors: the unit that writes and one that reads it.
    """
    rng = np.random.default_rng(seed)
    order = list[int]()
    for begin in range(0, units, pairs):
        here = [(producer, unit) for producer, unit in ends if begin <= unit < begin + pairs]
        choices = rng.permutation(list(itertools.permutations(range(pairs)))).tolist()
        order = min(([*order, *choice] for choice in choices), key=lambda tried: _unshown(tried, here))
    return order


def _unshown(order: Sequence[int], ends: Iterable[tuple[int, int]]) -> int:
    """Return how many tensors have both ends in one precision in every model."""
    between = (Counter(order[producer + 1 : unit + 1]) for producer, unit in ends)
    return sum(all(count % 2 == 0 for count in switches.values()) for switches in between)
