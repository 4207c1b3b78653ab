"""What a mode makes of each tensor and each unit by itself, the rest of the model in float."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from profiling.arrays import Array
from profiling.litert.calibration import Ranges
from profiling.litert.cut import Stage, cut_out
from profiling.litert.flatbuffer import AlignedBuffer
from profiling.litert.load import LitertModel
from profiling.litert.modes import Mode
from profiling.litert.noise.grids import Grids, read_grids, rounded_constants
from profiling.litert.quantize import quantize_units
from profiling.litert.time_in_place import PartedModel
from profiling.litert.unit_graph import LitertGraph


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
        found = read_grids(graph, self._quantized) if mode.is_static else Grids({}, {})
        names = graph.model.names
        self._requantized = {
            unit: {names[tensor]: grid for tensor, grid in grids.items()}
            for unit, grids in found.requantized.items()
        }
        self.grids = {
            names[tensor]: grid for tensor, grid in found.tensors.items() if names[tensor] in graph.tensors
        }
        self.units = frozenset(unit for unit in units if self._quantized.modes[unit] is mode)

    def unit(self, index: int) -> Stage | None:
        """Return a unit that reads and writes floats, but whose weights are those of the mode.

        In a mode that rounds activations in each run it does so; None if the mode changes nothing in it.
        """
        if not self.mode.is_static:
            return _unit_stage(self._quantized, index)
        constants = rounded_constants(self._graph, self._quantized, index)
        if not constants and index not in self._requantized:
            return None
        parted = replace(self._graph, model=with_constants(self._graph.model, constants))
        return _unit_stage(parted, index)

    def as_read(self, index: int, name: str, exact: Array) -> Array:
        """Return an input of a unit as it reads it, less the rounding that the tensor has anyway.

        Some operators want all that they read on the grid of what they write.
        """
        other = self._requantized.get(index, {}).get(name)
        if other is None:
            return exact
        rounded = self.grids[name].rounded(exact)
        return np.asarray(exact + (other.rounded(rounded) - rounded))


def with_constants(model: LitertModel, constants: Mapping[int, Array]) -> LitertModel:
    """Return a model in which some constants have other values of the same shape and type."""
    tables, graph = copy.copy(model.tables), copy.copy(model.graph)
    tables.buffers, tables.subgraphs = list(tables.buffers), list(tables.subgraphs)
    tables.subgraphs[model.subgraph] = graph
    graph.tensors = list(graph.tensors)
    for tensor, values in constants.items():
        graph.tensors[tensor] = copy.copy(graph.tensors[tensor])
        graph.tensors[tensor].buffer = len(tables.buffers)
        data = np.frombuffer(values.tobytes(), np.uint8)
        tables.buffers.append(AlignedBuffer(data=data if len(data) else None))
    return replace(model, tables=tables)


def _unit_stage(parted: PartedModel, index: int) -> Stage:
    outside = [n for unit, numbers in enumerate(parted.operators) if unit != index for n in numbers]
    return cut_out(parted.model, parted.operators[index], outside, parted.shared)
