"""The limits and the objective of a placement problem for CP-SAT, as sums of integers."""

from collections.abc import Iterator, Sequence

from cp_sat_placement import NotModelledError, Placement
from cp_sat_sums import Bool, Terms, down, joined, merged, scaled, times, weighted

from planner.problem.quantities import CostMetric, Quantity

_RESOLUTION = 1e9  # of limits, and of about the largest objective that there can be
_MOST_SUM = 1e17  # of an objective's integers: CP-SAT wants room below 2**63


def add_limits_and_objective(placement: Placement) -> float:
    """Complete a model; return its objective's integers per unit of the problem's objective."""
    costs = _Costs(placement)
    costs.add_limits()
    costs.add_objective()
    return costs.scale


class _Costs:
    """What is limited and minimised, over a placement's variables."""

    def __init__(self, placement: Placement) -> None:
        self._placement = placement
        self._problem, self._model = placement.problem, placement.model
        self.scale = 1.0

    def _sum_of(self, quantity: Quantity) -> Terms:
        """Return a quantity that is a sum of costs."""
        metric, of = quantity.metric, quantity.of
        if metric is CostMetric.LATENCY:
            return [*joined(self._placement.busy), *joined(self._placement.link_s)]
        if metric is CostMetric.NOISE:
            return self._placement.noise
        if metric is CostMetric.TRAFFIC:
            return list(joined(self._placement.traffic) if of is None else self._placement.traffic[of])
        if metric is CostMetric.ENERGY:
            homes = self._placement.devices if of is None else (of,)
            return [term for home in homes for term in self._energy(home)]
        if metric is CostMetric.MONEY:
            return [*self._prices()]
        if metric is CostMetric.MEMORY:
            homes = self._placement.devices if of is None else (of,)
            return [term for home in homes for term in self._memory(home)]
        raise NotModelledError(f"{metric.value} is no sum of costs")

    def _prices(self) -> Iterator[tuple[Bool, float]]:
        for device, terms in zip(self._problem.devices, self._placement.busy, strict=True):
            yield from times(device.price_per_s, terms)
        for link, terms in zip(self._problem.links, self._placement.traffic, strict=True):
            yield from times(link.price_per_byte, terms)

    def _energy(self, home: int) -> Terms:
        device = self._problem.devices[home]
        if self._problem.physical_device(home) != home:
            return []
        terms = list(self._placement.joules[home])
        for d in self._visits(home):
            terms += times(device.active_w - device.idle_w, self._placement.busy[d])
        return [*terms, *times(device.idle_w, self._sum_of(Quantity(CostMetric.LATENCY)))]

    def _memory(self, home: int) -> Terms:
        """Return weights, and the largest activation as a sum of steps from one size to the next."""
        here = [
            (x, option)
            for vertex, row in zip(self._problem.vertices, self._placement.takes, strict=True)
            for x, option in zip(row, vertex.options, strict=True)
            if option.device in self._visits(home)
        ]
        terms = [(x, option.weight_bytes) for x, option in here]
        below, smaller = 0.0, None
        for size in sorted({option.activation_bytes for _, option in here} - {0}):
            reaches = self._placement.new_bool()  # whether some activation is of this size or above
            for x in (x for x, option in here if option.activation_bytes == size):
                self._model.add_implication(x, reaches)
            if smaller is not None:
                self._model.add_implication(reaches, smaller)
            terms.append((reaches, size - below))
            below, smaller = size, reaches
        return terms

    def _visits(self, home: int) -> list[int]:
        """Return a device and its further visits; none of a visit, which has no memory or load of its own."""
        return [d for d in self._placement.devices if self._problem.physical_device(d) == home]

    def _loads(self) -> list[Terms]:
        """Return what a device or link works on a request, each."""
        return [*map(self._load, self._placement.devices), *self._placement.link_s]

    def _load(self, home: int) -> Terms:
        visits = self._visits(home)
        terms = list(joined(self._placement.busy[d] for d in visits))
        for link, messages in zip(self._problem.links, self._placement.link_s, strict=True):
            for end in (link.source, link.target):
                if end in visits and self._problem.devices[end].transfers_block:
                    terms += messages
        return terms

    # Limits and the objective

    def add_limits(self) -> None:
        """State the limits."""
        for limit in self._problem.limits:
            if limit.quantity.metric is CostMetric.PERIOD:
                for load in self._loads():
                    self._limit(load, limit.at_most)
            elif limit.quantity.metric is CostMetric.MAKESPAN:
                scale = _RESOLUTION / limit.at_most if limit.at_most else _RESOLUTION
                self._makespan(scale, int(_RESOLUTION) if limit.at_most else 0)
            else:
                self._limit(self._sum_of(limit.quantity), limit.at_most)

    def _limit(self, terms: Terms, at_most: float) -> None:
        """State that a sum is within a limit, with costs rounded down."""
        costs = merged(terms)
        if at_most == 0:
            for x, _ in costs:
                self._model.add(x == 0)
            return
        most = int(_RESOLUTION)
        # A coefficient above the limit says the same as the first one above it.
        factors = [(x, min(down(cost * (most / at_most)), most + 1)) for x, cost in costs]
        self._model.add(weighted(factors) <= most)

    def add_objective(self) -> None:
        """State what is minimised, in the largest integers that there is room for."""
        linear: Terms = []
        others = []
        for term in self._problem.objective:
            if term.quantity.metric in (CostMetric.PERIOD, CostMetric.MAKESPAN):
                others.append(term)
            else:
                linear += times(term.weight, self._sum_of(term.quantity))
        sums = merged(linear)
        everything = sum(cost for _, cost in sums)
        for term in others:
            latency = merged(self._sum_of(Quantity(CostMetric.LATENCY)))
            everything += term.weight * sum(cost for _, cost in latency)
        self._scale_to(sums, [term.weight for term in others if term.weight], everything)
        parts = [weighted([(x, down(cost * self.scale)) for x, cost in sums])]
        for term in others:
            if term.weight:
                metric_of = self._period if term.quantity.metric is CostMetric.PERIOD else self._makespan
                parts.append(metric_of(term.weight * self.scale, int(everything * self.scale) + 1))
        self._model.minimize(sum(parts))

    def _scale_to(self, sums: Terms, weights: Sequence[float], everything: float) -> None:
        """Choose the scale: of the objective if each vertex took its most expensive option."""
        costs = {x.index: cost for x, cost in sums}
        typical = sum(
            max((costs.get(x.index, 0.0) for x in row), default=0.0) for row in self._placement.takes
        )
        for weight in weights:
            typical += weight * sum(
                max(option.seconds for option in vertex.options) for vertex in self._problem.vertices
            )
        typical = typical or everything
        if everything:
            self.scale = min(_RESOLUTION / typical, _MOST_SUM / everything)

    def _period(self, scale: float, most: int) -> Bool:
        period = self._model.new_int_var(0, most, "")
        for load in self._loads():
            self._model.add(scaled(load, scale) <= period)
        return period

    def _makespan(self, scale: float, most: int) -> Bool:
        """Return when the last answer is there; each stage starts once all its tensors have come."""
        end = {d: self._model.new_int_var(0, most, "") for d in self._placement.devices}
        last = self._model.new_int_var(0, most, "")
        busy = {d: scaled(terms, scale) for d, terms in enumerate(self._placement.busy)}
        self._model.add(scaled(self._placement.past_units, scale) <= last)
        for d in self._placement.devices:
            self._model.add(busy[d] + scaled(self._placement.from_source[d], scale) <= end[d])
            self._model.add(end[d] + scaled(self._placement.to_sink[d], scale) <= last)
        for (a, b), terms in self._placement.between.items():
            crossed = self._placement.new_bool()
            for x, _ in terms:
                self._model.add_implication(x, crossed)
            arrives = end[a] + scaled(terms, scale)
            self._model.add(arrives + busy[b] <= end[b]).only_enforce_if(crossed)
        return last
