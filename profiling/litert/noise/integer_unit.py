"""A unit in a static mode, seen in floats: what it does beside rounding what it reads and writes."""

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from profiling.arrays import Array, Feeds
from profiling.litert.cut import cut_out
from profiling.litert.interpreter import StageRunner
from profiling.litert.noise.grids import Grid, grid_of, matched_ends
from profiling.litert.quantize import QuantizedModel
from profiling.litert.unit_graph import LitertGraph

_ROUNDING_STEPS = 0.6  # of a grid: half a step, and what floats and integers differ by


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
        Of the tensors of the float model.
    rounded
        The unit in float with the weights that the integers stand for.
    """

    def __init__(
        self,
        graph: LitertGraph,
        quantized: QuantizedModel,
        grids: Mapping[int, Grid],
        index: int,
        rounded: StageRunner,
    ) -> None:
        self._quantized, self._rounded = quantized.model, rounded
        self._grids = {graph.model.names[tensor]: grid for tensor, grid in grids.items()}
        self._written = defaultdict[str, float](float)
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
        for name in self._grids.keys() & expected.keys():
            error = self._grids[name].rounded(expected[name]) - expected[name]
            self._written[name] += float(np.square(error, dtype=np.float64).sum())
        return {name: values + self._excess(name, expected[name], actual) for name, values in outputs.items()}

    def written_error(self, name: str) -> float:
        """Return the squared error of rounding an output, all samples so far together.

        Its values are those that the unit computes from integers, of which all may lie on the grid.
        """
        return self._written[name]

    def _excess(self, name: str, expected: Array, actual: Mapping[str, Array]) -> Array:
        """Return by how much integers of an output are off beyond rounding, elsewhere 0."""
        there = self._outputs[name]
        grid = grid_of(self._quantized, there)
        if grid is None:
            return np.zeros((), expected.dtype)
        limits = np.iinfo(grid.integer)
        ends = grid.numbers(np.array([limits.min, limits.max]))
        found = grid.numbers(actual[self._quantized.names[there]])
        is_off = np.abs(found - expected.clip(*ends)) > _ROUNDING_STEPS * grid.scale
        return np.asarray(np.where(is_off, found - grid.rounded(expected), np.float32(0)))
