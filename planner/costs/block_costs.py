"""Costs of a runtime's units and tensors -> costs of blocks and of the tensors between them."""

from collections.abc import Mapping
from dataclasses import replace

from planner.costs.device_costs import DeviceCosts
from planner.scenario.schema import Scenario
from profiling.graph.operator_graph import OperatorGraph
from profiling.precision import Precision
from profiling.several_runtimes.block_graph import BlockGraph, RuntimePart

_PRECISIONS = (Precision.FP32, Precision.INT8)


def costs_of_graph(
    costs: Mapping[str, DeviceCosts], graph: OperatorGraph, scenario: Scenario
) -> dict[str, DeviceCosts]:
    """Return device -> its costs of a graph's units, which are blocks where devices run several runtimes.

    Parameters
    ----------
    costs
        Device -> its costs by its runtime's names.
    """
    if not isinstance(graph, BlockGraph):
        return dict(costs)
    blocks = dict(enumerate(unit.name for unit in graph.units))
    parts = {name: graph.parts[scenario.runtime_of(scenario.device(name))] for name in costs}
    return {name: _costs_of_blocks(own, parts[name], blocks) for name, own in costs.items()}


def _costs_of_blocks(costs: DeviceCosts, part: RuntimePart, blocks: Mapping[int, str]) -> DeviceCosts:
    """Return what blocks cost on a device: the sum of their units, and of what lies between these."""
    names = part.tensor_names
    switched = {key: s for key, s in costs.switches.items() if key[0] in names}
    return replace(
        costs,
        units={
            (name, precision): _seconds(costs, part, block, precision)
            for block, name in blocks.items()
            for precision in _PRECISIONS
        },
        switches={(names[tensor], a, b): seconds for (tensor, a, b), seconds in switched.items()},
        unit_noise={(name, Precision.INT8): _noise(costs, part, block) for block, name in blocks.items()},
        tensor_noise=_renamed(costs.tensor_noise, names),
        leave_s=_renamed(costs.leave_s, names),
        enter_s=_renamed(costs.enter_s, names),
        float16_noise={},
    )


def _renamed(
    values: Mapping[tuple[str, Precision], float], names: Mapping[str, str]
) -> dict[tuple[str, Precision], float]:
    return {(names[tensor], p): value for (tensor, p), value in values.items() if tensor in names}


def _mix(part: RuntimePart, block: int, precision: Precision) -> dict[int, Precision]:
    return part.mix({block: precision}) if precision is not Precision.FP32 else {}


def _seconds(costs: DeviceCosts, part: RuntimePart, block: int, precision: Precision) -> float:
    """Return the seconds of a block's units, and of switches between them."""
    graph, mix = part.graph, _mix(part, block, precision)
    seconds = sum(
        costs.units[graph.units[unit].name, mix.get(unit, Precision.FP32)] for unit in part.units[block]
    )
    quantized = graph.tensor_precisions(mix)
    for tensor in part.inner_tensors(block):
        if tensor not in quantized:
            continue
        there, back = (Precision.FP32, quantized[tensor]), (quantized[tensor], Precision.FP32)
        if graph.producer(tensor) not in mix:
            seconds += costs.switches.get((tensor, *there), 0.0)
        if any(reader not in mix for reader in graph.consumers(tensor)):
            seconds += costs.switches.get((tensor, *back), 0.0)
    return seconds


def _noise(costs: DeviceCosts, part: RuntimePart, block: int) -> float:
    """Return the noise power of a block in int8: its units', and that of the tensors inside."""
    graph, mix = part.graph, _mix(part, block, Precision.INT8)
    quantized = graph.tensor_precisions(mix)
    inner = sum(
        costs.tensor_noise.get((tensor, Precision.INT8), 0.0)
        for tensor in part.inner_tensors(block)
        if tensor in quantized and not _inherits(part, tensor)
    )
    return inner + sum(costs.unit_noise.get((graph.units[u].name, Precision.INT8), 0.0) for u in mix)


def _inherits(part: RuntimePart, tensor: str) -> bool:
    """Return whether a tensor keeps the scale of what its unit reads."""
    producer = part.graph.producer(tensor)
    return producer is not None and part.graph.units[producer].scale_preserving
