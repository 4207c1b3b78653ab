import pytest

from profiling.on_device.robust_statistics import interquartile_mean, relative_iqr


def test_outliers_do_not_move_the_middle_mean():
    assert interquartile_mean([1.0, 1.0, 1.1, 1.1, 1.0, 50.0, 0.01, 1.1]) == pytest.approx(1.05, abs=0.05)
    assert interquartile_mean([2.0]) == 2.0


def test_spread_is_the_middle_half_over_the_median():
    assert relative_iqr([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(2 / 3)
    assert relative_iqr([3.0, 3.0, 3.0, 100.0]) < 10
    assert relative_iqr([1.0]) == 0
