"""The file with the range of every tensor, as the quantization tool reads it, and what else samples showed.

That is ranges by other methods, and what rounding weights adds to the mean of what nodes write.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from onnxruntime.quantization import CalibrationMethod
from onnxruntime.quantization.calibrate import TensorsData, load_tensors_data, save_tensors_data

from profiling.errors import QuantizeError
from profiling.range_method import RangeMethod, TensorRanges

Range = tuple[float, float]
"""Least and greatest value that is not clipped."""

MINMAX = TensorRanges()
# The tool reads past these keys.
_OTHERS, _TAKEN, _BIASES = "other_ranges", "taken_ranges", "bias_errors"


def save_ranges(
    minmax: Mapping[str, Range],
    path: Path,
    others: Mapping[TensorRanges, Mapping[str, Range]] | None = None,
    taken: Mapping[TensorRanges, TensorRanges] | None = None,
) -> None:
    """Write least and greatest value of each tensor, and other ranges of the same tensors.

    Parameters
    ----------
    taken
        Which ranges stand where those with the least noise were wanted.
    """
    pairs = {name: tuple(np.array([limit], np.float32) for limit in pair) for name, pair in minmax.items()}
    save_tensors_data(TensorsData(CalibrationMethod.MinMax, pairs), path)
    if others:
        content = json.loads(path.read_text())
        content[_OTHERS] = {wanted.label: found for wanted, found in others.items()}
        content[_TAKEN] = {wanted.label: found.method.value for wanted, found in (taken or {}).items()}
        path.write_text(json.dumps(content))


def read_ranges(path: Path, wanted: TensorRanges = MINMAX) -> dict[str, Range]:
    """Return tensor -> range.

    Raises
    ------
    QuantizeError
        If the file has no such ranges: it was calibrated for others.
    """
    if wanted.is_minmax:
        recorded = load_tensors_data(path).items()
        return {name: (float(data.lowest[0]), float(data.highest[0])) for name, data in recorded}
    found = json.loads(path.read_text()).get(_OTHERS, {}).get(wanted.label)
    if found is None:
        raise QuantizeError(f"{path.name}: has no ranges {wanted.label}; calibrate again")
    return {name: (low, high) for name, (low, high) in found.items()}


def taken_method(path: Path, wanted: TensorRanges) -> RangeMethod:
    """Return by which method the wanted ranges were taken: their own, but for those with the least noise."""
    return RangeMethod(json.loads(path.read_text()).get(_TAKEN, {}).get(wanted.label, wanted.method))


def save_bias_errors(path: Path, errors: Mapping[bool, Mapping[str, Sequence[float]]]) -> None:
    """Write bias errors into a file that has ranges; those for weights of other bits stay.

    Parameters
    ----------
    errors
        Whether weights have 7 bits -> node -> what rounding its weights adds to the mean of each of its
        output channels.
    """
    content = json.loads(path.read_text())
    new = {_bits(reduced=reduced): dict(found) for reduced, found in errors.items()}
    content[_BIASES] = content.get(_BIASES, {}) | new
    path.write_text(json.dumps(content))


def read_bias_errors(path: Path, *, reduced: bool) -> dict[str, list[float]]:
    """Return node -> bias error per output channel; of nodes that are better left alone there is none."""
    return dict(json.loads(path.read_text()).get(_BIASES, {}).get(_bits(reduced=reduced), {}))


def has_bias_errors(path: Path, reduced: Collection[bool]) -> bool:
    """Return whether a file has bias errors for weights of some bits; no such file does not."""
    try:
        found = json.loads(path.read_text())[_BIASES]
        return all(_bits(reduced=one) in found for one in reduced)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _bits(*, reduced: bool) -> str:
    return "7" if reduced else "8"


def has_ranges_of(path: Path, tensors: Collection[str], wanted: Collection[TensorRanges]) -> bool:
    """Return whether a file knows some tensors' extremes and other ranges; no such file does not."""
    try:
        content = json.loads(path.read_text())
        others = [content[_OTHERS][one.label] for one in wanted if not one.is_minmax]
        return all(name in part for part in [content["data"], *others] for name in tensors)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def replace_ranges(path: Path, known: Mapping[str, Range]) -> None:
    """Write other extremes of some tensors into a file that has them; tensors that it lacks stay unknown."""
    save_ranges({name: known.get(name, ends) for name, ends in read_ranges(path).items()}, path)
