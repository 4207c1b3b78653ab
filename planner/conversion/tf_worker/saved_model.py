"""A frozen graph as a SavedModel: one file, since it has no variables."""

from planner.conversion.tf_worker.freeze_variables import Frozen
from profiling.errors import ModelError
from profiling.tensorflow_runtime.in_process.graph_files import GraphEnd, saved_model_bytes


def saved_model_of(frozen: Frozen) -> bytes:
    """Return the bytes of `saved_model.pb`, with the public names as keys of its signature.

    Raises
    ------
    ModelError
        If the graph looks up tables, which lie outside it.
    """
    if frozen.tables:
        raise ModelError("model: runtime tensorflow runs no models with look-up tables")
    inputs = [GraphEnd(name, tensor) for tensor, name in frozen.inputs.items()]
    outputs = [GraphEnd(name, tensor) for tensor, name in frozen.outputs.items()]
    return saved_model_bytes(frozen.graph, inputs, outputs)
