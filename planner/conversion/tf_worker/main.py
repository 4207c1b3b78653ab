"""The process with TensorFlow: reads a request from a folder, and writes a model or answers there."""

import gc
import sys
import traceback
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np
import onnx

from planner.conversion.random_samples import random_samples
from planner.conversion.request import (
    ANSWERS,
    CONVERSION,
    FAILURE,
    MODEL,
    REPRESENTATIVE,
    SAMPLES,
    SAVED_MODEL,
    TFLITE_MODEL,
    ConversionRequest,
    ConversionResult,
    OnnxForm,
    SavedModelForm,
    SourceKind,
    TfliteForm,
    read_request,
    read_samples,
    write_samples,
)
from planner.conversion.tf_worker.exception_text import framework_error_line
from planner.conversion.tf_worker.freeze_variables import freeze
from planner.conversion.tf_worker.keras_applications import build_application, default_shapes
from planner.conversion.tf_worker.keras_loader import load_keras
from planner.conversion.tf_worker.keras_tracing import trace_keras
from planner.conversion.tf_worker.saved_model import saved_model_of
from planner.conversion.tf_worker.tf2onnx_export import export_frozen, export_tflite
from planner.conversion.tf_worker.tf_functions import trace_object, trace_saved_model
from planner.conversion.tf_worker.tflite_model import TfliteModel
from planner.conversion.tf_worker.traced_function import Traced
from planner.errors import PlannerError
from profiling.errors import ModelError, ProfilingError

_PACKAGES = ("tensorflow", "keras")


def run_conversion(folder: Path) -> None:
    """Write the model that a request asks for, what became of it, and answers to random numbers."""
    request = read_request(folder)
    if isinstance(request.form, TfliteForm):
        record = _write_tflite(request, request.form, folder)
    elif isinstance(request.form, SavedModelForm):
        record = _write_saved_model(request, folder)
    else:
        record = _write_onnx(request, request.form, folder)
    (folder / CONVERSION).write_bytes(msgspec.json.encode(record))


def _write_onnx(request: ConversionRequest, form: OnnxForm, folder: Path) -> ConversionResult:
    source = trace_source(request)
    _ask_on_random(source, folder)
    notes = source.notes
    if isinstance(source, TfliteModel):
        model, inputs = export_tflite(source, form.opset)
    else:
        frozen = freeze(source)
        del source  # and its copy of the weights
        gc.collect()
        model, inputs = export_frozen(frozen, form.opset)
    _set_output_shapes(model, folder)
    onnx.save(model, folder / MODEL)
    return ConversionResult(
        source=request.shown,
        opset=form.opset,
        versions={name: version(name) for name in (*_PACKAGES, "tf2onnx")},
        inputs=inputs,
        quantized=any(node.op_type == "QuantizeLinear" for node in model.graph.node),
        notes=notes,
    )


def _write_saved_model(request: ConversionRequest, folder: Path) -> ConversionResult:
    source = trace_source(request)
    if isinstance(source, TfliteModel):
        raise ModelError(f"model: {request.shown} is a .tflite file, which TensorFlow does not run")
    _ask_on_random(source, folder)
    (folder / SAVED_MODEL).write_bytes(saved_model_of(freeze(source)))
    return ConversionResult(
        source=request.shown,
        opset=0,
        versions={name: version(name) for name in _PACKAGES},
        inputs=source.ends,
        quantized=False,
        notes=source.notes,
    )


def _write_tflite(request: ConversionRequest, form: TfliteForm, folder: Path) -> ConversionResult:
    # It needs the extra litert, which conversions to ONNX do without.
    from planner.conversion.tf_worker.to_tflite.export import (
        export_to_tflite,
        flex_operators,
        is_quantization_aware,
    )

    source = trace_source(request)
    if isinstance(source, TfliteModel):
        raise ModelError(f"model: {request.shown} is a .tflite file already")
    representative = read_samples(folder / REPRESENTATIVE) if form.quantization.needs_samples else []
    content = export_to_tflite(source, form, representative)
    (folder / TFLITE_MODEL).write_bytes(content)
    _ask_on_random(source, folder)  # afterwards, as an answer may change variables
    return ConversionResult(
        source=request.shown,
        opset=0,
        versions={name: version(name) for name in _PACKAGES},
        inputs=source.ends,
        quantized=is_quantization_aware(source),
        notes=source.notes,
        flex_operators=flex_operators(content),
    )


def _ask_on_random(source: Traced | TfliteModel, folder: Path) -> None:
    """Write random numbers and what a source answers to them."""
    write_samples(folder / SAMPLES, random_samples(source.ends, 1))
    _write_answers(source, folder)


def _set_output_shapes(model: onnx.ModelProto, folder: Path) -> None:
    """Give each output the shape that the source's answer has; TensorFlow may not know it beforehand."""
    with np.load(folder / ANSWERS) as answers:
        for value in model.graph.output:
            shape = value.type.tensor_type.shape
            shape.ClearField("dim")
            shape.SetInParent()
            for size in answers[value.name].shape[1:]:
                shape.dim.add().dim_value = size


def answer(folder: Path) -> None:
    """Write what the source itself answers to samples, stacked along a first axis, in a folder."""
    _write_answers(trace_source(read_request(folder)), folder)


def _write_answers(source: Traced | TfliteModel, folder: Path) -> None:
    rows = [source.ask(feeds) for feeds in read_samples(folder / SAMPLES)]
    write_samples(folder / ANSWERS, rows)


def trace_source(request: ConversionRequest) -> Traced | TfliteModel:
    """Return the source that a request names, ready to answer."""
    if request.kind is SourceKind.TFLITE:
        return TfliteModel(Path(request.target))
    if request.kind is SourceKind.APPLICATION:
        model, notes = build_application(request)
        return trace_keras(model, default_shapes(model) | request.input_shapes, notes)
    if request.kind is SourceKind.KERAS:
        return trace_keras(load_keras(request), request.input_shapes)
    return trace_saved_model(request) if request.kind is SourceKind.SAVED_MODEL else trace_object(request)


def main() -> None:
    """Do what the command line says in each folder; a failure is written into a file there."""
    command, *folders = sys.argv[1:]
    failed = [folder for folder in map(Path, folders) if not _done(_COMMANDS[command], folder)]
    sys.exit(bool(failed))


_COMMANDS = {"convert": run_conversion, "answer": answer}


def _done(command: Callable[[Path], None], folder: Path) -> bool:
    try:
        command(folder)
    except (PlannerError, ProfilingError) as exc:
        text = str(exc)
    except BaseException as exc:  # noqa: BLE001  TensorFlow and Keras raise anything, user code may exit
        traceback.print_exc()
        shown = read_request(folder).shown
        text = f"model: {shown} cannot be converted: {type(exc).__name__}: {framework_error_line(exc)}"
    else:
        return True
    (folder / FAILURE).write_text(text, encoding="utf-8")
    return False


if __name__ == "__main__":
    main()
