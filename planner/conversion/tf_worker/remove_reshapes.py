"""Drops reshapes that change nothing, which tf2onnx makes of transposes where a picture has one channel."""

import onnx
from onnx import shape_inference

from profiling.onnx_io.input_shapes import dimensions


def remove_noop_reshapes(model: onnx.ModelProto) -> None:
    """Remove each Reshape whose output has the static shape of its input, in place; ends keep their names."""
    inferred = shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {v.name: dimensions(v) for v in (*inferred.input, *inferred.value_info, *inferred.output)}
    outputs = {value.name for value in model.graph.output}
    replacement: dict[str, str] = {}
    kept: list[onnx.NodeProto] = []
    for node in model.graph.node:
        input_shape = shapes.get(node.input[0]) if node.op_type == "Reshape" else None
        if (
            input_shape
            and None not in input_shape
            and input_shape == shapes.get(node.output[0])
            and node.output[0] not in outputs
        ):
            replacement[node.output[0]] = replacement.get(node.input[0], node.input[0])
        else:
            kept.append(node)
    for node in kept:
        node.input[:] = [replacement.get(name, name) for name in node.input]
    del model.graph.node[:]
    model.graph.node.extend(kept)
