"""The process with TensorFlow: reads a request from a folder, and writes a model or answers there."""

import gc
import sys
import traceback
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx

from planner.conversion.request import (
    ANSWERS,
    CONVERSION,
    FAILURE,
    MODEL,
    SAMPLES,
    SEED,
    ConversionRequest,
    ConversionResult,
    SourceInput,
    SourceKind,
    read_request,
)
from planner.conversion.tf_worker.exception_text import framework_error_line
from planner.conversion.tf_worker.freeze_variables import freeze
from planner.conversion.tf_worker.keras_applications import build_application, default_shapes
from planner.conversion.tf_worker.keras_loader import load_keras
from planner.conversion.tf_worker.keras_tracing import trace_keras
from planner.conversion.tf_worker.tf2onnx_export import export_frozen, export_tflite
from planner.conversion.tf_worker.tf_functions import trace_object, trace_saved_model
from planner.conversion.tf_worker.tflite_model import TfliteModel
from planner.conversion.tf_worker.traced_function import Traced
from planner.errors import PlannerError
from profiling.errors import ProfilingError
from profiling.records.npz_files import write_npz

_PACKAGES = ("tensorflow", "keras", "tf2onnx")


def run_conversion(folder: Path) -> None:
    """Write the model that a request asks for, what became of it, and answers to random numbers."""
    request = read_request(folder)
    source = trace_source(request)
    write_npz(folder / SAMPLES, {end.name: _random(end)[None] for end in source.ends})
    _write_answers(source, folder)
    notes = source.notes
    if isinstance(source, TfliteModel):
        model, inputs = export_tflite(source, request.opset)
    else:
        frozen = freeze(source)
        del source  # and its copy of the weights
        gc.collect()
        model, inputs = export_frozen(frozen, request.opset)
    _set_output_shapes(model, folder)
    onnx.save(model, folder / MODEL)
    record = ConversionResult(
        source=request.shown,
        opset=request.opset,
        versions={name: version(name) for name in _PACKAGES},
        inputs=inputs,
        quantized=any(node.op_type == "QuantizeLinear" for node in model.graph.node),
        notes=notes,
    )
    (folder / CONVERSION).write_bytes(msgspec.json.encode(record))


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
    with np.load(folder / SAMPLES) as samples:
        columns = {name: samples[name] for name in samples.files}
    count = min(len(column) for column in columns.values())
    rows = [source.ask({name: column[i] for name, column in columns.items()}) for i in range(count)]
    write_npz(folder / ANSWERS, {name: np.stack([row[name] for row in rows]) for name in rows[0]})


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


def _random(end: SourceInput) -> Any:
    """Return numbers that an input may hold: normal ones, or zeros and ones if they must be whole."""
    rng = np.random.default_rng(SEED)
    dtype = np.dtype(end.dtype)
    if np.issubdtype(dtype, np.floating):
        return rng.normal(size=end.shape).astype(dtype)
    return rng.integers(0, 2, end.shape).astype(dtype)


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
