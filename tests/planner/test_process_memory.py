import sys
from pathlib import Path

import numpy as np
import pytest

from planner.process_memory import peak_mib


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="only Linux tells it so")
def test_the_peak_grows_with_what_is_held_and_stays():
    before = peak_mib()
    held = np.ones((int(before) + 64, 2**17))  # so many MiB
    during = peak_mib()
    assert during >= before + 60
    del held
    assert peak_mib() >= during - 1  # the system counts some pages late


def test_the_peak_is_that_of_a_python_process_or_not_told():
    found = peak_mib()
    assert found is None or 5 < found < 100_000
    assert (found is None) <= (sys.platform == "win32")
