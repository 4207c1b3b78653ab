"""What a second, a byte or a joule counts in a quantity: the factors of a sum over a plan's accounts."""

from dataclasses import dataclass, replace

from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric, Quantity


@dataclass(frozen=True, slots=True)
class Multipliers:
    """A linear quantity: multiples of what a choice spends. Tuples are per device or per link.

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
    model_link
        Of a second that a tensor of a model is on any link, besides `link`; per model.
    noise
        Of noise power; per model.
    """

    busy: tuple[float, ...]
    link: tuple[float, ...]
    byte: tuple[float, ...]
    joule: tuple[float, ...]
    weight: tuple[float, ...]
    model_link: tuple[float, ...]
    noise: tuple[float, ...]

    def times(self, factor: float) -> "Multipliers":
        """Return the multipliers of a multiple of the quantity."""

        def scaled(row: tuple[float, ...]) -> tuple[float, ...]:
            return tuple(x * factor for x in row)

        return Multipliers(
            scaled(self.busy),
            scaled(self.link),
            scaled(self.byte),
            scaled(self.joule),
            scaled(self.weight),
            scaled(self.model_link),
            scaled(self.noise),
        )

    def plus(self, other: "Multipliers") -> "Multipliers":
        """Return the multipliers of the sum of two quantities."""
        return Multipliers(
            _sum(self.busy, other.busy),
            _sum(self.link, other.link),
            _sum(self.byte, other.byte),
            _sum(self.joule, other.joule),
            _sum(self.weight, other.weight),
            _sum(self.model_link, other.model_link),
            _sum(self.noise, other.noise),
        )


def _sum(first: tuple[float, ...], second: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(a + b for a, b in zip(first, second, strict=True))


def no_multipliers(problem: PlacementProblem) -> Multipliers:
    """Return the multipliers of nothing."""
    no_device, no_link, no_model = (
        (0.0,) * len(row) for row in (problem.devices, problem.links, problem.models)
    )
    return Multipliers(no_device, no_link, no_link, no_device, no_device, no_model, no_model)


def multipliers_of(problem: PlacementProblem, quantity: Quantity) -> Multipliers | None:
    """Return the multipliers that make up a quantity; None if it is a maximum rather than a sum.

    Of memory only the weights are a sum; the largest unit's inputs and outputs are left out.
    """
    devices, links = range(len(problem.devices)), range(len(problem.links))
    zero = no_multipliers(problem)
    of, metric = quantity.of, quantity.metric
    counted_devices = tuple(float(of in (None, problem.physical_device(d))) for d in devices)
    counted_links = tuple(float(of in (None, link)) for link in links)
    counted_models = tuple(float(quantity.model in (None, model)) for model in problem.models)
    if metric is CostMetric.LATENCY:
        if quantity.model is None:
            return replace(zero, busy=(1.0,) * len(devices), link=(1.0,) * len(links))
        busy = tuple(counted_models[device.model] for device in problem.devices)
        return replace(zero, busy=busy, model_link=counted_models)
    if metric is CostMetric.ENERGY:
        idle = sum(
            problem.devices[d].idle_w * counted_devices[d] for d in devices if problem.physical_device(d) == d
        )
        specs = problem.devices
        active = (counted_devices[d] * (specs[d].active_w - specs[d].idle_w) for d in devices)
        return replace(
            zero, busy=tuple(x + idle for x in active), link=(idle,) * len(links), joule=counted_devices
        )
    if metric is CostMetric.MEMORY:
        return replace(zero, weight=counted_devices)
    if metric is CostMetric.TRAFFIC:
        return replace(zero, byte=counted_links)
    if metric is CostMetric.NOISE:
        return replace(zero, noise=counted_models)
    if metric is CostMetric.MONEY:
        busy = tuple(device.price_per_s for device in problem.devices)
        return replace(zero, busy=busy, byte=tuple(link.price_per_byte for link in problem.links))
    return None


def parts_of_maximum(problem: PlacementProblem, quantity: Quantity) -> tuple[Multipliers, ...]:
    """Return the multipliers of sums none of which exceeds a quantity; none if it is not a maximum of sums.

    A period is the largest of its parts. A makespan is at least as long as each of them, and mostly longer.
    """
    devices, links = range(len(problem.devices)), range(len(problem.links))
    zero = no_multipliers(problem)
    if quantity.metric is CostMetric.MAKESPAN:
        # Units of a device without stages may all run at once.
        of_model = [
            d
            for d, device in enumerate(problem.devices)
            if quantity.model in (None, device.model) and device.contiguous
        ]
        return tuple(replace(zero, busy=tuple(float(d == e) for e in devices)) for d in of_model)
    if quantity.metric is not CostMetric.PERIOD:
        return ()
    loads = [
        replace(
            zero,
            busy=tuple(float(problem.physical_device(e) == d) for e in devices),
            link=tuple(float(_blocking_ends(problem, link, d)) for link in links),
        )
        for d in devices
        if problem.physical_device(d) == d
    ]
    return (*loads, *(replace(zero, link=tuple(float(m == n) for m in links)) for n in links))


def _blocking_ends(problem: PlacementProblem, link: int, device: int) -> int:
    """Return how often a transfer on a link counts in a device's load."""
    ends = problem.links[link].source, problem.links[link].target
    return sum(
        problem.physical_device(end) == device and problem.devices[end].transfers_block for end in ends
    )
