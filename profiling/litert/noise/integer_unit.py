"""A unit in a static mode, seen in floats: what it does beside rounding what it reads and writes."""

from collections.abc import Mapping

import numpy as np

from profiling.arrays import Array, Feeds
from profiling.litert.cut import cut_out
from profiling.litert.interpreter import StageRunner
from profiling.litert.noise.grids import Grids, grid_of, matched_ends
from profiling.litert.quantize import QuantizedModel
from profiling.litert.unit_graph import LitertGraph

_ROUNDING_STEPS = 1.5  # of a grid, whose numbers are whole steps apart: a kernel may round the other way


class IntegerUnit:
    """Computes a unit's outputs from exact inputs, both in float.

    Its weights are those that the integers stand for. An input that it reads on another grid than the
    tensor is on is rounded once more. Where integers come out further from that than rounding explains,
    as sums that overflow do, the difference is added.

    Parameters
    ----------
    quantized
        A model with the unit and what is around it in the mode.
    grids
        Of that model.
    rounded
        The unit in float with the weights that the integers stand for.
    """

    def __init__(
        self, graph: LitertGraph, quantized: QuantizedModel, grids: Grids, index: int, rounded: StageRunner
    ) -> None:
        self._quantized, self._rounded = quantized.model, rounded
        self._grids = {graph.model.names[tensor]: grid for tensor, grid in grids.tensors.items()}
        # Tensors' names in the float model -> the tensors there.
        self._inputs, self._outputs = (
            {
                graph.model.names[before]: after
                for before, after in matched_ends(graph, quantized, index, field)
            }
            for field in ("inputs", "outputs")
        )
        operators = [quantized.matched[number] for number in graph.operators[index]]
        others = [number for number in range(len(quantized.model.operators)) if number not in operators]
        self._integers = StageRunner(cut_out(quantized.model, operators, others).content)

    def __call__(self, exact: Feeds) -> dict[str, Array]:
        """Return the outputs of one sample by name."""
        read, again, integers = dict[str, Array](), dict[str, Array](), dict[str, Array]()
        for name, values in exact.items():
            there = self._inputs[name]
            grid = grid_of(self._quantized, there)
            read[name] = again[name] = integers[self._quantized.names[there]] = values
            if grid is not None:
                rounded = self._grids[name].rounded(values)
                integers[self._quantized.names[there]] = grid.integers(rounded)
                read[name] = grid.rounded(rounded)
                again[name] = np.asarray(values + (read[name] - rounded))
        outputs = self._rounded(again)
        expected, actual = self._rounded(read), self._integers(integers)
        return {name: values + self._excess(name, expected[name], actual) for name, values in outputs.items()}

    def _excess(self, name: str, expected: Array, actual: Mapping[str, Array]) -> Array:
        """Return by how much integers of an output are off beyond rounding, elsewhere 0."""
        there = self._outputs[name]
        grid = grid_of(self._quantized, there)
        if grid is None:
            return np.zeros((), expected.dtype)
        excess = grid.numbers(actual[self._quantized.names[there]]) - grid.rounded(expected)
        return np.asarray(np.where(np.abs(excess) > _ROUNDING_STEPS * grid.scale, excess, np.float32(0)))
