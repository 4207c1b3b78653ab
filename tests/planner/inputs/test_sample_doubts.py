"""Samples that cannot show what they are taken for are named; those that can are not."""

import numpy as np
import pytest
import text_models

from planner.errors import DataError
from planner.inputs.dataset import Dataset
from planner.inputs.sample_doubts import check_values, sample_doubts


def data(*numbers: int) -> Dataset:
    return Dataset([{"x": np.full((1, 2), number, np.float32)} for number in numbers], None)


def doubts(calibration: Dataset, evaluation: Dataset) -> str:
    return "; ".join(sample_doubts(calibration, evaluation))


@pytest.mark.parametrize("count", [32, 500])
def test_enough_samples_that_are_others_raise_no_doubt(count):
    assert doubts(data(*range(count)), data(*range(count, 2 * count))) == ""


def test_few_calibration_samples_are_told():
    assert "31 samples are few" in doubts(data(*range(31)), data(100))


def test_evaluation_samples_that_calibrated_are_told():
    many = range(100)
    assert "all 34 samples" in doubts(data(*many), data(*many))
    half = doubts(data(*many), data(*range(80, 120)))
    assert "20 of 40 samples" in half
    assert "all 1 samples" in doubts(data(*many), data(7))


def test_a_sample_that_is_alike_by_chance_is_none_that_calibrated():
    assert doubts(data(*range(100)), data(0, *range(200, 231))) == ""


def test_samples_of_another_type_or_shape_are_others():
    other = Dataset([{"x": np.full((2, 1), n, np.float32)} for n in range(40)], None)
    assert doubts(data(*range(40)), other) == ""


EMBEDDING = """(int64[1, 5] ids, float[1, 4] x) => (float[1, 5, 4] y) {
    words = Gather (table, ids)
    y = Add (words, x)
}"""


def embedded(*ids: list[int]) -> Dataset:
    x = np.zeros((1, 4), np.float32)
    return Dataset([{"ids": np.array([row], np.int64), "x": x} for row in ids], None)


@pytest.mark.parametrize(("row", "value"), [([0, 10, 3, 2, 1], 10), ([0, 1, -11, 2, 1], -11)])
def test_a_sample_that_the_model_refuses_is_told_before_anything_is_measured(row, value):
    model = text_models.make(EMBEDDING, {"table": text_models.weight(10, 4)})
    check_values(model, embedded([0, 1, 2, 3, 9], [-10, 1, 2, 3, 9]), "data.calibration")
    told = rf"evaluation: sample 1, counted from 0: the model does not take its values, ids from .*{value}"
    with pytest.raises(DataError, match=told):
        check_values(model, embedded([0, 1, 2, 3, 9], row, [-3, 1, 1, 9, 1]), "data.evaluation")


def test_models_without_whole_numbers_are_not_run(residual):
    check_values(residual.graph.model, Dataset([], None), "data.calibration")
