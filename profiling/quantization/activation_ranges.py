"""The least and the greatest value of each tensor of a model over some samples."""

from collections.abc import Collection, Iterable

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper

from profiling.arrays import Feeds
from profiling.on_device.create_session import Optimization
from profiling.runtime.open_session import Runtime, open_session, run_samples


def tensor_ranges(
    model: onnx.ModelProto, tensors: Collection[str], samples: Iterable[Feeds]
) -> dict[str, tuple[float, float]]:
    """Return least and greatest value of each float32 tensor; a NaN counts only where there is nothing else.

    Parameters
    ----------
    tensors
        Names of inputs or of what nodes write.
    """
    if not tensors:
        return {}
    # In the model's order a tensor is given up once its extremes are known.
    in_order = ort.ExecutionOrder.PRIORITY_BASED
    session = open_session(_watched(model, tensors), Runtime(), Optimization.BASIC, execution_order=in_order)
    low = dict.fromkeys(tensors, float("nan"))
    high = dict(low)
    for outputs in run_samples(session, samples):
        for name in tensors:
            low[name] = float(np.fmin(low[name], outputs[_output(name, "Min")]))
            high[name] = float(np.fmax(high[name], outputs[_output(name, "Max")]))
    return {name: (low[name], high[name]) for name in tensors}


def _watched(model: onnx.ModelProto, tensors: Collection[str]) -> onnx.ModelProto:
    """Return a copy whose outputs are the extremes, each taken right behind its tensor."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    extremes = {
        name: [
            helper.make_node(f"Reduce{which}", [name], [_output(name, which)], keepdims=0)
            for which in ("Min", "Max")
        ]
        for name in tensors
    }
    written = {name for node in model.graph.node for name in node.output}
    nodes = [node for name in tensors if name not in written for node in extremes[name]]
    for node in model.graph.node:
        nodes.append(node)
        nodes += [reduction for name in node.output if name in extremes for reduction in extremes[name]]
    del watched.graph.node[:], watched.graph.output[:]
    watched.graph.node.extend(nodes)
    watched.graph.output.extend(
        helper.make_tensor_value_info(node.output[0], onnx.TensorProto.FLOAT, [])
        for pair in extremes.values()
        for node in pair
    )
    return watched


def _output(tensor: str, which: str) -> str:
    return f"{tensor}/{which}"
