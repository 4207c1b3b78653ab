"""Where and in which precision each unit can run, and what each of these options costs."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path

from planner.costs.device_costs import DeviceCosts
from planner.costs.name_patterns import values_by_name
from planner.costs.tensor_formats import TensorFormats, tensor_bytes
from planner.devices.profile_files import is_cost_table
from planner.devices.runtime import origin_of
from planner.errors import ScenarioError
from planner.formatting import names_text
from planner.problem.tensors import FLOAT
from planner.problem.units import Option, Vertex
from planner.scenario.device_schema import DeviceSpec
from planner.scenario.schema import Scenario
from profiling.errors import ProfileError
from profiling.graph.operator_graph import OperatorGraph, Unit
from profiling.precision import Precision

_MOST_NAMES = 5  # in a list of a message


def pattern_exceptions(scenario: Scenario, graph: OperatorGraph) -> Iterator[str]:
    """Yield a sentence for each precision that a pattern asks for in vain, with the units that stay in fp32.

    Raises
    ------
    ScenarioError
        If a pattern matches no unit.
    """
    named = scenario.placement.precision
    forced = values_by_name("placement.precision", named, [unit.name for unit in graph.units])
    beyond: dict[Precision, list[str]] = defaultdict(list)
    for unit in graph.units:
        precision = forced.get(unit.name)
        if precision is not None and unit.name not in named and not _is_met(unit, precision):
            beyond[precision].append(repr(unit.name))
    for precision, units in beyond.items():
        names = names_text(units, _MOST_NAMES)
        yield (
            f"placement.precision: {len(units)} of the units that patterns match cannot be in {precision} "
            f"and stay as they are: {names}; plan inspect --json says why"
        )


def _is_met(unit: Unit, precision: Precision) -> bool:
    return unit.counted_as(precision) is precision if unit.quantized else unit.can_be(precision)


class UnitOptions:
    """The units of a graph as vertices of a problem, under what a scenario says of their placement.

    Parameters
    ----------
    costs
        Device name -> its costs.

    Raises
    ------
    ScenarioError
        If a pattern of the placement matches no unit.
    """

    def __init__(
        self,
        scenario: Scenario,
        graph: OperatorGraph,
        costs: Mapping[str, DeviceCosts],
        formats: TensorFormats,
    ) -> None:
        self._scenario, self._graph, self._costs, self._formats = scenario, graph, costs, formats
        self._devices = tuple(device.name for device in scenario.devices)
        self._names = [unit.name for unit in graph.units]
        placement = scenario.placement
        self._pinned = values_by_name("placement.pin", placement.pin, self._names)
        self._forced = values_by_name("placement.precision", placement.precision, self._names)

    def vertices(self) -> tuple[Vertex, ...]:
        """Return units, then the source and the sink.

        Raises
        ------
        ScenarioError
            If the placement, or the precisions that devices allow, leave a unit no option, or if a unit that
            `placement.precision` names cannot be so. What only a pattern names is in fp32 then.
        ProfileError
            If a profile lacks a unit's seconds.
        """
        terminals = (("source", self._scenario.source), ("sink", self._scenario.sink))
        return (
            *(
                Vertex(
                    unit.name,
                    tuple(self._options(unit.index)),
                    kernel_forced=unit.kernel_forced,
                    coupled_with=unit.coupled_with,
                )
                for unit in self._graph.units
            ),
            *(
                Vertex(name, (Option(self._devices.index(device)),), is_terminal=True)
                for name, device in terminals
            ),
        )

    def group(self, patterns: Sequence[str]) -> tuple[int, ...]:
        """Return the units that any of some patterns matches."""
        matched = values_by_name("placement.together", dict.fromkeys(patterns, True), self._names)
        return tuple(index for index, name in enumerate(self._names) if name in matched)

    def pairs_apart(self) -> Iterator[tuple[int, int]]:
        """Yield the pairs of units that are to be apart."""
        for patterns in self._scenario.placement.apart:
            ends = (values_by_name("placement.apart", {pattern: True}, self._names) for pattern in patterns)
            for a, b in product(*ends):
                if a == b:
                    raise ScenarioError(f"placement.apart: {a!r} cannot be apart from itself")
                yield self._names.index(a), self._names.index(b)

    def _options(self, index: int) -> list[Option]:
        unit = self._graph.units[index]
        tensors = [self._graph.tensors[name] for name in (*unit.inputs, *unit.outputs)]
        options = []
        for number, device in enumerate(self._scenario.devices):
            if self._pinned.get(unit.name, device.name) != device.name:
                continue
            costs = self._costs[device.name]
            options += [
                Option(
                    device=number,
                    format=self._formats.number(precision, costs) if precision.is_static else FLOAT,
                    seconds=self._seconds(device.name, unit.name, precision),
                    noise_power=costs.unit_noise.get((unit.name, precision.numbers), 0.0),
                    weight_bytes=self._graph.stored_bytes(index, precision),
                    activation_bytes=sum(tensor_bytes(tensor, precision) for tensor in tensors),
                    precision=precision.value,
                )
                for precision in self._precisions(index, device)
            ]
        if not options and unit.quantized:
            raise ScenarioError(
                f"unit {unit.name!r} is quantized already, but no device that it may run on may compute in "
                "int8: add it to precisions"
            )
        if not options and unit.name in (*self._pinned, *self._forced):
            raise ScenarioError(
                f"placement: unit {unit.name!r} cannot be as it is pinned: no device it may run on has that "
                "precision; name it in precisions"
            )
        return options

    def _precisions(self, index: int, device: DeviceSpec) -> tuple[Precision, ...]:
        allowed, unit = self._scenario.precisions_of(device), self._graph.units[index]
        forced = self._forced.get(unit.name)
        if unit.quantized:
            return self._of_quantized(unit, allowed)
        if forced is not None and unit.can_be(forced):
            allowed = tuple(precision for precision in allowed if precision is forced)
        elif forced is not None and unit.name in self._scenario.placement.precision:
            raise ScenarioError(
                f"placement.precision: unit {unit.name!r} cannot be in {forced}: {unit.why_not(forced)}"
            )
        elif forced is not None and unit.quantizable:
            return (Precision.FP32,)  # a pattern takes the units that can
        if unit.quantizable:
            able = tuple(precision for precision in allowed if unit.can_be(precision))
            return able if able or not allowed else (Precision.FP32,)
        return (Precision.FP32,)  # what cannot be quantized runs as it is, everywhere

    def _of_quantized(self, unit: Unit, allowed: Sequence[Precision]) -> tuple[Precision, ...]:
        """Return how a unit that came quantized runs: as it came, where a device may compute in int8."""
        named = self._scenario.placement.precision.get(unit.name)
        if named is not None and unit.counted_as(named) is not named:
            raise ScenarioError(
                f"placement.precision: unit {unit.name!r} cannot be in {named}: it came quantized, and stays "
                "as it came"
            )
        able = Precision.INT8 in {precision.numbers for precision in allowed}
        return (Precision.FP32,) if able else ()

    def _seconds(self, device: str, unit: str, precision: Precision) -> float:
        try:
            return self._costs[device].units[unit, precision]
        except KeyError as exc:
            origin, _ = origin_of(self._scenario, self._scenario.device(device))
            name = origin.profile or ""
            mend = (
                f"add it to {name}, or leave {precision} out of the precisions of {device!r}"
                if is_cost_table(Path(name))
                else "measure it again with `plan profile`"
            )
            raise ProfileError(
                f"the profile of device {device!r} has no {precision} time of unit {unit!r}; {mend}"
            ) from exc
