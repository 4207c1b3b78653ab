"""Other values for a model's constants."""

import copy
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from profiling.arrays import Array
from profiling.litert.flatbuffer import AlignedBuffer
from profiling.litert.load import LitertModel


def with_constants(model: LitertModel, constants: Mapping[int, Array]) -> LitertModel:
    """Return a model in which some constants have other values; the given one stays as it is.

    Parameters
    ----------
    constants
        Tensor -> values of its shape and type.
    """
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
