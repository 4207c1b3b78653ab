"""The scenario's budgets as limits of a problem, and quantities in the scenario's own words."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from planner.problem import Limit, Measure, Quantity
from planner.scenario import Scenario

_KIBI, _MEBI = 2**10, 2**20


def limits_of(scenario: Scenario) -> Iterator[Limit]:
    """Yield the limits that a scenario sets, but for those on errors."""
    budget = scenario.budget
    throughput = budget.throughput_per_s
    whole = (
        (Measure.LATENCY, scenario.latency_s),
        (Measure.ENERGY, budget.total_energy_j),
        (Measure.MAKESPAN, None if budget.makespan_ms is None else budget.makespan_ms / 1e3),
        (Measure.PERIOD, None if throughput is None else 1 / throughput),
        (Measure.MONEY, scenario.money),
    )
    yield from (Limit(Quantity(measure), value) for measure, value in whole if value is not None)
    for at, link in enumerate(scenario.links):
        if link.name in budget.traffic_kib:
            yield Limit(Quantity(Measure.TRAFFIC, at), budget.traffic_kib[link.name] * _KIBI)
    for d, device in enumerate(scenario.devices):
        own = (
            (Measure.MEMORY, scenario.memory_bytes(device.name)),
            (Measure.ENERGY, budget.energy_j.get(device.name)),
        )
        yield from (Limit(Quantity(measure, d), value) for measure, value in own if value is not None)


@dataclass(frozen=True, slots=True)
class Wording:
    """A budget's key, and how its value follows from a quantity in SI."""

    key: str
    in_unit: Callable[[float], float]


def wording_of(scenario: Scenario, quantity: Quantity) -> Wording:
    """Return how a scenario speaks of a quantity."""
    if quantity.measure is Measure.TRAFFIC:
        name = "" if quantity.of is None else scenario.links[quantity.of].name
        return Wording(f"budget.traffic_kib.{name}", lambda size: size / _KIBI)
    name = "" if quantity.of is None else scenario.devices[quantity.of].name
    return {
        Measure.LATENCY: Wording("budget.latency_ms", lambda seconds: seconds * 1e3),
        Measure.MAKESPAN: Wording("budget.makespan_ms", lambda seconds: seconds * 1e3),
        Measure.PERIOD: Wording("budget.throughput_per_s", lambda seconds: 1 / seconds),
        Measure.ENERGY: Wording(f"budget.energy_j.{name}" if name else "budget.total_energy_j", float),
        Measure.MEMORY: Wording(f"budget.memory_mib.{name}", lambda size: size / _MEBI),
        Measure.NOISE: Wording("noise_relative_rms", lambda power: power**0.5),
        Measure.MONEY: Wording("budget.money_per_request", float),
    }[quantity.measure]
