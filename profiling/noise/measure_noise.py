"""Quantization noise at the outputs, one tensor and one unit's weights at a time."""

from collections.abc import Iterable, Sequence

import onnxruntime as ort

from profiling.arrays import Feeds
from profiling.graph.unit_graph import ModelGraph
from profiling.noise.float16_noise import float16_power
from profiling.noise.form_noise import measure_form_noise
from profiling.noise.noise_pair import NO_NOISE, NoisePair, tap_over_output
from profiling.noise.noise_sources import NoiseSources
from profiling.noise.suffix_runner import SuffixRunner
from profiling.onnx_io.external_weights import delete_files
from profiling.precision import Precision
from profiling.progress import Progress, silent
from profiling.quantization.calibration import Calibration
from profiling.quantization.fake_quantization import tensor_roundings, weight_roundings
from profiling.quantization.int16_activations import STEPS
from profiling.quantization.qdq_model import quantize
from profiling.records.profile import NoiseProfile, TensorNoise, UnitNoise


def measure_noise(
    graph: ModelGraph,
    calibration: Calibration,
    samples: Sequence[Feeds],
    known_tensors: tuple[TensorNoise, ...] | None = None,
    only: NoiseSources | None = None,
    progress: Progress = silent,
) -> NoiseProfile:
    """Quantize one tensor, or one unit's weights and inner tensors, at a time and run what lies behind.

    In a precision with float tensors only units make noise (see `profiling.noise.form_noise`). Noise is taken
    where it adds up (see `profiling.noise.noise_taps`).

    Parameters
    ----------
    calibration
        What `calibrate` wrote for this graph's model.
    samples
        Calibration samples; the noise is their mean.
    known_tensors
        Their noise, where it is known from another scheme with the same activations.
    only
        What is measured, if not everything; the profile has no other rows.
    """
    if not calibration.scheme.precision.is_static:
        return measure_form_noise(graph, calibration.scheme, samples, only, progress)
    chosen = calibration.of(graph.quantizable_nodes)
    quantized = quantize(graph.model, chosen, calibration.ranges, graph.guarded_nodes)
    quantizers = tensor_roundings(quantized)
    weights = weight_roundings(quantized)
    runner = SuffixRunner(graph, samples)
    boundary = [
        name
        for name in graph.boundary_tensors()
        if name in quantizers and known_tensors is None and (only is None or name in only.tensors)
    ]
    rounded_units = {
        unit.name
        for unit in graph.units
        if unit.can_be(Precision.INT8) and (only is None or unit.name in only.units)
    }
    total = len(boundary) + len(rounded_units)
    tensors, units = dict[str, NoisePair](), dict[str, NoisePair]()
    float16_errors = dict[str, float | None]()

    def measure_tensors(names: Iterable[str]) -> None:
        for name in boundary:
            if name in names:
                tensors[name] = runner.tensor_noise(quantizers[name])
                float16_errors[name] = runner.float16_error(quantizers[name])
                progress("noise", len(tensors) + len(units), total)

    measure_tensors(graph.inputs)
    for unit in graph.units:
        if unit.name in rounded_units:
            inside = set(unit.nodes)
            nodes = [node for node in graph.model.graph.node if node.name in inside]
            written = [name for node in nodes for name in node.output]
            inner = [quantizers[n] for n in written if n in quantizers and n not in unit.outputs]
            unit_weights = {n: weights[n].rounded(n) for node in nodes for n in node.input if n in weights}
            rounded = runner.outputs_of_rounded_unit(inner, unit_weights) if inner or unit_weights else None
            delete_files(unit_weights.values())  # large ones are files, one set per unit
            runner.advance()
            units[unit.name] = runner.noise_of(rounded) if rounded else NO_NOISE
            progress("noise", len(tensors) + len(units), total)
        else:
            runner.advance()
        measure_tensors(unit.outputs)
    ratio = tap_over_output([*tensors.values(), *units.values()])
    return NoiseProfile(
        model_sha256=graph.model_sha256,
        runtime_version=ort.__version__,
        scheme=calibration.scheme.label,
        samples=len(samples),
        tensors=known_tensors
        or tuple(
            TensorNoise(name, power := noise.summable(ratio), float16_power(power, float16_errors[name]))
            for name, noise in tensors.items()
        ),
        units=tuple(UnitNoise(name, noise.summable(ratio)) for name, noise in units.items()),
    )


def scale_to_int16(tensors: Sequence[TensorNoise]) -> tuple[TensorNoise, ...]:
    """Return the noise of tensors with 16 bits, given that with 8: its power grows with the step's square.

    See Widrow and Kollar, "Quantization Noise" (2008), chapter 4: rounding adds a twelfth of that square.
    """
    return tuple(TensorNoise(row.tensor, row.power / STEPS**2, row.float16) for row in tensors)
