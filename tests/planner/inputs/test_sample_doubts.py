"""Samples that cannot show what they are taken for are named; those that can are not."""

import numpy as np
import pytest

from planner.inputs.dataset import Dataset
from planner.inputs.sample_doubts import sample_doubts


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
