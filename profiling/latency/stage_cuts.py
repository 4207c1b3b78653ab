"""Whole models cut into stages, which show what a stage pays for being one."""

from collections.abc import Sequence
from math import ceil

import onnx
from onnx import shape_inference

from profiling.graph.operator_graph import OperatorGraph
from profiling.graph.unit_graph import ModelGraph
from profiling.onnx_io.extract import SubmodelExtractor
from profiling.quantization.qdq_model import QUANTIZED_SUFFIX

# Enough cuts for a line over their bytes, few enough that stages stay much longer than what is looked for.
_MOST_STAGES, _LEAST_UNITS = 16, 4


def designed_stages(graph: OperatorGraph) -> list[list[int]]:
    """Return units in runs along the order, each a stage; none where there are too few for two.

    As in plans, no unit is cut off from those that it is coupled with.
    """
    count = len(graph.units)
    size = max(_LEAST_UNITS, ceil(count / _MOST_STAGES))
    last_of: dict[int, int] = {}  # first unit of those that stay together -> the last one
    for unit in graph.units:
        together = (unit.index, *unit.coupled_with)
        last_of[min(together)] = max(*together, last_of.get(min(together), 0), 0)
    runs: list[list[int]] = [[]]
    together_until = -1
    for index in range(count):
        if len(runs[-1]) >= size and index > together_until:
            runs.append([])
        runs[-1].append(index)
        together_until = max(together_until, last_of.get(index, -1))
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
    extractor = SubmodelExtractor(
        shape_inference.infer_shapes(model)
    )  # types of what the quantization tool added
    stage_of = {unit: number for number, units in enumerate(stages) for unit in units}
    models = []
    for number, units in enumerate(stages):
        reads = dict.fromkeys(name for unit in units for name in graph.units[unit].inputs)
        writes = [name for unit in units for name in graph.units[unit].outputs]
        away = [n for n in writes if any(stage_of[reader] != number for reader in graph.consumers(n))]
        due = [name for name in writes if name in graph.outputs]
        inputs = [
            name if name in graph.inputs else _handed_over(extractor, name)
            for name in reads
            if name not in writes
        ]
        outputs = dict.fromkeys([*(_handed_over(extractor, name) for name in away), *due])
        models.append(extractor.extract(inputs, list(outputs)))
    return models


def _handed_over(extractor: SubmodelExtractor, name: str) -> str:
    """Return what a stage hands over for a tensor: its integers, if the model has them."""
    quantized = name + QUANTIZED_SUFFIX
    return quantized if quantized in extractor.writer else name
