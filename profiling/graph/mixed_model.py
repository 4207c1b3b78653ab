"""The whole ONNX model with units in precisions, as it is timed and delivered."""

from collections.abc import Mapping
from pathlib import Path

import onnx

from profiling.graph.blocked_layout import keep_blocked_layout
from profiling.graph.unit_graph import ModelGraph
from profiling.quantization.qdq_model import Scheme, quantize


def mixed_model(graph: ModelGraph, schemes: Mapping[int, Scheme], ranges: Path) -> onnx.ModelProto:
    """Return a copy of the model with some units quantized, each in its scheme, and the others in fp32.

    Parameters
    ----------
    schemes
        Index of a unit -> its scheme.
    ranges
        What `calibrate` wrote for this model, or `calibrate_ranges`.

    Raises
    ------
    QuantizeError
        As `quantize`.
    """
    # In topological order: repeated passes of the tool equal one only if they go upstream first.
    of_nodes = {node: schemes[index] for index in sorted(schemes) for node in graph.units[index].nodes}
    mixed = quantize(graph.model, of_nodes, ranges, graph.guarded_nodes)
    keep_blocked_layout(mixed, graph, schemes)
    return mixed
