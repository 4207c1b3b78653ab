"""What corrections of weights that are exact in float do to answers in int8.

    python benchmarks/weight_corrections.py [--samples N] [MODEL ...]

MODEL is one of ranges.py; its data lie where `SPLITQUANT_DATA` points. Every unit that can is quantized: as
it is, with `bias_correction`, with weights equalised across linear pairs, and with SmoothQuant. Noise is the
relative RMS error of outputs over evaluation data, which chose nothing. Nothing is timed.

Equalisation scales the channels between two convolutions so that they share ranges (Nagel et al. 2019,
"Data-Free Quantization Through Weight Equalization and Bias Correction"). SmoothQuant moves what channels of
activations differ in into the weights that read them (Xiao et al. 2023); here a Mul before each product does
it, which a deployed model would not always need.
"""

import argparse
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from bars import circumstances
from onnx import NodeProto, TensorProto, helper, numpy_helper
from ranges import MODELS, scenario_with, score
from rich.console import Console
from rich.table import Table

from planner.inputs.prepared_scenario import Prepared, prepare
from profiling.arrays import Array, Feeds
from profiling.noise.noise_power import noise_power
from profiling.onnx_io.external_weights import read_array, save
from profiling.quantization.qdq_model import quantize
from profiling.quantization.ranges_file import read_bias_errors
from profiling.runtime.open_session import Runtime, open_session, run_samples

_MOST, _CALIBRATED = 400, 64  # samples
_SMOOTHING = 0.5  # of activations; the rest is left to weights
_LEAST = 1e-6  # of a channel's range, relative to the greatest
_LARGEST = 8.0  # scale of a channel


def constants_of(model: onnx.ModelProto) -> dict[str, TensorProto]:
    """Return a model's constants by name."""
    return {tensor.name: tensor for tensor in model.graph.initializer}


def with_constants(model: onnx.ModelProto, values: Mapping[str, Array]) -> onnx.ModelProto:
    """Return a copy with other values of some constants."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for tensor in copy.graph.initializer:
        if tensor.name in values:
            tensor.CopyFrom(numpy_helper.from_array(values[tensor.name], tensor.name))
    return copy


def magnitudes(model: onnx.ModelProto, tensors: Sequence[str], samples: Sequence[Feeds]) -> dict[str, Array]:
    """Return tensor -> the greatest magnitude of each number along its last axis."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    known = {end.name for end in (*probe.graph.output, *probe.graph.input)}
    wanted = [name for name in dict.fromkeys(tensors) if name not in known]
    if not wanted:
        return {}
    probe.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in wanted)
    session = open_session(probe, Runtime())
    found = dict.fromkeys(wanted, np.zeros(1))
    for feeds in samples:
        values = session.run(wanted, dict(feeds))
        for name, value in zip(wanted, values, strict=True):
            others = tuple(range(value.ndim - 1))
            found[name] = np.maximum(found[name], np.abs(value.astype(np.float64)).max(axis=others))
    return found


def equalised(model: onnx.ModelProto) -> tuple[onnx.ModelProto, int]:
    """Return the model with channels scaled between Conv, perhaps Relu, and Conv; and how many pairs."""
    constants, values = constants_of(model), dict[str, Array]()
    readers = Counter(name for node in model.graph.node for name in node.input)
    readers.update(end.name for end in model.graph.output)
    makes = {name: node for node in model.graph.node for name in node.output}
    pairs = 0
    for last in model.graph.node:
        first = makes.get(last.input[0]) if last.op_type == "Conv" else None
        path = [last.input[0]]
        if first is not None and first.op_type == "Relu":
            path.append(first.input[0])
            first = makes.get(first.input[0])
        if first is None or first.op_type != "Conv" or any(readers[name] > 1 for name in path):
            continue
        names = [first.input[1], last.input[1], *first.input[2:3]]
        if any(name not in constants or readers[name] > 1 for name in names):
            continue
        before, after = (values.get(name, read_array(constants[name])) for name in names[:2])
        grouped = after.shape[1] == 1 and after.shape[0] == before.shape[0]
        if not grouped and after.shape[1] != before.shape[0]:
            continue
        ones = np.abs(before).reshape(len(before), -1).max(axis=1)
        others = np.abs(after if grouped else after.swapaxes(0, 1)).reshape(len(before), -1).max(axis=1)
        scale = _bounded(np.sqrt(np.maximum(ones, _LEAST) / np.maximum(others, _LEAST)))
        shape = (-1, *[1] * (before.ndim - 1))
        values[names[0]] = (before / scale.reshape(shape)).astype(np.float32)
        along = shape if grouped else (1, -1, *[1] * (after.ndim - 2))
        values[names[1]] = (after * scale.reshape(along)).astype(np.float32)
        for name in names[2:]:
            values[name] = (values.get(name, read_array(constants[name])) / scale).astype(np.float32)
        pairs += 1
    return with_constants(model, values), pairs


