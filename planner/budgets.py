"""The scenario's budgets as limits of a problem, and quantities in the scenario's own words."""

from collections.abc import Iterator
from dataclasses import dataclass

from planner.problem import Limit, Measure, Quantity
from planner.scenario import Scenario

_MEBI = 2**20


def limits_of(scenario: Scenario) -> Iterator[Limit]:
    """Yield the limits that a scenario sets, but for those on errors."""
    budget = scenario.budget
    if scenario.latency_s is not None:
        yield Limit(Quantity(Measure.LATENCY), scenario.latency_s)
    if budget.total_energy_j is not None:
        yield Limit(Quantity(Measure.ENERGY), budget.total_energy_j)
    for d, device in enumerate(scenario.devices):
        memory, energy = scenario.memory_bytes(device.name), budget.energy_j.get(device.name)
        if memory is not None:
            yield Limit(Quantity(Measure.MEMORY, d), memory)
        if energy is not None:
            yield Limit(Quantity(Measure.ENERGY, d), energy)


@dataclass(frozen=True, slots=True)
class Wording:
    """A budget's key, and what the user's unit is in SI."""

    key: str
    unit: float


def wording_of(scenario: Scenario, quantity: Quantity) -> Wording:
    """Return how a scenario speaks of a quantity."""
    name = "" if quantity.of is None else scenario.devices[quantity.of].name
    return {
        Measure.LATENCY: Wording("budget.latency_ms", 1e-3),
        Measure.ENERGY: Wording(f"budget.energy_j.{name}" if name else "budget.total_energy_j", 1.0),
        Measure.MEMORY: Wording(f"budget.memory_mib.{name}", _MEBI),
        Measure.NOISE: Wording("noise_relative_rms", 1.0),
    }[quantity.measure]
