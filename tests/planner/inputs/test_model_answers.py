import numpy as np
import pytest

from planner.errors import DataError
from planner.inputs.model_answers import check_answers, class_count, names_class
from planner.scenario.budget_schema import BudgetSpec


@pytest.mark.parametrize(
    ("dtype", "shape", "classes", "named"),
    [
        ("float32", (1, 10), 10, True),
        ("float32", (10,), 10, True),
        ("float16", (1, 1, 10), 10, True),
        ("uint8", (1, 10), 10, True),  # quantized scores
        ("float32", (1, 10, 1, 1), 10, True),  # channels of one pixel
        ("float32", (1, 1, 1, 10), 10, True),
        ("float32", (2, 10), None, False),  # two rows
        ("float32", (1, 10, 4, 4), None, False),  # a map
        ("float32", (1, 1), None, False),  # a measure
        ("float32", (), None, False),
        ("int64", (1,), None, True),  # an index
        ("int32", (), None, True),
        ("bool", (1, 1), None, True),
        ("int64", (1, 10), None, False),  # counts
        ("int8", (1,), None, False),
        ("float32", (1, 0), None, False),
    ],
)
def test_an_output_names_a_class_by_one_row_of_scores_or_as_an_index(dtype, shape, classes, named):
    assert class_count(dtype, shape) == classes
    assert names_class(np.dtype(dtype), shape) is named


@pytest.mark.parametrize("key", ["top1_agreement", "accuracy_drop"])
def test_a_budget_on_answers_needs_an_output_that_names_a_class(residual, branches, key):
    budget = BudgetSpec(**{key: 0.5})
    check_answers(budget, residual.graph.tensors["y"])  # a row of four scores
    told = rf"budget.{key}: the model's first output 'left', float32 \[1, 4, 6, 6\], names no class"
    with pytest.raises(DataError, match=told):
        check_answers(budget, branches.graph.tensors["left"])
    check_answers(BudgetSpec(noise_relative_rms=0.1), branches.graph.tensors["left"])
