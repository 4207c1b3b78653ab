"""The options of all vertices in a row, and which of them differ to tensors and rules."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.problem.placement_problem import PlacementProblem
from planner.problem.units import Option
from planner.solver.lagrangian.linear_quantity import Multipliers

Table = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class OptionKinds:
    """The options of a vertex by device and format: to tensors and rules those of one kind are the same.

    Parameters
    ----------
    options, devices, formats
        Kind -> its first option, and what it has in common.
    kind
        Option -> its kind.
    """

    options: tuple[Option, ...]
    devices: Integers
    formats: Integers
    kind: Integers

    @staticmethod
    def of(options: Sequence[Option]) -> "OptionKinds":
        """Return the kinds of some options, in the order of their first ones."""
        first: dict[tuple[int, int], Option] = {}
        for option in options:
            first.setdefault((option.device, option.format), option)
        numbers = {key: number for number, key in enumerate(first)}
        return OptionKinds(
            tuple(first.values()),
            np.array([device for device, _ in first], dtype=np.int64),
            np.array([tensor_format for _, tensor_format in first], dtype=np.int64),
            np.array([numbers[o.device, o.format] for o in options], dtype=np.int64),
        )


class OptionTable:
    """Costs of options as arrays over all vertices' options, one vertex after another.

    At any multipliers only the cheapest option of a kind counts, so that tables need the kinds only.

    Parameters
    ----------
    problem
        Each vertex has an option.
    """

    def __init__(self, problem: PlacementProblem) -> None:
        self._problem = problem
        self.kinds = [OptionKinds.of(vertex.options) for vertex in problem.vertices]
        self.devices = [np.array([o.device for o in vertex.options]) for vertex in problem.vertices]
        counts = [len(vertex.options) for vertex in problem.vertices]
        self.first = np.cumsum([0, *counts[:-1]])
        self.slices = [slice(start, start + count) for start, count in zip(self.first, counts, strict=True)]
        self._vertex = np.repeat(np.arange(len(counts)), counts)
        self._gather_costs()
        self._gather_kinds()

    def costs(self, multipliers: Multipliers, peak: tuple[int, int] | None, byte: float) -> Table:
        """Return what the options cost, with a unit's equal share of the start of its stage.

        The shares of the units on a device are at most its start, which is paid whole if there is any.

        Parameters
        ----------
        peak, byte
            (vertex, device) whose activation bytes count, and the multiplier of these bytes.
        """
        total: Table = (
            np.array(multipliers.busy)[self._device] * self._seconds
            + np.array(multipliers.joule)[self._home] * self._joules
            + np.array(multipliers.weight)[self._home] * self._weight_bytes
            + np.array(multipliers.noise)[self._model] * self._noise
        )
        if peak is not None:
            counts = (self._vertex == peak[0]) & (self._home == peak[1])
            total = total + byte * self._activation_bytes * counts
        return total

    def most_difference(self, costs: Table) -> float:
        """Return the largest difference of a vertex's options."""
        return float((np.maximum.reduceat(costs, self.first) - np.minimum.reduceat(costs, self.first)).max())

    def of_kinds(self, costs: Table) -> list[Table]:
        """Return vertex -> kind -> the least cost of its options."""
        least = np.minimum.reduceat(costs[self._by_kind], self._kind_first)
        return [least[part] for part in self._kind_slices]

    def cheapest(self, costs: Table, kinds: Sequence[int]) -> list[int]:
        """Return vertex -> the cheapest option of a kind."""
        in_order = costs[self._by_kind]
        least = np.minimum.reduceat(in_order, self._kind_first)
        places = np.where(in_order == least[self._kind_of], np.arange(len(in_order)), len(in_order))
        chosen = np.minimum.reduceat(places, self._kind_first)
        starts = np.array([part.start for part in self._kind_slices])
        options = self._by_kind[chosen[starts + np.array(kinds)]] - self.first
        return [int(o) for o in options]

    def of_options(self, costs: Table, marginals: Sequence[Table]) -> list[Table]:
        """Return vertex -> option -> the least sum with it, from that with its kind."""
        in_order = costs[self._by_kind]
        least = np.minimum.reduceat(in_order, self._kind_first)[self._kind_of]
        with np.errstate(invalid="ignore"):  # infinity less infinity, which is not taken
            more = np.where(np.isinf(in_order), np.inf, in_order - least)
        total = np.empty_like(costs)
        total[self._by_kind] = np.concatenate(marginals)[self._kind_of] + more
        return [total[part] for part in self.slices]

    def _gather_costs(self) -> None:
        problem = self._problem
        homes = np.array([problem.physical_device(d) for d in range(len(problem.devices))], dtype=np.int64)
        units = sum(not vertex.is_terminal for vertex in problem.vertices)
        # Whichever units are on a device, their shares of its start are at most all of it.
        shares = np.array([0.0 if vertex.is_terminal else 1.0 / units for vertex in problem.vertices])
        options = [option for vertex in problem.vertices for option in vertex.options]
        self._device = np.array([o.device for o in options], dtype=np.int64)
        self._home = homes[self._device]
        self._model = np.array([vertex.model for vertex in problem.vertices])[self._vertex]
        starts = np.array([device.start_s for device in problem.devices])[self._device]
        self._seconds = np.array([o.seconds for o in options]) + shares[self._vertex] * starts
        self._joules = np.array([o.joules for o in options])
        self._weight_bytes = np.array([o.weight_bytes for o in options], dtype=np.float64)
        self._activation_bytes = np.array([o.activation_bytes for o in options], dtype=np.float64)
        self._noise = np.array([o.noise_power for o in options])

    def _gather_kinds(self) -> None:
        sizes = [len(kinds.devices) for kinds in self.kinds]
        firsts = np.cumsum([0, *sizes[:-1]])
        self._kind_slices = [slice(start, start + size) for start, size in zip(firsts, sizes, strict=True)]
        numbers = np.concatenate([kinds.kind for kinds in self.kinds]) + firsts[self._vertex]
        self._by_kind = np.argsort(numbers, kind="stable")
        self._kind_of = numbers[self._by_kind]
        self._kind_first = np.searchsorted(self._kind_of, np.arange(sum(sizes)))
