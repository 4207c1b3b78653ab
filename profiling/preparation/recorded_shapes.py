"""Types and shapes of a model's tensors, written into the model as real runs show them."""

from collections.abc import Collection, Mapping, Sequence

import onnx
from onnx import TensorProto, helper, shape_inference

from profiling.arrays import Feeds
from profiling.errors import ModelError
from profiling.onnx_io.input_shapes import dimensions, set_shape
from profiling.preparation.observed_shapes import ObservedTensor, observe_tensors

ENOUGH_SAMPLES = 4
"""Samples that are run where inference knows every shape, so that runs only confirm it.

Otherwise every sample is run, since one alone may differ."""


def fix_shapes(model: onnx.ModelProto, samples: Sequence[Feeds], omitted: Collection[str] = ()) -> None:
    """Record every tensor's type and shape in `value_info` as real runs show them, in place.

    What is inferred counts only where nothing can be run. A tensor that is none (a sequence) or whose shape
    differs from sample to sample is not recorded.

    Parameters
    ----------
    samples
        May be empty.
    omitted
        Tensors that are not to be recorded.

    Raises
    ------
    ModelError
        If an output is no tensor or its shape differs; if the runtime cannot run a sample.
    """
    graph = model.graph
    inferred = shape_inference.infer_shapes(_without_shapes(model), data_prop=True).graph
    guesses = {value.name: value for value in (*inferred.value_info, *inferred.output)}
    written = [name for node in graph.node for name in node.output if name]
    if len(samples):
        settled = all(name in guesses and _is_static(guesses[name]) for name in written)
        runs = [samples[i] for i in range(min(ENOUGH_SAMPLES, len(samples)))] if settled else samples
        tensors = observe_tensors(model, _element_types(guesses), runs)
    else:
        tensors = _static_tensors(guesses)
    unrecorded = {value.name for value in graph.output} | set(omitted)
    del graph.value_info[:]
    graph.value_info.extend(
        helper.make_tensor_value_info(name, tensors[name].elem_type, tensors[name].shape)
        for name in written
        if name in tensors and name not in unrecorded
    )
    for value in graph.output:
        _fix_output(value, tensors, guesses, graph)


def _without_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy without what tools left behind about tensors inside: it may be of another batch."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.value_info[:]
    return copy


def _element_types(guesses: Mapping[str, onnx.ValueInfoProto]) -> dict[str, int]:
    """Return the element types that inference knows; UNDEFINED where it knows that something is no tensor."""
    return {
        name: value.type.tensor_type.elem_type
        for name, value in guesses.items()
        if value.type.WhichOneof("value") not in (None, "tensor_type") or value.type.tensor_type.elem_type
    }


def _static_tensors(guesses: Mapping[str, onnx.ValueInfoProto]) -> dict[str, ObservedTensor]:
    return {
        name: ObservedTensor(value.type.tensor_type.elem_type, tuple(d or 0 for d in dimensions(value)))
        for name, value in guesses.items()
        if _is_static(value)
    }


def _fix_output(
    output: onnx.ValueInfoProto,
    tensors: Mapping[str, ObservedTensor],
    guesses: Mapping[str, onnx.ValueInfoProto],
    graph: onnx.GraphProto,
) -> None:
    same_input = next((value for value in graph.input if value.name == output.name), None)
    if same_input is not None:
        output.CopyFrom(same_input)
    elif output.name in tensors:
        output.type.tensor_type.elem_type = tensors[output.name].elem_type
        set_shape(output, tensors[output.name].shape)
    else:
        variant = guesses.get(output.name, output).type.WhichOneof("value") or "tensor_type"
        raise _unsupported_output(output.name, str(variant).removesuffix("_type"))


def _unsupported_output(name: str, variant: str) -> ModelError:
    if variant != "tensor":
        return ModelError(f"output {name!r} is a {variant}, which is not supported")
    return ModelError(
        f"output {name!r} has a dynamic shape, which is not supported: cut the model in front of "
        "the operator that makes it so, or pad it to a fixed size"
    )


def _is_static(value: onnx.ValueInfoProto) -> bool:
    tensor = value.type.tensor_type
    typed = tensor.elem_type != TensorProto.UNDEFINED and tensor.HasField("shape")
    return typed and None not in dimensions(value)
