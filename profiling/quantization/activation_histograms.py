"""What values each tensor of a model has over some samples: their extremes and their histogram."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from profiling.arrays import Array, Feeds
from profiling.on_device.create_session import Optimization
from profiling.quantization.value_histogram import ValueHistogram, histogram_of
from profiling.runtime.open_session import Runtime, open_session, run_at_once, run_session

_MOST_BYTES = 2**27  # of tensors that a run gives at once; a model with more runs several times
_FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class SeenValues:
    """What a tensor held.

    Parameters
    ----------
    low, high
        Least and greatest value; infinite where some value is, NaN where there is no number.
    histogram
        Of the finite values.
    """

    low: float
    high: float
    histogram: ValueHistogram

    def __add__(self, other: "SeenValues") -> "SeenValues":
        """Return what both held; NaN counts only where there is nothing else."""
        low, high = np.fmin(self.low, other.low), np.fmax(self.high, other.high)
        return SeenValues(float(low), float(high), self.histogram + other.histogram)


def seen_values(
    model: onnx.ModelProto, tensors: Collection[str], samples: Sequence[Feeds]
) -> dict[str, SeenValues]:
    """Return what each of some float32 tensors holds over all samples, one sample after the other.

    Parameters
    ----------
    tensors
        Names of inputs or of what nodes write.
    samples
        At least one.
    """
    found: dict[str, SeenValues] = {}
    for part in _parts(model, tensors):
        for values in _of_samples(model, part, samples):
            found |= {name: found[name] + value if name in found else value for name, value in values.items()}
    return {name: found[name] for name in tensors}


def _of_samples(
    model: onnx.ModelProto, tensors: Sequence[str], samples: Iterable[Feeds]
) -> Iterator[dict[str, SeenValues]]:
    inputs = {value.name for value in model.graph.input}
    inner = [name for name in tensors if name not in inputs]
    session = open_session(_giving(model, inner), Runtime(), Optimization.BASIC) if inner else None

    def values_of(feeds: Feeds) -> dict[str, SeenValues]:
        outputs: Mapping[str, Array] = run_session(session, feeds) if session else {}
        return {name: _seen(feeds[name] if name in inputs else outputs[name]) for name in tensors}

    yield from run_at_once(values_of, samples)


def _seen(values: Array) -> SeenValues:
    flat = values.reshape(-1)
    low, high = (float(np.fmin.reduce(flat)), float(np.fmax.reduce(flat))) if flat.size else (np.nan, np.nan)
    return SeenValues(low, high, histogram_of(flat))


def _parts(model: onnx.ModelProto, tensors: Collection[str]) -> Iterator[list[str]]:
    """Yield the tensors in parts of which a run can give all at once."""
    values = (*model.graph.input, *model.graph.value_info, *model.graph.output)
    dims = {value.name: [d.dim_value for d in value.type.tensor_type.shape.dim] for value in values}
    part: list[str] = []
    size = 0
    for name in tensors:
        needed = _FLOAT_BYTES * int(np.prod(dims.get(name, [])))
        if part and size + needed > _MOST_BYTES:
            yield part
            part, size = [], 0
        part.append(name)
        size += needed
    if part:
        yield part


def _giving(model: onnx.ModelProto, tensors: Iterable[str]) -> onnx.ModelProto:
    """Return a copy whose outputs are some tensors."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    copy.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in tensors
    )
    return copy
