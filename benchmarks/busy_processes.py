"""Processes that keep the processors busy beside a benchmark, and come and go."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Each computes for 0.05 to 2 s and rests for 0.05 to 1 s, over and over, and fills caches.
_WORK = """
import random, sys, time
own = random.Random(int(sys.argv[1]))
numbers = list(range(200_000))
while True:
    end = time.monotonic() + own.uniform(0.05, 2)
    while time.monotonic() < end:
        sum(numbers)
    time.sleep(own.uniform(0.05, 1))
"""


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Run so many busy processes while the block runs."""
    processes = [subprocess.Popen([sys.executable, "-c", _WORK, str(seed)]) for seed in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()
