"""What a second, a byte or a joule counts in a quantity: the weights of a sum over a plan's accounts."""

from dataclasses import dataclass, replace

from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric, Quantity


@dataclass(frozen=True, slots=True)
class Multipliers:
    """A linear quantity: prices times what a choice spends. Tuples are per device or per link.

    Parameters
    ----------
    busy
        Of a second that a device works.
    link, byte
        Of a second and a byte on a link.
    joule
        Of a joule of a device's units and messages.
    weight
        Of a byte of weights on a device.
    noise
        Of noise power.
    """

    busy: tuple[float, ...]
    link: tuple[float, ...]
    byte: tuple[float, ...]
    joule: tuple[float, ...]
    weight: tuple[float, ...]
    noise: float = 0.0

    def times(self, factor: float) -> "Multipliers":
        """Return these prices multiplied."""

        def all_times(row: tuple[float, ...]) -> tuple[float, ...]:
            return tuple(x * factor for x in row)

        return Multipliers(
            all_times(self.busy),
            all_times(self.link),
            all_times(self.byte),
            all_times(self.joule),
            all_times(self.weight),
            self.noise * factor,
        )

    def plus(self, other: "Multipliers") -> "Multipliers":
        """Return the prices of the sum of two quantities."""
        return Multipliers(
            _sum(self.busy, other.busy),
            _sum(self.link, other.link),
            _sum(self.byte, other.byte),
            _sum(self.joule, other.joule),
            _sum(self.weight, other.weight),
            self.noise + other.noise,
        )


def _sum(one: tuple[float, ...], other: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(a + b for a, b in zip(one, other, strict=True))


def multipliers_of(problem: PlacementProblem, quantity: Quantity) -> Multipliers | None:
    """Return the prices that make up a quantity, None if it is a maximum rather than a sum.

    Of memory these are the weights, without the largest unit's inputs and outputs.
    """
    devices, links = range(len(problem.devices)), range(len(problem.links))
    no_device, no_link = (0.0,) * len(devices), (0.0,) * len(links)
    nothing = Multipliers(no_device, no_link, no_link, no_device, no_device)
    of, measure = quantity.of, quantity.metric
    mine = tuple(float(of in (None, problem.physical_device(d))) for d in devices)
    carrying = tuple(float(of in (None, at)) for at in links)
    if measure is CostMetric.LATENCY:
        return replace(nothing, busy=(1.0,) * len(devices), link=(1.0,) * len(links))
    if measure is CostMetric.ENERGY:
        idle = sum(problem.devices[d].idle_w * mine[d] for d in devices if problem.physical_device(d) == d)
        known = problem.devices
        more = (mine[d] * (known[d].active_w - known[d].idle_w) for d in devices)
        return replace(nothing, busy=tuple(x + idle for x in more), link=(idle,) * len(links), joule=mine)
    if measure is CostMetric.MEMORY:
        return replace(nothing, weight=mine)
    if measure is CostMetric.TRAFFIC:
        return replace(nothing, byte=carrying)
    if measure is CostMetric.NOISE:
        return replace(nothing, noise=1.0)
    if measure is CostMetric.MONEY:
        busy = tuple(device.price_per_s for device in problem.devices)
        return replace(nothing, busy=busy, byte=tuple(link.price_per_byte for link in problem.links))
    return None
