"""Types and shapes of a model's tensors, told as real runs show them."""

from collections.abc import Collection, Sequence

import onnx
from onnx import TensorProto, helper, shape_inference

from profiling.arrays import Feeds
from profiling.errors import ModelError
from profiling.onnx_io.load import dimensions, set_shape
from profiling.preparation.observed_shapes import ObservedTensor, observe_tensors

FEW = 4
"""Samples that are enough where inference and runs agree."""


def fix_shapes(model: onnx.ModelProto, samples: Sequence[Feeds], untold: Collection[str] = ()) -> None:
    """Tell every tensor's type and shape as real runs show them, in place.

    What is inferred counts only where nothing can be run. A tensor that is none (a sequence) or whose shape
    differs from sample to sample is not told, nor those that had better not be.

    Raises
    ------
    ModelError
        If an output is such a tensor.
    """
    graph = model.graph
    inferred = shape_inference.infer_shapes(_without_types(model), data_prop=True).graph
    guessed = {value.name: value for value in (*inferred.value_info, *inferred.output)}
    written = [name for node in graph.node for name in node.output if name]
    elem_types = {
        name: value.type.tensor_type.elem_type for name, value in guessed.items() if _has_kind(value)
    }
    settled = all(name in guessed and _is_static(guessed[name]) for name in written)
    few = [samples[i] for i in range(min(FEW, len(samples)))] if settled else samples
    seen = observe_tensors(model, elem_types, few) if len(samples) else _inferred(guessed)
    left = {value.name for value in graph.output} | set(untold)
    del graph.value_info[:]
    for name in written:
        if name in seen and name not in left:
            graph.value_info.append(
                helper.make_tensor_value_info(name, seen[name].elem_type, seen[name].shape)
            )
    for value in graph.output:
        _settle_output(value, seen, guessed, model)


def _without_types(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy that tells nothing of tensors inside, as left behind by tools."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.value_info[:]
    return copy


def _inferred(guessed: dict[str, onnx.ValueInfoProto]) -> dict[str, ObservedTensor]:
    return {
        name: ObservedTensor(value.type.tensor_type.elem_type, tuple(d or 0 for d in dimensions(value)))
        for name, value in guessed.items()
        if _is_static(value)
    }


def _settle_output(
    value: onnx.ValueInfoProto,
    seen: dict[str, ObservedTensor],
    guessed: dict[str, onnx.ValueInfoProto],
    model: onnx.ModelProto,
) -> None:
    own = next((one for one in model.graph.input if one.name == value.name), None)
    if own is not None:
        value.CopyFrom(own)
    elif value.name in seen:
        value.type.tensor_type.elem_type = seen[value.name].elem_type
        set_shape(value, seen[value.name].shape)
    else:
        kind = str(guessed.get(value.name, value).type.WhichOneof("value") or "tensor_type").removesuffix(
            "_type"
        )
        if kind != "tensor":
            raise ModelError(f"output {value.name!r} is a {kind}, which is not supported")
        raise ModelError(
            f"output {value.name!r} has a dynamic shape, which is not supported: cut the model in front of "
            "the operator that makes it so, or pad it to a fixed size"
        )


def _has_kind(value: onnx.ValueInfoProto) -> bool:
    """Return whether inference knows a tensor's element type, or that it is no tensor."""
    kind = value.type.WhichOneof("value")
    return kind not in (None, "tensor_type") or bool(value.type.tensor_type.elem_type)


def _is_static(value: onnx.ValueInfoProto) -> bool:
    tensor = value.type.tensor_type
    known = tensor.elem_type != TensorProto.UNDEFINED and tensor.HasField("shape")
    return known and None not in dimensions(value)
