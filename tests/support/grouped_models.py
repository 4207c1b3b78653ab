"""Small models as text, and the groups of nodes that become their units."""

import onnx
from onnx import parser, shape_inference

from profiling.graph.fusion_groups import group_nodes

SHAPE = [1, 2, 4, 4]
HEADER = '<ir_version: 8, opset_import: ["" : 17]> g (float[1, 2, 4, 4] x) => (float[1, 2, 4, 4] y) '
WEIGHTS = "<float[2, 2, 1, 1] w, float[2, 1, 1] b, float s = {0.1}, uint8 z = {128}> "
CONV = "Conv <kernel_shape = [1, 1]>"


def named(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model as preparing leaves it: shapes known, nodes named, here after what they write."""
    for node in model.graph.node:
        node.name = node.output[0]
    return shape_inference.infer_shapes(model)


def groups(body: str) -> list[list[str]]:
    model = named(parser.parse_model(f"{HEADER}{WEIGHTS}{{ {body} }}"))
    return [[node.name for node in group] for group in group_nodes(model)]
