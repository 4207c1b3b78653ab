import os
import platform

from profiling.on_device.processor import cpu_description


def test_the_processor_is_told_with_its_architecture_and_cores():
    assert platform.machine() in cpu_description()
    assert cpu_description().endswith(f"{os.cpu_count()} cores)")
