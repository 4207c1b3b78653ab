"""The scenario's budgets as limits of a problem, and quantities in the scenario's own words.

Budgets on errors are no limits of one problem: `planner.refinement.noise_limit_search` keeps those.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from planner.problem.quantities import CostMetric, Limit, Quantity
from planner.scenario.budget_schema import BudgetSpec
from planner.scenario.schema import Scenario


@dataclass(frozen=True, slots=True)
class BudgetUnit:
    """A budget's key and unit: a quantity in SI is `(value / per_si) ** exponent`.

    Parameters
    ----------
    per_si
        How many of the unit are one of SI.
    exponent
        -1 of a rate, for which the problem limits seconds; 2 of a noise, for which it limits the power.

    Examples
    --------
    >>> BudgetUnit("latency_ms", "ms", 1e3).in_si(50.0)
    0.05
    >>> throughput = BudgetUnit("throughput_per_s", "per s", exponent=-1)
    >>> throughput.in_si(20.0), throughput.in_unit(0.05)
    (0.05, 20.0)
    """

    key: str
    unit: str = ""
    per_si: float = 1.0
    exponent: int = 1

    def in_si(self, value: float) -> float:
        """Return a budget's value as the problem has it."""
        return (value / self.per_si) ** self.exponent

    def in_unit(self, value: float) -> float:
        """Return what the problem has as the budget's value."""
        return float(value ** (1 / self.exponent)) * self.per_si

    def text(self, number: str) -> str:
        """Return key and number as a person reads them."""
        return f"{self.key}: {number} {self.unit}".rstrip()


_UNITS = {
    CostMetric.LATENCY: BudgetUnit("latency_ms", "ms", 1e3),
    CostMetric.MAKESPAN: BudgetUnit("makespan_ms", "ms", 1e3),
    CostMetric.PERIOD: BudgetUnit("throughput_per_s", "per s", exponent=-1),
    CostMetric.ENERGY: BudgetUnit("total_energy_j", "J"),
    CostMetric.MONEY: BudgetUnit("money_per_request"),
    CostMetric.NOISE: BudgetUnit("noise_relative_rms", exponent=2),
}
_OF_DEVICES = {
    CostMetric.MEMORY: BudgetUnit("memory_mib", "MiB", 2**-20),
    CostMetric.ENERGY: BudgetUnit("energy_j", "J"),
}
_OF_LINKS = {CostMetric.TRAFFIC: BudgetUnit("traffic_kib", "KiB", 2**-10)}


def limits_of(scenario: Scenario) -> Iterator[Limit]:
    """Yield the limits that a scenario sets, but for those on errors."""
    budget = _requested(scenario)
    for metric, unit in _UNITS.items():
        value = getattr(budget, unit.key)
        if value is not None and metric is not CostMetric.NOISE:
            yield Limit(Quantity(metric), unit.in_si(value))
    of_parts = (
        (_OF_LINKS, [link.name for link in scenario.links]),
        (_OF_DEVICES, [device.name for device in scenario.devices]),
    )
    for units, names in of_parts:
        for number, name in enumerate(names):
            for metric, unit in units.items():
                value = getattr(budget, unit.key).get(name)
                if value is not None:
                    yield Limit(Quantity(metric, number), unit.in_si(value))


def _requested(scenario: Scenario) -> BudgetSpec:
    """Return the budget with money for a month as money for a request."""
    return scenario.budget.model_copy(update={"money_per_request": scenario.money})


def unit_of(scenario: Scenario, quantity: Quantity) -> BudgetUnit:
    """Return the key and unit in which a scenario speaks of a quantity."""
    if quantity.metric is CostMetric.NOISE:
        return _UNITS[CostMetric.NOISE]
    if quantity.metric is CostMetric.MONEY and scenario.money != scenario.budget.money_per_request:
        return BudgetUnit("budget.money_per_month", per_si=scenario.requests_per_month or 1.0)
    if quantity.of is None:
        unit, name = _UNITS[quantity.metric], ""
    elif quantity.metric in _OF_LINKS:
        unit, name = _OF_LINKS[quantity.metric], f".{scenario.links[quantity.of].name}"
    else:
        unit, name = _OF_DEVICES[quantity.metric], f".{scenario.devices[quantity.of].name}"
    return replace(unit, key=f"budget.{unit.key}{name}")
