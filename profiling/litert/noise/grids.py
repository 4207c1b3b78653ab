"""Steps on which a static mode rounds tensors and constants, as the quantizer wrote them into a model."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from profiling.arrays import Array
from profiling.litert.load import LitertModel
from profiling.litert.quantize import QuantizedModel
from profiling.litert.table_access import OPTIONAL, listed
from profiling.litert.unit_graph import LitertGraph, tensor_quantization


@dataclass(frozen=True, slots=True)
class Grid:
    """The numbers that a tensor can hold: scale times an integer less the zero point.

    Parameters
    ----------
    integer
        Name of the integers' type.
    """

    scale: float
    zero_point: int
    integer: str

    def rounded(self, exact: Array) -> Array:
        """Return float32 values on the grid, of the same shape; what lies beyond its ends is clipped.

        Bit for bit what QUANTIZE and DEQUANTIZE give.
        """
        return self.numbers(self.integers(exact))

    def integers(self, exact: Array) -> Array:
        """Return the integers, of the same shape, that stand for float32 values: what QUANTIZE gives."""
        limits = np.iinfo(self.integer)
        steps = np.rint(exact / np.float32(self.scale)) + np.float32(self.zero_point)
        return np.asarray(np.clip(steps, limits.min, limits.max).astype(self.integer))

    def numbers(self, integers: Array) -> Array:
        """Return the float32 values, of the same shape, for which integers stand: what DEQUANTIZE gives."""
        steps = integers.astype(np.float32) - np.float32(self.zero_point)
        return np.asarray(steps * np.float32(self.scale), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Grids:
    """Grids of tensors in a model some of whose units are in one static mode.

    Parameters
    ----------
    tensors
        Tensor of the float model -> the grid on which its unit writes it, or readers make it.
    read
        Unit -> input -> the grid on which it reads it.
    """

    tensors: Mapping[int, Grid]
    read: Mapping[int, Mapping[int, Grid]]

    def requantized(self, unit: int) -> dict[int, Grid]:
        """Return the inputs of a unit that it reads on another grid than they are on."""
        return {t: grid for t, grid in self.read.get(unit, {}).items() if grid != self.tensors[t]}


def read_grids(graph: LitertGraph, quantized: QuantizedModel) -> Grids:
    """Return the grids in a model whose units are all in one static mode, or in float."""
    read: dict[int, dict[int, Grid]] = {}
    written: dict[int, Grid] = {}
    for unit in range(len(graph.units)):
        read[unit], there = (
            {
                before: grid
                for before, after in matched_ends(graph, quantized, unit, field)
                if _is_rounded(graph.model, before) and (grid := grid_of(quantized.model, after))
            }
            for field in ("inputs", "outputs")
        )
        written |= there
    # Integers that a unit writes are what others read; without, the first reader decides.
    made = {tensor: grid for grids in reversed(read.values()) for tensor, grid in grids.items()}
    return Grids(made | written, read)


def _is_rounded(model: LitertModel, tensor: int) -> bool:
    """Whether a mode can round a tensor; integers of the float model stay what they are."""
    return not model.is_constant(tensor) and model.element_type(tensor).name == "float32"


def rounded_constants(graph: LitertGraph, quantized: QuantizedModel, unit: int) -> dict[int, Array]:
    """Return the float constants of a unit in a static mode as its integers stand for them, in float32.

    Returns
    -------
    dict
        Tensor of the float model -> values, of the same shape.
    """
    return {
        before: _dequantized(quantized.model, after)
        for before, after in matched_ends(graph, quantized, unit, "inputs")
        if graph.model.is_constant(before) and tensor_quantization(quantized.model, after) is not None
    }


def matched_ends(
    graph: LitertGraph, quantized: QuantizedModel, unit: int, field: str
) -> Iterator[tuple[int, int]]:
    """Yield (tensor, what is there for it in the quantized model) of what a unit's operators read or write.

    Parameters
    ----------
    field
        `inputs` or `outputs`.
    """
    for number in graph.operators[unit]:
        source = graph.model.operators[number]
        there = quantized.model.operators[quantized.matched[number]]
        ends = zip(listed(getattr(source, field)), listed(getattr(there, field)), strict=True)
        yield from ((int(before), int(after)) for before, after in ends if before != OPTIONAL)


def grid_of(model: LitertModel, tensor: int) -> Grid | None:
    """Return the grid that a tensor is on, None if it holds floats."""
    found = tensor_quantization(model, tensor)
    if found is None:
        return None
    return Grid(found.scales[0], found.zero_points[0], model.element_type(tensor).name)


def _dequantized(model: LitertModel, tensor: int) -> Array:
    found = tensor_quantization(model, tensor)
    integers = model.constant(tensor).astype(np.float64)
    if found is None:
        return integers.astype(np.float32)
    shape = [1] * integers.ndim
    if len(found.scales) > 1:
        shape[found.axis] = -1
    scales, zero_points = (
        np.asarray(values, np.float64).reshape(shape if len(values) > 1 else ())
        for values in (found.scales, found.zero_points)
    )
    return np.asarray((integers - zero_points) * scales, np.float32)
