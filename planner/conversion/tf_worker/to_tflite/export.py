"""A traced function -> a `.tflite` file, through TensorFlow's own converter."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from planner.conversion.request import TfliteForm, TfliteQuantization
from planner.conversion.tf_worker.exception_text import framework_error_line
from planner.conversion.tf_worker.to_tflite.names import INPUT, OUTPUT, named_file
from planner.conversion.tf_worker.traced_function import Traced
from profiling.arrays import Feeds
from profiling.errors import ModelError
from profiling.litert.flatbuffer import parse_tables
from profiling.litert.load import parse_litert
from profiling.litert.table_access import listed, needs_flex, op_type, tensors_of

_OPS = tf.lite.OpsSet
_FLOATS = frozenset({"float16", "float32", "float64"})
_LACKING = re.compile(r"'tf\.(\w+)' op is neither a custom op nor a flex op")
_NO_INTEGER_KERNEL = re.compile(r"not yet supported for op: '?(\w+)'?")
_NOT_CALIBRATED = re.compile(r"\((Flex\w+)\) failed to prepare")
_NO_LOWERING = "_experimental_lower_tensor_list_ops"
_TRAINING_QUANTIZERS = frozenset(
    {
        "FakeQuantWithMinMaxVars",
        "FakeQuantWithMinMaxVarsPerChannel",
        "FakeQuantWithMinMaxArgs",
        "QuantizeAndDequantizeV2",
        "QuantizeAndDequantizeV3",
    }
)


def export_to_tflite(source: Traced, form: TfliteForm, representative: Sequence[Feeds]) -> bytes:
    """Return a traced function as a `.tflite` file with the signature `serving_default`.

    Its ends have the names of the source's, in the same order. Operators that TFLite lacks are TensorFlow's
    own where it offers them to TFLite. A quantization-aware model becomes integer with its own scales.

    Parameters
    ----------
    representative
        Samples for the ranges of activations, as the source takes them.

    Raises
    ------
    ModelError
        If an operator cannot be converted, or cannot be quantized where nothing else is allowed.
    """
    aware = is_quantization_aware(source)
    if aware and form.quantization in (TfliteQuantization.DYNAMIC, TfliteQuantization.FLOAT16):
        raise ModelError(
            f"conversion.quantization: {form.quantization} would replace the scales of a quantization-aware "
            "model; take none, full_integer or integer_only, which keep them"
        )
    function, owner = _with_plain_names(source), _owner(source)
    rows = [] if aware else _named_rows(source, representative)
    content = _converted(lambda: _converter(function, owner, form, rows, aware=aware), form)
    named = named_file(content, source)
    if form.quantization is TfliteQuantization.INTEGER_ONLY:
        _refuse_floats(named)
    return named


def _refuse_floats(content: bytes) -> None:
    """Raise if an operator computes in floats, which TensorFlow leaves where it finds no integer kernel."""
    model = parse_litert(content, "the converted model")
    in_floats = {
        kind
        for operator, kind in zip(model.operators, model.op_types, strict=True)
        for tensor in (*tensors_of(operator.inputs), *tensors_of(operator.outputs))
        if model.element_type(tensor).name in _FLOATS
    }
    if in_floats:
        between = {"QUANTIZE", "DEQUANTIZE"}
        raise ModelError(
            "conversion.quantization: integer_only is not possible, as it leaves "
            f"{', '.join(sorted(in_floats - between or in_floats))} in floats; full_integer may do so"
        )


def flex_operators(content: bytes) -> tuple[str, ...]:
    """Return the names of the operators of a file that are TensorFlow's own."""
    codes = listed(parse_tables(content, "the converted model").operatorCodes)
    return tuple(sorted({kind for kind in map(op_type, codes) if needs_flex(kind)}))


def is_quantization_aware(source: Traced) -> bool:
    """Whether a function holds the quantizers of training."""
    graph = source.function.graph.as_graph_def()
    bodies = [graph.node, *(function.node_def for function in graph.library.function)]
    return any(node.op in _TRAINING_QUANTIZERS for body in bodies for node in body)


