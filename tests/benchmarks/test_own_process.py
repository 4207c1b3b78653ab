"""A function in a process of its own: its value, its errors, and its end."""

import os
import signal
import time

import pytest
from own_process import alone


def test_a_value_comes_back_with_the_memory_that_it_took():
    value, few = alone(len, "four")
    _, many = alone(eval, "len(list(range(6_000_000)))")
    assert value == 4
    assert many > few + 150


def test_what_the_function_raises_is_raised():
    with pytest.raises(ValueError, match="invalid literal"):
        alone(int, "none")


def test_a_process_that_dies_is_told():
    with pytest.raises(ChildProcessError, match="exit code -9"):
        alone(signal.raise_signal, signal.SIGKILL)
    with pytest.raises(ChildProcessError, match="exit code 3"):
        alone(os._exit, 3)


def test_a_process_that_does_not_end_is_killed():
    with pytest.raises(TimeoutError, match="killed"):
        alone(time.sleep, 600, at_most_s=0.2)
