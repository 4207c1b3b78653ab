"""ONNX Runtime's own mixed precision: everything in int8, and the tensors that lose most in int16.

Which tensors these are is chosen as the tool's documentation advises: the loss of each is measured in the
quantized model, and the helper makes valid overrides of those that lose most. Data that are held back say how
many: ever twice as many, until the drop is small enough.
"""

import tempfile
from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path

import onnx
from accuracy_control import float_model
from competing_plans import drop_of, errors_on
from onnxruntime.quantization import (  # noqa: TID251  the competitor is the tool as it comes
    QuantFormat,
    QuantType,
    qdq_loss_debug,
    quantize_static,
)
from onnxruntime.quantization.execution_providers.qnn.mixed_precision_overrides_utils import (  # noqa: TID251
    MixedPrecisionTensorQuantOverridesFixer,
)
from onnxruntime.quantization.tensor_quant_overrides import (  # noqa: TID251
    TensorQuantOverridesHelper,
)
from profiling_cost import SampleReader

from planner.inputs.prepared_scenario import Prepared
from profiling.arrays import Feeds

FIRST = 0.05  # of the tensors, in int16
_SAMPLES = 4  # on which losses are measured; the tool keeps every tensor of all of them


def with_wide_tensors(prepared: Prepared, most_drop: float) -> onnx.ModelProto:
    """Return the model in int8 with as many tensors in int16 as keep the drop on held-back data."""
    with tempfile.TemporaryDirectory() as text:
        source = Path(text) / "float.onnx"
        onnx.save(float_model(prepared), source)
        signal_to_noise = _losses(_quantized(prepared, source, ()), prepared, Path(text))
        for count in counts(len(signal_to_noise)):
            model = _quantized(prepared, source, worst(signal_to_noise, count))
            if drop_of(errors_on(prepared, model, prepared.held_back)) <= most_drop:
                break
    return model


def counts(tensors: int) -> list[int]:
    """Return how many tensors are tried in int16, one after the other: ever twice as many, at last all."""
    tried = [max(1, ceil(FIRST * tensors))]
    while tried[-1] < tensors:
        tried.append(min(tensors, 2 * tried[-1]))
    return tried


def worst(signal_to_noise: Mapping[str, float], count: int) -> list[str]:
    """Return the tensors that lose most when they are rounded."""
    return sorted(signal_to_noise, key=lambda name: signal_to_noise[name])[:count]


def _losses(model: onnx.ModelProto, prepared: Prepared, folder: Path) -> dict[str, float]:
    """Return tensor -> its signal over the noise of its rounding, in dB."""
    quantized, showing = folder / "quantized.onnx", folder / "showing.onnx"
    onnx.save(model, quantized)
    qdq_loss_debug.modify_model_output_intermediate_tensors(quantized, showing)
    samples: Sequence[Feeds] = prepared.subject.calibration.spread(_SAMPLES).samples
    shown = qdq_loss_debug.collect_activations(str(showing), iter(samples))
    pairs = qdq_loss_debug.create_activation_matching(shown)
    ratio = qdq_loss_debug.compute_signal_to_quantization_noice_ratio
    return {name: ratio(pair["pre_qdq"], pair["post_qdq"]) for name, pair in pairs.items()}


def _quantized(prepared: Prepared, source: Path, wide: Sequence[str]) -> onnx.ModelProto:
    """Return all of a model in int8, some tensors in int16; calibrated as plans are, once."""
    overrides = TensorQuantOverridesHelper({name: [{"quant_type": QuantType.QUInt16}] for name in wide})
    fixer = MixedPrecisionTensorQuantOverridesFixer.create_from_model(
        overrides, onnx.load(source), QuantType.QUInt8
    )
    fixer.apply(default_activation_qtype=QuantType.QUInt8, default_activation_symmetric=False)
    target = source.with_name("target.onnx")
    scheme = prepared.calibration(prepared.scenario.source).scheme
    quantize_static(
        source,
        target,
        SampleReader(prepared.subject.calibration.samples),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        reduce_range=scheme.reduce_range,
        extra_options={"TensorQuantOverrides": overrides.get_dict()},
        calibration_cache_path=source.with_name("ranges.json"),  # from the second call on it runs no samples
    )
    return onnx.load(target)