def _with_plain_names(source: Traced) -> Any:
    """Return the function with ends called by number."""
    specs = [
        tf.TensorSpec(x.shape, x.dtype, name=INPUT.format(number))
        for number, x in enumerate(source.placeholders)
    ]

    def function(*flat: Any) -> dict[str, Any]:
        answers = tf.nest.flatten(source.function(*flat))
        return {OUTPUT.format(number): answer for number, answer in enumerate(answers)}

    return tf.function(function, input_signature=specs, autograph=False).get_concrete_function()


def _owner(source: Traced) -> Any:
    """Return what is saved with the function: its variables; all of its owner where it has tables, too.

    Keras models by themselves do not save all that a function of theirs reads.
    """
    owner = tf.Module()
    owner.held = list(source.function.graph.variables)
    handles = {id(variable.handle) for variable in owner.held}
    captured = [x for x in source.function.captured_inputs if x.dtype == tf.resource]
    if any(id(x) not in handles for x in captured):
        owner.source = source.owner
    return owner


def _named_rows(source: Traced, samples: Sequence[Feeds]) -> list[dict[str, Any]]:
    return [
        {INPUT.format(number): feeds[name] for number, name in enumerate(source.inputs)} for feeds in samples
    ]


def _converter(
    function: Any, owner: Any, form: TfliteForm, rows: Sequence[dict[str, Any]], *, aware: bool
) -> Any:
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], owner)
    quantization = form.quantization
    if aware or quantization is not TfliteQuantization.NONE:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantization is TfliteQuantization.FLOAT16:
        converter.target_spec.supported_types = [tf.float16]
    if quantization.needs_samples and not aware:
        converter.representative_dataset = lambda: iter(rows)
    if quantization is TfliteQuantization.INTEGER_ONLY:
        if not aware:  # where TensorFlow would ask for samples
            converter.target_spec.supported_ops = [_OPS.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.dtypes.as_dtype(form.integer_type.value)
        converter.inference_output_type = tf.dtypes.as_dtype(form.integer_type.value)
    return converter


def _converted(make: Callable[[], Any], form: TfliteForm) -> bytes:
    """Return the file that a converter writes, with operators of TensorFlow where TFLite lacks them."""
    try:
        content: bytes = make().convert()
    except Exception as exc:
        text = str(exc)
        only_integers = form.quantization is TfliteQuantization.INTEGER_ONLY
        if only_integers or not (_LACKING.search(text) or _NO_LOWERING in text):
            raise ModelError(_refusal(text, form)) from exc
    else:
        return content
    converter = make()
    converter.target_spec.supported_ops = [_OPS.TFLITE_BUILTINS, _OPS.SELECT_TF_OPS]
    # Lists whose elements differ in shape stay lists of TensorFlow.
    converter._experimental_lower_tensor_list_ops = _NO_LOWERING not in text  # noqa: SLF001  the only way
    try:
        content = converter.convert()
    except Exception as exc:
        raise ModelError(_refusal(str(exc), form)) from exc
    return content


def _refusal(text: str, form: TfliteForm) -> str:
    lacking = ", ".join(sorted(set(_LACKING.findall(text))))
    no_kernel = ", ".join(sorted(set(_NO_INTEGER_KERNEL.findall(text))))
    refused = f"conversion.quantization: {form.quantization} is not possible"
    if form.quantization is TfliteQuantization.INTEGER_ONLY and lacking:
        return f"{refused}, as TFLite has no operator {lacking} of its own"
    if no_kernel:
        return f"{refused}, as TFLite has no integer kernel for {no_kernel}; full_integer leaves it in floats"
    if operator := _NOT_CALIBRATED.search(text):
        return (
            f"{refused}, as TensorFlow cannot calibrate a model with {operator[1]}, which is no operator of "
            "TFLite's own; take dynamic or float16"
        )
    if lacking:
        return (
            f"model: TensorFlow's operators {lacking} have no form in TFLite, not even as its own; "
            "build that part from other layers"
        )
    return f"TensorFlow cannot convert it to TFLite: {framework_error_line(ValueError(text))}"
