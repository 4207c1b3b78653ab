"""Whole models cut into stages, which show what a stage pays for being one."""

from collections.abc import Sequence
from math import ceil

import onnx
from onnx import shape_inference

from profiling.graph.unit_graph import ModelGraph
from profiling.onnx_io.extract import Library
from profiling.quantization.quantize import QUANTIZED_SUFFIX

# Enough cuts for a line over their bytes, few enough that stages stay much longer than what is looked for.
_MOST_STAGES, _LEAST_UNITS = 16, 4


def designed_stages(graph: ModelGraph) -> list[list[int]]:
    """Return units in runs along the order, each a stage; none where there are too few for two.

    As in plans, no unit is cut off from those within which it has to be.
    """
    count = len(graph.units)
    size = max(_LEAST_UNITS, ceil(count / _MOST_STAGES))
    bound = [
        (min(around), max(around))
        for u in graph.units
        if (around := (u.index, *u.coupled_with)) and u.coupled_with
    ]
    runs: list[list[int]] = [[]]
    for index in range(count):
        if len(runs[-1]) >= size and not any(first < index <= last for first, last in bound):
            runs.append([])
        runs[-1].append(index)
    return runs if len(runs) > 1 else []


def stage_models(
    model: onnx.ModelProto, graph: ModelGraph, stages: Sequence[Sequence[int]]
) -> list[onnx.ModelProto]:
    """Return the model of each stage, cut at the QuantizeLinear where a tensor is int8.

    Parameters
    ----------
    model
        `graph.model`, or the same with some units quantized.
    """
    library = Library(shape_inference.infer_shapes(model))  # types of what the quantization tool added
    home = {unit: number for number, units in enumerate(stages) for unit in units}
    found = []
    for number, units in enumerate(stages):
        reads = dict.fromkeys(name for unit in units for name in graph.units[unit].inputs)
        writes = [name for unit in units for name in graph.units[unit].outputs]
        away = [n for n in writes if any(home[reader] != number for reader in graph.consumers(n))]
        due = [name for name in writes if name in graph.outputs]
        inputs = [
            name if name in graph.inputs else _wire(library, name) for name in reads if name not in writes
        ]
        outputs = dict.fromkeys([*(_wire(library, name) for name in away), *due])
        found.append(library.part(inputs, list(outputs)))
    return found


def _wire(library: Library, name: str) -> str:
    quantized = name + QUANTIZED_SUFFIX
    return quantized if quantized in library.writer else name
