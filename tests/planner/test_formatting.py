import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.formatting import AXES, program_size, short_name, size_text
from planner.problem.quantities import CostMetric


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (200_704, "196.0 KiB"),
        (2**20, "1.00 MiB"),
        (3 * 2**30, "3.00 GiB"),
    ],
)
def test_bytes_are_told_in_the_unit_that_fits(size, text):
    assert size_text(size) == text


@given(st.integers(0, 2**40))
def test_a_size_is_told_to_a_twentieth_of_a_thousandth_of_its_unit_or_better(size):
    number, unit = size_text(size).split()
    factor = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}[unit]
    assert (
        abs(float(number) * factor - size)
        <= {"B": 0, "KiB": 0.051, "MiB": 0.0051, "GiB": 0.0051}[unit] * factor
    )


def test_of_a_long_name_the_end_is_kept():
    assert short_name("conv1") == "conv1"
    assert short_name("StatefulPartitionedCall/a;other/conv2") == "other/conv2"
    long = "block/" * 10 + "conv3"
    assert short_name(long).endswith("block/conv3")
    assert short_name(long).startswith("...")
    assert len(short_name(long)) == 32
    assert short_name("x" * 32) == "x" * 32


def test_a_program_that_was_never_needed_has_no_size():
    assert program_size(0, 0) == "no program needed"
    assert program_size(3, 4) == "3 variables, 4 constraints"


def test_each_quantity_has_its_column():
    assert set(AXES) == {metric.value for metric in CostMetric}
