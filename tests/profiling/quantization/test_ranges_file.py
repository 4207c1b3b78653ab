import pytest

from profiling.errors import QuantizeError
from profiling.quantization.ranges_file import has_ranges_of, read_ranges, replace_ranges, save_ranges
from profiling.range_method import RangeMethod, TensorRanges

MINMAX = {"a": (-1.5, 2.5), "b": (0.0, 3.0)}
MSE, OTHER = TensorRanges(RangeMethod.MSE), TensorRanges(RangeMethod.MSE, symmetric=True)
CLIPPED = {"a": (-1.0, 2.0), "b": (0.0, 1.0)}


def test_ranges_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "r.json"
    save_ranges(MINMAX, path, {MSE: CLIPPED})
    assert read_ranges(path) == MINMAX
    assert read_ranges(path, MSE) == CLIPPED


def test_a_file_of_extremes_alone_is_read_and_has_no_other_ranges(tmp_path):
    path = tmp_path / "r.json"
    save_ranges(MINMAX, path)
    assert has_ranges_of(path, MINMAX, [])
    assert not has_ranges_of(path, MINMAX, [MSE])
    with pytest.raises(QuantizeError, match=r"r\.json: has no ranges mse; calibrate again"):
        read_ranges(path, MSE)


def test_a_file_is_whole_if_it_knows_all_tensors_by_all_methods(tmp_path):
    path = tmp_path / "r.json"
    save_ranges(MINMAX, path, {MSE: CLIPPED, OTHER: {"a": (-1.0, 1.0)}})
    assert has_ranges_of(path, MINMAX, [MSE])
    assert has_ranges_of(path, ["a"], [MSE, OTHER])
    assert not has_ranges_of(path, MINMAX, [MSE, OTHER])
    assert not has_ranges_of(path, ["c"], [])
    path.write_text("[]")
    assert not has_ranges_of(path, [], [])


def test_replaced_extremes_are_those_of_known_tensors(tmp_path):
    path = tmp_path / "r.json"
    save_ranges(MINMAX, path)
    replace_ranges(path, {"a": (-9.0, 9.0), "c": (0.0, 1.0)})
    assert read_ranges(path) == {"a": (-9.0, 9.0), "b": (0.0, 3.0)}
