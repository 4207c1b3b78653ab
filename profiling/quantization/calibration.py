"""Calibration: the value range of every tensor over samples, as a file that the quantization tool reads."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx
from onnx import TensorProto

from profiling.arrays import Feeds
from profiling.errors import QuantizeError
from profiling.precision import Precision
from profiling.quantization.activation_histograms import seen_values
from profiling.quantization.activation_ranges import tensor_ranges
from profiling.quantization.qdq_model import Scheme
from profiling.quantization.range_choice import chosen_ranges
from profiling.quantization.ranges_file import save_ranges
from profiling.range_method import TensorRanges

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Calibration:
    """A scheme and the file with the value range of every tensor, written by `calibrate`."""

    scheme: Scheme
    ranges: Path

    @property
    def as_timed(self) -> "Calibration":
        """The same without what costs no seconds: other ranges and biases."""
        return replace(self, scheme=self.scheme.as_timed)

    @property
    def as_rounded(self) -> "Calibration":
        """The same without what changes no rounding."""
        return replace(self, scheme=self.scheme.as_rounded)

    @property
    def key(self) -> str:
        """What records of its noise depend on: the scheme, and which file has more than extremes."""
        label = self.scheme.label
        is_plain = self.scheme.tensor_ranges.is_minmax and not self.scheme.bias_correction
        return label if is_plain else f"{label} {self.ranges.name}"

    def of(self, items: Iterable[T]) -> dict[T, Scheme]:
        """Return the scheme for each of some units or nodes in int8, as `quantize` wants them."""
        return dict.fromkeys(items, self.scheme)

    def at(self, precisions: Mapping[T, Precision]) -> dict[T, Scheme]:
        """Return the scheme of each of some units or nodes in a quantized precision."""
        return {item: self.scheme.at(precision) for item, precision in precisions.items()}


def calibrate(model: onnx.ModelProto, nodes: Sequence[str], samples: Sequence[Feeds], ranges: Path) -> None:
    """Write the least and greatest value of the tensors around some nodes over `samples` to a file.

    Whatever is quantized later reads the file instead of running samples, in whatever scheme with
    `RangeMethod.MINMAX`.

    Parameters
    ----------
    nodes
        Every node that may be quantized later.

    Raises
    ------
    QuantizeError
        If there is no sample.
    """
    _require_samples(samples)
    save_ranges(tensor_ranges(model, _float_tensors(model, nodes), samples), ranges)


def calibrate_ranges(
    model: onnx.ModelProto,
    nodes: Sequence[str],
    samples: Sequence[Feeds],
    ranges: Path,
    wanted: Collection[TensorRanges],
    also: Sequence[Feeds] = (),
) -> None:
    """Write other ranges as well, all from one pass over the samples; else as `calibrate`.

    It takes longer, as it counts all values of all tensors.

    Parameters
    ----------
    wanted
        Those with `RangeMethod.BEST` become, per tensor, the range with the least rounding error.
    also
        Samples that show least and greatest values, and count for nothing else.

    Raises
    ------
    QuantizeError
        If there is no sample.
    """
    _require_samples(samples)
    tensors = _float_tensors(model, nodes)
    seen = seen_values(model, tensors, samples)
    minmax = {name: (values.low, values.high) for name, values in seen.items()}
    for name, (low, high) in (tensor_ranges(model, tensors, also) if also else {}).items():
        minmax[name] = float(np.fmin(minmax[name][0], low)), float(np.fmax(minmax[name][1], high))
    save_ranges(minmax, ranges, {one: minmax | chosen_ranges(seen, minmax, one) for one in wanted})


def _require_samples(samples: Sequence[Feeds]) -> None:
    if not samples:
        raise QuantizeError("calibration needs at least one sample")


def _float_tensors(model: onnx.ModelProto, nodes: Sequence[str]) -> list[str]:
    """Return the float tensors that some nodes read or write, without constants."""
    chosen = set(nodes)
    values = (*model.graph.input, *model.graph.value_info, *model.graph.output)
    elem_types = {value.name: value.type.tensor_type.elem_type for value in values}
    touched = (n for node in model.graph.node if node.name in chosen for n in (*node.input, *node.output))
    return [name for name in dict.fromkeys(touched) if elem_types.get(name) == TensorProto.FLOAT]
