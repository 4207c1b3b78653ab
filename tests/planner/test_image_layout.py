import numpy as np
import pytest

from planner.image_layout import are_channels_last, channels_first, channels_last


@pytest.mark.parametrize("front", [(), (1,), (5,), (5, 1)])
def test_channels_go_there_and_back(front):
    values = np.arange(np.prod((*front, 4, 6, 3))).reshape(*front, 4, 6, 3)
    moved = channels_first(values)
    assert moved.shape == (*front, 3, 4, 6)
    assert np.array_equal(moved[..., 2, 3, 5], values[..., 3, 5, 2])
    assert np.array_equal(channels_last(moved), values)


def test_the_last_three_axes_tell_where_channels_are():
    assert are_channels_last(np.zeros((4, 6, 3)), (1, 3, 4, 6))
    assert are_channels_last(np.zeros((7, 4, 6, 3)), (1, 3, 4, 6))
    assert not are_channels_last(np.zeros((1, 3, 4, 6)), (1, 3, 4, 6))
    assert not are_channels_last(np.zeros(3), (1, 3, 4, 6))
