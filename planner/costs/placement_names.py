"""Whether a graph has all that a scenario's placement names: told before anything is measured."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

from planner.costs.name_patterns import UNITS_LISTED, values_by_name
from planner.errors import ScenarioError
from planner.scenario.schema import PlacementSpec, Scenario
from profiling.graph.operator_graph import OperatorGraph


class _Named(NamedTuple):
    """What a key says of some names.

    Parameters
    ----------
    others
        Name -> what it is, of what the key does not take.
    listed
        Where the names stand.
    """

    key: str
    by_pattern: Mapping[str, Any]
    names: Sequence[str]
    others: Mapping[str, str]
    listed: str


def check_placement_names(scenario: Scenario, graph: OperatorGraph) -> None:
    """Look for each name and pattern of a placement in the graph.

    Raises
    ------
    ScenarioError
        If some match nothing, or say different things of a unit: all keys that do.
    """
    faults: list[str] = []
    for one in _named(scenario.placement, graph):
        others = [name for name in one.by_pattern if name not in one.names and name in one.others]
        if others:
            faults += [f"{one.key}: {name!r} is {one.others[name]}" for name in others]
            continue
        try:
            values_by_name(one.key, one.by_pattern, one.names, one.listed)
        except ScenarioError as exc:
            faults.append(str(exc))
    if faults:
        raise ScenarioError("; ".join(faults))


def _named(placement: PlacementSpec, graph: OperatorGraph) -> Iterator[_Named]:
    units = [unit.name for unit in graph.units]
    parts = {
        name: f"a tensor, which unit {unit.name!r} writes: name the unit"
        for unit in graph.units
        for name in unit.outputs
    }
    parts |= {
        name: f"a node of unit {unit.name!r}: name the unit" for unit in graph.units for name in unit.nodes
    }
    of_units = parts, UNITS_LISTED
    yield _Named("placement.pin", placement.pin, units, *of_units)
    yield _Named("placement.precision", placement.precision, units, *of_units)
    for key, groups in (("together", placement.together), ("apart", placement.apart)):
        yield _Named(f"placement.{key}", dict.fromkeys(chain(*groups), True), units, *of_units)
    tensors = list(graph.tensors)
    writing = {
        unit.name: f"a unit, which writes {', '.join(map(repr, unit.outputs))}: name the tensor"
        for unit in graph.units
    }
    inputs = f"tensors are named as in the model, such as {', '.join(map(repr, graph.inputs))}"
    yield _Named("placement.private", dict.fromkeys(placement.private, True), tensors, writing, inputs)
