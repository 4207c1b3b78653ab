"""Calibration: the value range of every tensor over samples, as a file that the quantization tool reads."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx
from onnx import TensorProto
from onnxruntime.quantization import CalibrationMethod
from onnxruntime.quantization.calibrate import TensorsData, load_tensors_data, save_tensors_data

from profiling.arrays import Feeds
from profiling.errors import QuantizeError
from profiling.precision import Precision
from profiling.quantization.activation_ranges import tensor_ranges
from profiling.quantization.qdq_model import Scheme

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Calibration:
    """A scheme and the file with the value range of every tensor, written by `calibrate`."""

    scheme: Scheme
    ranges: Path

    def of(self, items: Iterable[T]) -> dict[T, Scheme]:
        """Return the scheme for each of some units or nodes in int8, as `quantize` wants them."""
        return dict.fromkeys(items, self.scheme)

    def at(self, precisions: Mapping[T, Precision]) -> dict[T, Scheme]:
        """Return the scheme of each of some units or nodes in a quantized precision."""
        return {item: self.scheme.at(precision) for item, precision in precisions.items()}


def calibrate(model: onnx.ModelProto, nodes: Sequence[str], samples: Sequence[Feeds], ranges: Path) -> None:
    """Write the ranges of the tensors around some nodes over `samples` to a file.

    Whatever is quantized later reads the file instead of running samples, in whatever scheme.

    Parameters
    ----------
    nodes
        Every node that may be quantized later.

    Raises
    ------
    QuantizeError
        If there is no sample.
    """
    if not samples:
        raise QuantizeError("calibration needs at least one sample")
    chosen = set(nodes)
    values = (*model.graph.input, *model.graph.value_info, *model.graph.output)
    elem_types = {value.name: value.type.tensor_type.elem_type for value in values}
    touched = (n for node in model.graph.node if node.name in chosen for n in (*node.input, *node.output))
    floats = [name for name in dict.fromkeys(touched) if elem_types.get(name) == TensorProto.FLOAT]
    limits = tensor_ranges(model, floats, samples)
    pairs = {name: tuple(np.array([limit], np.float32) for limit in pair) for name, pair in limits.items()}
    save_tensors_data(TensorsData(CalibrationMethod.MinMax, pairs), ranges)


def replace_ranges(ranges: Path, known: Mapping[str, tuple[float, float]]) -> None:
    """Write other ranges of some tensors into a file of `calibrate`; tensors that it lacks stay unknown."""
    pairs = {
        name: tuple(np.array([limit], np.float32) for limit in known.get(name, ends))
        for name, ends in read_ranges(ranges).items()
    }
    save_tensors_data(TensorsData(CalibrationMethod.MinMax, pairs), ranges)


def read_ranges(ranges: Path) -> dict[str, tuple[float, float]]:
    """Return tensor -> least and greatest value, as `calibrate` wrote them."""
    recorded = load_tensors_data(ranges).items()
    return {name: (float(data.lowest[0]), float(data.highest[0])) for name, data in recorded}
