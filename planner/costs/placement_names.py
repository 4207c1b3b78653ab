"""Whether a graph has all that a scenario's placement names: told before anything is measured."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

from planner.costs.name_patterns import values_by_name
from planner.errors import ScenarioError
from planner.scenario.schema import PlacementSpec, Scenario
from profiling.graph.operator_graph import OperatorGraph


class _Named(NamedTuple):
    """What a key says of some names."""

    key: str
    by_pattern: Mapping[str, Any]
    names: Sequence[str]


def check_placement_names(scenario: Scenario, graph: OperatorGraph) -> None:
    """Look for each name and pattern of a placement in the graph.

    Raises
    ------
    ScenarioError
        If some match nothing, or say different things of a unit: all keys that do.
    """
    faults = []
    for one in _named(scenario.placement, graph):
        try:
            values_by_name(one.key, one.by_pattern, one.names)
        except ScenarioError as exc:
            faults.append(str(exc))
    if faults:
        raise ScenarioError("; ".join(faults))


def _named(placement: PlacementSpec, graph: OperatorGraph) -> Iterator[_Named]:
    units = [unit.name for unit in graph.units]
    yield _Named("placement.pin", placement.pin, units)
    yield _Named("placement.precision", placement.precision, units)
    for key, groups in (("together", placement.together), ("apart", placement.apart)):
        yield _Named(f"placement.{key}", dict.fromkeys(chain(*groups), True), units)
    yield _Named("placement.private", dict.fromkeys(placement.private, True), list(graph.tensors))