def smoothed(model: onnx.ModelProto, samples: Sequence[Feeds]) -> tuple[onnx.ModelProto, int]:
    """Return the model with activations scaled before each product with a constant matrix; and how many."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    constants = constants_of(copy)
    given = {end.name for end in model.graph.input}
    products = [
        node
        for node in copy.graph.node
        if node.op_type in ("MatMul", "Gemm") and node.input[1] in constants and node.input[0] not in given
    ]
    found = magnitudes(model, [node.input[0] for node in products], samples)
    nodes, count = [], 0
    for node in copy.graph.node:
        if node in products and len(constants[node.input[1]].dims) == 2:
            weight = read_array(constants[node.input[1]])
            is_transposed = any(a.name == "transB" and a.i for a in node.attribute)
            ones = found[node.input[0]]
            others = np.abs(weight).max(axis=0 if is_transposed else 1)
            scale = _bounded(
                np.maximum(ones, _LEAST) ** _SMOOTHING / np.maximum(others, _LEAST) ** (1 - _SMOOTHING)
            )
            name = f"smoothing of {node.name}"
            wide = scale[None] if is_transposed else scale[:, None]
            for part, value in ((name, 1 / scale), (f"{name}, weight", weight * wide)):
                copy.graph.initializer.append(numpy_helper.from_array(value.astype(np.float32), part))
            nodes.append(helper.make_node("Mul", [node.input[0], name], [f"{name}, output"], name=name))
            node.input[0], node.input[1] = f"{name}, output", f"{name}, weight"
            count += 1
        nodes.append(node)
    ordered = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del copy.graph.node[:]
    copy.graph.node.extend(ordered)
    return copy, count


def _bounded(scale: Array) -> Array:
    """Return scales around 1, none so far from it that a channel's numbers lose their range."""
    around = scale / np.exp(np.log(scale).mean())
    return np.clip(around, 1 / _LARGEST, _LARGEST)


def in_int8(prepared: Prepared) -> onnx.ModelProto:
    """Return the model with every unit in int8 that can be."""
    graph, calibration = prepared.models.graph, prepared.calibration("here")
    return quantize(
        graph.model, calibration.of(graph.quantizable_nodes), calibration.ranges, graph.guarded_nodes
    )


def run_one(name: str, most: int) -> list[tuple[str, int, float, float]]:
    """Return (correction, how many places, noise, right answers) of a model in int8."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        prepared = prepare(scenario_with(name, {}, most, folder))
        model, samples = prepared.models.graph.model, prepared.evaluation.samples
        calibration = list(prepared.subject.calibration.spread(_CALIBRATED).samples)
        exact = list(run_samples(open_session(model, Runtime()), samples))
        corrected = prepare(scenario_with(name, {"bias_correction": True}, most, folder))
        reduced = corrected.calibration("here").scheme.reduce_range
        places = len(read_bias_errors(corrected.ranges, reduced=reduced))
        forms = {"none": (in_int8(prepared), 0), "bias correction": (in_int8(corrected), places)}
        changed = {"equalisation": equalised(model), "SmoothQuant": smoothed(model, calibration)}
        for what, (other, count) in changed.items():
            if count:
                save(other, folder / f"{what}.onnx")
                again = prepare(scenario_with(name, {}, most, folder, folder / f"{what}.onnx"))
                forms[what] = in_int8(again), count
        rows = []
        for what, (form, count) in forms.items():
            outputs = list(run_samples(open_session(form, Runtime()), samples))
            rows.append((what, count, noise_power(outputs, exact) ** 0.5, score(prepared, outputs)))
            print(name, *rows[-1], file=sys.stderr)
        return rows


def main() -> int:
    """Measure the models and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="*", choices=[*MODELS, []], default=[], metavar="MODEL")
    parser.add_argument("--samples", type=int, default=_MOST, help="of each part of the data, at most")
    given = parser.parse_args()
    if "SPLITQUANT_DATA" not in os.environ:
        parser.error("set SPLITQUANT_DATA to the folder of the models and their data")
    console = Console(width=120)
    console.print(circumstances("onnxruntime", "numpy"))
    shown = Table("model", "correction", "places", "noise", "noise power / none", "right answers")
    for name in given.models or MODELS:
        rows = run_one(name, given.samples)
        for what, count, noise, right in rows:
            ratio = (noise / rows[0][2]) ** 2
            shown.add_row(name, what, str(count or ""), f"{noise:.4f}", f"{ratio:.2f}", f"{right:.1%}")
    console.print(shown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
