"""What stages of a pipeline load: devices between two sets of finished units, and links at one such set."""

from dataclasses import dataclass
from itertools import product
from math import inf

import numpy as np
from numpy.typing import NDArray

from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric
from planner.problem.tensors import Flow, WireForm
from planner.problem.units import Option

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pricing:
    """How options and tensors are priced.

    Parameters
    ----------
    seconds_per_noise
        What an option's noise counts beside its seconds where it is chosen.
    is_bound
        Whether no plan loads less: each unit at its least seconds and least weights, each tensor in its
        cheapest form, and only the tensors that surely cross. Otherwise all tensors of a cut cross between
        the devices next to it, in the cheapest of their formats.
    """

    seconds_per_noise: float = 0.0
    is_bound: bool = False

    def option(self, problem: PlacementProblem, vertex: int, device: int) -> Option | None:
        """Return the option that a unit takes on a device."""
        here = [o for o in problem.vertices[vertex].options if o.device == device]
        if self.seconds_per_noise == inf:
            return min(here, key=lambda o: (o.noise_power, o.seconds), default=None)
        return min(here, key=lambda o: o.seconds + self.seconds_per_noise * o.noise_power, default=None)

    def forms(self, flow: Flow) -> tuple[WireForm, ...]:
        """Return the forms of which the cheapest counts."""
        return flow.forms if self.is_bound else tuple(flow.forms[f] for f in flow.formats)


