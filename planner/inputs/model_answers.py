"""What a model answers with: classes, or other numbers."""

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import DTypeLike

from planner.errors import DataError
from planner.scenario.budget_schema import BudgetSpec
from profiling.graph.any_model import Tensor

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
