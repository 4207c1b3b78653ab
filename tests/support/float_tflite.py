"""A float `.tflite` model with the weights of an integer one."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from tflite_models import packed

_NUMPY = {schema.TensorType.INT8: np.int8, schema.TensorType.INT32: np.int32}
_CONVERSIONS = (schema.BuiltinOperator.QUANTIZE, schema.BuiltinOperator.DEQUANTIZE)


def float_copy(content, jitter):
    """Return a model that computes in float what an integer one stands for.

    Parameters
    ----------
    jitter
        The most by which each int8 weight is moved at random, in steps: with 0 an int8 grid holds all.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    (graph,) = model.subgraphs
    rng = np.random.default_rng(0)
    for tensor in graph.tensors:
        found = tensor.quantization
        if found is None or found.scale is None or not len(found.scale):
            continue
        data = model.buffers[tensor.buffer].data
        if data is not None and len(data):
            steps = np.frombuffer(np.asarray(data, np.uint8).tobytes(), _NUMPY[tensor.type])
            steps = steps.reshape(tensor.shape).astype(np.float64)
            if tensor.type == schema.TensorType.INT8:
                steps += rng.uniform(-jitter, jitter, steps.shape)
            shape = [1] * steps.ndim
            if len(found.scale) > 1:
                shape[found.quantizedDimension] = -1
            numbers = (steps - np.reshape(found.zeroPoint, shape)) * np.reshape(found.scale, shape)
            tensor.buffer = len(model.buffers)
            model.buffers.append(
                schema.BufferT(data=np.frombuffer(numbers.astype(np.float32).tobytes(), np.uint8))
            )
        tensor.type, tensor.quantization = schema.TensorType.FLOAT32, None
    _drop_conversions(model, graph)
    model.signatureDefs = model.metadata = None
    return packed(model)


def _drop_conversions(model, graph):
    same, kept = {}, []
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        if max(code.builtinCode, code.deprecatedBuiltinCode) in _CONVERSIONS:
            same[int(operator.outputs[0])] = int(operator.inputs[0])
        else:
            kept.append(operator)

    def source(tensor):
        while tensor in same:
            tensor = same[tensor]
        return int(tensor)

    for operator in kept:
        operator.inputs = [source(tensor) for tensor in operator.inputs]
    graph.operators = kept
    graph.inputs, graph.outputs = list(graph.inputs), [source(tensor) for tensor in graph.outputs]