@dataclass(frozen=True, slots=True)
class StageLoads:
    """Loads of the stages between ideals.

    Parameters
    ----------
    done
        Ideal -> unit -> whether it is in, shape [ideals, units].
    """

    problem: PlacementProblem
    units: list[int]
    done: NDArray[np.bool_]
    pricing: Pricing

    def device_load(self, device: int) -> Matrix:
        """Return first ideal -> last ideal -> seconds that the stage between them loads a device.

        Shape [ideals, ideals]; infinite where the first is no part of the last, a unit has no option on the
        device, or weights exceed its memory; 0 on the diagonal, for a device without a stage.
        """
        problem, done = self.problem, self.done
        options = [self.pricing.option(problem, v, device) for v in self.units]
        usable = np.array([o is not None for o in options])
        work = done @ np.array([0.0 if o is None else o.seconds for o in options])
        wrong = done.astype(int) @ (~usable).astype(int)
        weights = done @ np.array(
            [self._weight(v, device, o) for v, o in zip(self.units, options, strict=True)]
        )
        inside = (done.astype(np.float32) @ (~done.T).astype(np.float32)) == 0  # first is part of the last
        load: Matrix = work[None, :] - work[:, None] + problem.devices[device].start_s
        load[(wrong[None, :] - wrong[:, None]) > 0] = inf
        limit = problem.tightest_limit(CostMetric.MEMORY, problem.physical_device(device))
        load[weights[None, :] - weights[:, None] > limit * (1 + 1e-9)] = inf
        if problem.devices[device].transfers_block:
            load += self._transfers(device)
        load[~inside] = inf
        np.fill_diagonal(load, 0.0)
        return load

    def _weight(self, vertex: int, device: int, option: Option | None) -> float:
        if option is None or not self.pricing.is_bound:
            return 0.0 if option is None else option.weight_bytes
        return min(o.weight_bytes for o in self.problem.vertices[vertex].options if o.device == device)

    def link_load(self, source: int, target: int) -> Matrix:
        """Return ideal -> the greatest seconds on a link, if a stage on one device ends and the next begins.

        Shape [ideals]; infinite where no links lead there.
        """
        crossing = self._surely_crossing() if self.pricing.is_bound else self._live()
        seconds = np.zeros((len(self.problem.flows), max(len(self.problem.links), 1)))
        for f, flow in enumerate(self.problem.flows):
            seconds[f] = np.min(
                [_on_route(form, source, target, seconds.shape[1]) for form in self.pricing.forms(flow)],
                axis=0,
            )
        unreachable = np.isinf(seconds).any(axis=1)
        load: Matrix = (crossing @ np.where(np.isinf(seconds), 0.0, seconds)).max(axis=1)
        load[(crossing @ unreachable.astype(float)) > 0] = inf
        return load

    def _live(self) -> Matrix:
        """Return ideal -> tensor -> whether it is made inside and read outside, shape [ideals, tensors]."""
        position = {v: i for i, v in enumerate(self.units)}
        live = np.zeros((len(self.done), len(self.problem.flows)))
        for f, flow in enumerate(self.problem.flows):
            readers = [position[v] for v in flow.consumers if v in position]
            if flow.producer in position and readers:
                live[:, f] = self.done[:, position[flow.producer]] & ~self.done[:, readers].all(axis=1)
        return live

    def _surely_crossing(self) -> Matrix:
        """Return ideal -> tensor -> whether it goes from the stage before to the one behind, however long.

        So it is if its producer is the last block of all inside, and a reader the first of all outside: each
        stage has a unit that nothing follows inside of its ideal. Shape [ideals, tensors].
        """
        position = {v: i for i, v in enumerate(self.units)}
        last, first = self._only_maximal(), self._only_minimal()
        crossing = np.zeros((len(self.done), len(self.problem.flows)))
        for f, flow in enumerate(self.problem.flows):
            readers = [position[v] for v in flow.consumers if v in position]
            if flow.producer in position and readers:
                crossing[:, f] = last[:, position[flow.producer]] & first[:, readers].any(axis=1)
        return crossing

    def _only_maximal(self) -> NDArray[np.bool_]:
        return _alone(self.done & ~self._has_neighbour(self.done, self._edges().T))

    def _only_minimal(self) -> NDArray[np.bool_]:
        return _alone(~self.done & ~self._has_neighbour(~self.done, self._edges()))

    def _has_neighbour(self, inside: NDArray[np.bool_], edges: Matrix) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = (inside.astype(np.float64) @ edges) > 0
        return found

    def _edges(self) -> Matrix:
        """Return producer -> reader -> 1 where a tensor leads there, shape [units, units]."""
        position = {v: i for i, v in enumerate(self.units)}
        edges = np.zeros((len(self.units), len(self.units)))
        for flow in self.problem.flows:
            for v in flow.consumers:
                if flow.producer in position and v in position:
                    edges[position[flow.producer], position[v]] = 1.0
        return edges

    def _transfers(self, device: int) -> Matrix:
        """Return first ideal -> last ideal -> seconds that sending and receiving block a device."""
        problem, done, position = self.problem, self.done, {v: i for i, v in enumerate(self.units)}
        count = len(problem.flows)
        reads, ends = np.zeros((len(done), count)), np.zeros(count)
        made = np.ones((len(done), count), dtype=bool)
        for f, flow in enumerate(problem.flows):
            inside = [position[v] for v in flow.consumers if v in position]
            reads[:, f] = done[:, inside].sum(axis=1)
            ends[f] = len(inside) + any(
                v not in position and not self._is_at(v, device) for v in flow.consumers
            )
            if flow.producer in position:
                made[:, f] = done[:, position[flow.producer]]
        gets, gives = (
            np.array([self._link_seconds(flow, device, side) for flow in problem.flows]) for side in (0, 1)
        )
        from_here = [f.producer not in position and self._is_at(f.producer, device) for f in problem.flows]
        gets[from_here] = 0.0
        seconds = np.empty((len(done), len(done)))
        for first in range(len(done)):
            comes = (reads > reads[first]) & made[first]
            goes = made & ~made[first] & (reads < ends)
            seconds[first] = comes @ gets + goes @ gives
        return seconds

    def _is_at(self, terminal: int, device: int) -> bool:
        return any(option.device == device for option in self.problem.vertices[terminal].options)

    def _link_seconds(self, flow: Flow, device: int, side: int) -> float:
        """Return seconds on links into (side 0) or out of a device that a tensor takes: least or most."""
        others = [d for d in range(len(self.problem.devices)) if d != device]
        ends = [(link.target if side == 0 else link.source) == device for link in self.problem.links]
        seconds = [
            sum(form.link_s[at] for at in route if ends[at])
            for form, d in product(self.pricing.forms(flow), others)
            if (route := form.routes[d][device] if side == 0 else form.routes[device][d]) is not None
        ]
        return min(seconds, default=0.0) if self.pricing.is_bound else max(seconds, default=0.0)


def _alone(members: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the members of rows that have just one."""
    only: NDArray[np.bool_] = members & (members.sum(axis=1) == 1)[:, None]
    return only


def _on_route(form: WireForm, source: int, target: int, links: int) -> Matrix:
    """Return link -> seconds on it; infinite if no route leads there."""
    row = np.zeros(links)
    route = form.routes[source][target]
    if route is None:
        row[:] = inf
    else:
        row[list(route)] = [form.link_s[at] for at in route]
    return row
