"""What a mode makes of each tensor and each unit by itself, the rest of the model in float."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from profiling.arrays import Array, Feeds
from profiling.graph.any_model import Stage
from profiling.litert.calibration import Ranges
from profiling.litert.cut import cut_out
from profiling.litert.interpreter import StageRunner
from profiling.litert.latency.time_in_place import PartedModel
from profiling.litert.modes import Mode
from profiling.litert.noise.constants import with_constants
from profiling.litert.noise.grids import Grid, Grids, read_grids, rounded_constants
from profiling.litert.noise.integer_unit import IntegerUnit
from profiling.litert.quantize import quantize_units
from profiling.litert.unit_graph import READING_ON_OUTPUT_SCALE, LitertGraph

UnitFunction = Callable[[Feeds], dict[str, Array]]
"""A unit's exact inputs by name, float as in the float model, to its outputs in a mode, float as well."""


class ModeParts:
    """The parts of a model all of whose units that can are in one mode.

    Parameters
    ----------
    units
        Those that can compute in the mode.

    Raises
    ------
    QuantizeError
        If the quantizer fails on all of them together.
    """

    def __init__(self, graph: LitertGraph, mode: Mode, units: Sequence[int], ranges: Ranges) -> None:
        self._graph, self.mode = graph, mode
        self._quantized = quantize_units(graph, dict.fromkeys(units, mode), ranges)
        self.units = frozenset(unit for unit in units if self._quantized.modes[unit] is mode)
        self._found = self._read_grids(ranges) if mode.is_static else Grids({}, {})
        self.grids = {
            name: grid
            for tensor, grid in self._found.tensors.items()
            if (name := graph.model.names[tensor]) in graph.tensors and graph.tensors[name].is_float
        }

    def _read_grids(self, ranges: Ranges) -> Grids:
        found = read_grids(self._graph, self._quantized)
        free = {
            unit: self.mode
            for unit in self.units
            if not READING_ON_OUTPUT_SCALE.intersection(self._graph.units[unit].op_types)
        }
        if len(free) == len(self.units):
            return found
        # A unit writes on the grid that its only reader wants, which may be far coarser than its own.
        alone = read_grids(self._graph, quantize_units(self._graph, free, ranges))
        return Grids({**found.tensors, **alone.tensors}, found.read)

    def other_grid(self, index: int, name: str) -> Grid | None:
        """Return the grid on which a unit reads a tensor that is on another; None if there is none."""
        others = self._found.requantized(index)
        return next((grid for t, grid in others.items() if self._graph.model.names[t] == name), None)

    def unit(self, index: int) -> UnitFunction | IntegerUnit:
        """Return a unit that reads and writes floats, with what the mode does inside it.

        That is its weights on their grid; in a mode that rounds activations in each run, that rounding; in
        a static mode, inputs that it reads on another grid than they are on, and what integer kernels do
        beyond rounding.
        """
        if not self.mode.is_static:
            return StageRunner(_unit_stage(self._quantized, index).content)
        constants = rounded_constants(self._graph, self._quantized, index)
        parted = replace(self._graph, model=with_constants(self._graph.model, constants))
        runner = StageRunner(_unit_stage(parted, index).content)
        return IntegerUnit(self._graph, self._quantized, self._found.tensors, index, runner)


def _unit_stage(parted: PartedModel, index: int) -> Stage:
    outside = [n for unit, numbers in enumerate(parted.operators) if unit != index for n in numbers]
    return cut_out(parted.model, parted.operators[index], outside, parted.shared)
