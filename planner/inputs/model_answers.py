"""What a model answers with, classes or other numbers, and whether it takes its samples."""

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np
from numpy.typing import DTypeLike

from planner.errors import DataError
from planner.inputs.dataset import Dataset
from planner.scenario.budget_schema import BudgetSpec
from profiling.arrays import Array, Feeds
from profiling.graph.any_model import AnyModel, Tensor, inputs_of
from profiling.printable_text import first_line
from profiling.runtime.open_session import Runtime, run_session
from profiling.stage_session import open_stage

_IMAGE_DIMENSIONS = 4  # batch, channels, height, width
_NARROW_BYTES = 2  # wider integers are counts or indices


def class_count(dtype: DTypeLike, shape: Sequence[int]) -> int | None:
    """Return the number of classes that an output has scores of; None if it has none.

    Scores are one row of at least two numbers, along the last axis or, as `[1, C, 1, 1]`, along the channels
    of a single pixel. Integers of up to 16 bits are quantized scores; wider ones are counts or indices.

    Examples
    --------
    >>> class_count("float32", (1, 1000)), class_count("float32", (1, 10, 1, 1)), class_count("int64", (1,))
    (1000, 10, None)
    """
    number_type = np.dtype(dtype)
    narrow = number_type.kind in "iu" and number_type.itemsize <= _NARROW_BYTES
    count = prod(shape)
    along_classes = (
        shape[1] if len(shape) >= _IMAGE_DIMENSIONS and shape[1] == count else shape[-1] if shape else 1
    )
    return count if (number_type.kind == "f" or narrow) and count == along_classes > 1 else None


def names_class(dtype: DTypeLike, shape: Sequence[int]) -> bool:
    """Return whether an output names one class, so that answers can be equal or right.

    It does by scores, or as the index itself: one whole number of 32 or 64 bits, or a truth value, as an
    ArgMax or a comparison at the model's end gives it. Detections, maps and single measures name none.

    Examples
    --------
    >>> names_class("int64", (1,)), names_class("float32", (1, 100, 4))
    (True, False)
    """
    number_type = np.dtype(dtype)
    is_index = number_type.kind == "b" or (number_type.kind in "iu" and number_type.itemsize > _NARROW_BYTES)
    return class_count(dtype, shape) is not None or (is_index and prod(shape) == 1)


def check_answers(budget: BudgetSpec, output: Tensor) -> None:
    """Refuse budgets on answers of a model whose first output names no class.

    Raises
    ------
    DataError
        That says what the output is, and which budgets suit it.
    """
    budgets_on_answers = [
        key for key in ("top1_agreement", "accuracy_drop") if getattr(budget, key) is not None
    ]
    if budgets_on_answers and not names_class(output.dtype, output.shape):
        raise DataError(
            f"budget.{budgets_on_answers[0]}: the model's first output {output.name!r}, {output.dtype} "
            f"{list(output.shape)}, names no class: it is neither one row of class scores nor a class index; "
            "set budget.noise_relative_rms or budget.max_abs_error, or metric with budget.metric_drop"
        )


def check_values(model: AnyModel, data: Dataset, where: str) -> None:
    """Run the samples that hold the least and the greatest value of each input of whole numbers.

    Indices that are out of range stop the runtime: they are told before anything is measured.

    Raises
    ------
    DataError
        If the model refuses one.
    """
    names = [tensor.name for tensor in inputs_of(model) if _may_be_indices(tensor.dtype)]
    if not names:
        return
    session = open_stage(model, Runtime())
    for number in sorted(set(_extreme_samples(data, names))):
        try:
            run_session(session, data.samples[number])
        except Exception as exc:  # the runtimes' exceptions share no base class
            raise DataError(
                f"{where}: sample {number}, counted from 0: the model does not take its values, "
                f"{_ranges_text(data.samples[number], names)}: {first_line(exc)}"
            ) from exc


def _may_be_indices(dtype: DTypeLike) -> bool:
    number_type = np.dtype(dtype)
    return number_type.kind in "iu" and number_type.itemsize > _NARROW_BYTES


def _extreme_samples(data: Dataset, names: Sequence[str]) -> Iterator[int]:
    """Yield, for each input, the sample with the least value and the one with the greatest."""
    ranges = np.array([[_range(sample[name]) for name in names] for sample in data.samples])
    for least, greatest in ranges.transpose(1, 2, 0):
        yield int(np.argmin(least))
        yield int(np.argmax(greatest))


def _ranges_text(sample: Feeds, names: Sequence[str]) -> str:
    ranges = ((name, *_range(sample[name])) for name in names)
    return ", ".join(f"{name} from {least} to {greatest}" for name, least, greatest in ranges)


def _range(values: Array) -> tuple[int, int]:
    return (int(values.min()), int(values.max())) if values.size else (0, 0)
