import pytest

from planner.devices.calibration_choices import CalibrationChoice, calibration_lines
from profiling.range_method import RangeMethod


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
