"""The classes of a scenario's fleet: the problem of each at each bandwidth, and of groups of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

from planner.comparison.bandwidth_values import Bandwidths
from planner.comparison.fleet.class_scenario import class_limits
from planner.comparison.sweep_points import Sweep, SweepPoints
from planner.costs.device_costs import DeviceCosts, noise_of
from planner.costs.device_profiles import read_profile_file
from planner.devices.runtime import origin_of
from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric
from planner.refinement.measured_scenario import MeasuredScenario
from planner.scenario.cross_checks.fleet_faults import fleet_links
from planner.scenario.fleet_schema import DeviceClassSpec, FleetSpec
from planner.scenario.schema import Scenario
from profiling.errors import ProfileError
from profiling.precision import Precision
from profiling.quantization.qdq_model import SCHEMES
from profiling.records.profile import LatencyProfile

WIDEST = (1e-5, 1e10)  # Mbit/s, beyond what a scenario may say


@dataclass(frozen=True, slots=True)
class FleetCell:
    """A class at a bandwidth.

    Parameters
    ----------
    bandwidth
        Mbit/s of the fleet's links; None for their own.
    share
        Of the fleet; all sum to 1.
    """

    device_class: DeviceClassSpec
    bandwidth: float | None
    share: float


def fleet_cells(fleet: FleetSpec) -> tuple[FleetCell, ...]:
    """Return every class at each of its bandwidths.

    Examples
    --------
    >>> fleet = FleetSpec(device="a", classes=(DeviceClassSpec(name="x"), DeviceClassSpec(name="y")))
    >>> [(cell.device_class.name, cell.bandwidth, cell.share) for cell in fleet_cells(fleet)]
    [('x', None, 0.5), ('y', None, 0.5)]
    """
    total = sum(device_class.share for device_class in fleet.classes)
    cells = []
    for device_class in fleet.classes:
        pairs: list[tuple[float | None, float]] = [
            (one.mbit_per_s, one.share) for one in device_class.bandwidths
        ] or [(None, 1.0)]
        own_total = sum(share for _, share in pairs)
        cells += [
            FleetCell(device_class, value, device_class.share / total * share / own_total)
            for value, share in pairs
        ]
    return tuple(cells)


class FleetProblems:
    """The problems of classes and groups, under one limit on noise for all."""

    def __init__(self, measured: MeasuredScenario, fleet: FleetSpec) -> None:
        self._measured, self._fleet = measured, fleet
        self.links = fleet_links(measured.scenario, fleet)
        self._profiles: dict[str, LatencyProfile] = {}
        self._points: dict[str, SweepPoints] = {}
        self._lines: dict[str, bool] = {}

    def points(self, device_class: DeviceClassSpec) -> SweepPoints:
        """Return the points of a class at bandwidths of the fleet's links.

        Raises
        ------
        ScenarioError
            If its model has units that came quantized, and it may not compute in int8.
        ProfileError
            If its profile is of no use.
        """
        key = _content(device_class)
        if key not in self._points:
            scenario = self._scenario(device_class)
            prepared = replace(self._measured.prepared, scenario=scenario)
            basis = replace(self._measured, prepared=prepared)
            planning = basis.planning_problem(basis.latency)
            costs = {**planning.costs, self._fleet.device: self._costs(device_class, scenario)}
            sweep = Sweep(Bandwidths(WIDEST, self.links) if self.links else None)
            self._points[key] = SweepPoints(basis, sweep, replace(planning, costs=costs))
        return self._points[key]

    def has_lines(self, device_class: DeviceClassSpec) -> bool:
        """Return whether plans' costs for a class are lines over 1/bandwidth, from no bandwidth to any."""
        key = _content(device_class)
        if key not in self._lines:
            self._lines[key] = self.points(device_class).has_lines({})
        return self._lines[key]

    def problem(self, device_class: DeviceClassSpec, bandwidth: float | None) -> PlacementProblem:
        """Return a class's problem at a bandwidth, None for the links' own."""
        return self.points(device_class).problem(bandwidth, {})

    def group_class(self, cells: Sequence[FleetCell]) -> tuple[DeviceClassSpec, float | None] | None:
        """Return the class and the bandwidth whose latencies are the mean ones of a group of cells.

        Seconds of computing fall with the speed and seconds on links with the bandwidth, so that both means
        are harmonic. A plan that all cells allow is one that the class allows. None where no class is so.
        """
        classes = [cell.device_class for cell in cells]
        if len({c.profile for c in classes}) > 1 or len({cell.bandwidth is None for cell in cells}) > 1:
            return None
        allowed = [set(self._precisions(c)) for c in classes]
        precisions = tuple(p for p in self._precisions(classes[0]) if all(p in one for one in allowed))
        if not precisions:
            return None
        weight = sum(cell.share for cell in cells)
        slowness = sum(cell.share / cell.device_class.speedup for cell in cells) / weight
        bandwidth = None
        if cells[0].bandwidth is not None:
            bandwidth = weight / sum(cell.share / (cell.bandwidth or inf) for cell in cells)
        group = DeviceClassSpec.model_construct(
            name="group",
            share=1.0,
            speedup=1 / slowness,
            profile=classes[0].profile,
            precisions=precisions,
            memory_mib=self._least_memory(classes),
            bandwidths=(),
        )
        return group, bandwidth

    def _least_memory(self, classes: Sequence[DeviceClassSpec]) -> float | None:
        own = self._measured.scenario.budget.memory_mib.get(self._fleet.device)
        memories = [own if c.memory_mib is None else c.memory_mib for c in classes]
        return min((memory for memory in memories if memory is not None), default=None)

    def _precisions(self, device_class: DeviceClassSpec) -> tuple[Precision, ...]:
        scenario = self._scenario(device_class)
        return scenario.precisions_of(scenario.device(self._fleet.device))

    def _scenario(self, device_class: DeviceClassSpec) -> Scenario:
        return class_limits(self._measured.scenario, self._fleet.device, device_class)

    def _costs(self, device_class: DeviceClassSpec, scenario: Scenario) -> DeviceCosts:
        """Return what units and tensors cost on the class."""
        measured, device = self._measured, scenario.device(self._fleet.device)
        scheme = measured.prepared.schemes[device.name]
        noise = noise_of(scenario, scheme, measured.noise)
        by_precision = dict(zip(scenario.rounded_precisions, noise, strict=True))
        if device_class.profile is None:
            origin, speedup = origin_of(scenario, device)
            latency = measured.latency[origin.name]
        else:
            latency, speedup = self._profile(device_class, scenario), 1.0
        costs = DeviceCosts.of(latency, by_precision, scheme, speedup * device_class.speedup)
        return measured.fitted_noise.factors.applied(costs)

    def _profile(self, device_class: DeviceClassSpec, scenario: Scenario) -> LatencyProfile:
        """Return a class's own profile, which must fit how the device quantizes: a plan is one for all."""
        path = str(device_class.profile)
        if path not in self._profiles:
            device = scenario.device(self._fleet.device).model_copy(update={"profile": path})
            self._profiles[path] = read_profile_file(scenario, device, self._measured.prepared.subject)
        latency = self._profiles[path]
        own, profiled = self._measured.prepared.schemes[self._fleet.device], SCHEMES.get(latency.scheme)
        if latency.scheme and (profiled is None or profiled.symmetric != own.symmetric):
            raise ProfileError(
                f"{path} was made with the quantization scheme {latency.scheme!r}, but {self._fleet.device} "
                f"quantizes by {own.label}, and the plans of a fleet serve all its classes"
            )
        numbers = {precision.numbers for precision in self._precisions(device_class)}
        if latency.overflows and not own.reduce_range and Precision.INT8 in numbers:
            raise ProfileError(
                f"{path}: int8 kernels overflow there with 8-bit weights: set quantization.reduce_range: true"
            )
        return latency


def _content(device_class: DeviceClassSpec) -> str:
    """Return what tells classes apart, but for how many devices meet which bandwidths."""
    return device_class.model_copy(update={"share": 1.0, "bandwidths": ()}).model_dump_json()


def common_noise_limit(problems: Sequence[PlacementProblem]) -> float | None:
    """Return the tightest limit on noise of some problems; None without any."""
    limit = min((problem.tightest_limit(CostMetric.NOISE) for problem in problems), default=inf)
    return None if limit == inf else limit
