import pytest

from planner.devices.calibration_choices import CalibrationChoice, calibration_choices, calibration_lines
from profiling.precision import Precision
from profiling.quantization.qdq_model import Scheme
from profiling.quantization.ranges_file import save_bias_errors, save_ranges
from profiling.range_method import RangeMethod, TensorRanges

BEST, MSE = TensorRanges(RangeMethod.BEST), TensorRanges(RangeMethod.MSE)
ROUNDED = (Precision.INT8, Precision.INT16)


@pytest.mark.parametrize("errors", [{}, {"conv": [0.5]}])
def test_what_the_file_says_was_taken_is_told_of_the_devices_that_asked(errors, tmp_path):
    path = tmp_path / "ranges.json"
    save_ranges({"x": (0.0, 2.0)}, path, {BEST: {"x": (0.0, 1.0)}}, {BEST: MSE})
    save_bias_errors(path, {False: errors})
    schemes = {"a": Scheme(), "b": Scheme(ranges=RangeMethod.BEST), "c": Scheme(bias_correction=True)}
    assert calibration_choices(schemes, path, ROUNDED) == (
        CalibrationChoice(device="b", wanted_ranges=RangeMethod.BEST, ranges=RangeMethod.MSE),
        CalibrationChoice(
            device="c",
            wanted_ranges=RangeMethod.MINMAX,
            ranges=RangeMethod.MINMAX,
            corrects_biases=bool(errors),
        ),
    )


def test_a_method_that_was_asked_for_is_the_one_that_was_taken(tmp_path):
    save_ranges({"x": (0.0, 2.0)}, tmp_path / "r.json", {MSE: {"x": (0.0, 1.0)}})
    (choice,) = calibration_choices({"a": Scheme(ranges=RangeMethod.MSE)}, tmp_path / "r.json", ROUNDED)
    assert choice.ranges is RangeMethod.MSE


def choice(device: str, wanted: str, taken: str = "", biases: bool | None = None) -> CalibrationChoice:
    return CalibrationChoice(
        device=device,
        wanted_ranges=RangeMethod(wanted),
        ranges=RangeMethod(taken or wanted),
        corrects_biases=biases,
    )


@pytest.mark.parametrize(
    ("choices", "lines"),
    [
        ([], []),
        (
            [choice("a", "percentile"), choice("b", "percentile")],
            ["ranges of int8 activations: percentile, from calibration samples"],
        ),
        (
            [choice("a", "best", "minmax"), choice("b", "best")],
            [
                "a: ranges of int8 activations: best, from calibration samples, where minmax gave the least "
                "noise",
                "b: ranges of int8 activations: best, from calibration samples, where the best of each "
                "tensor gave the least noise",
            ],
        ),
        (
            [choice("a", "minmax", biases=True), choice("b", "minmax", biases=False)],
            [
                "a: biases of int8 and int16 units make up for the mean error of rounded weights",
                "b: biases stay as they are: corrected ones gave no less noise on calibration samples",
            ],
        ),
    ],
)
def test_a_line_says_what_was_chosen_and_where_devices_differ(choices, lines):
    assert calibration_lines(choices) == lines
