"""The mark of tests that need TensorFlow.

It is looked for, not imported: that takes seconds in each process that collects tests.
"""

from importlib.util import find_spec

import pytest

needs_tensorflow = pytest.mark.skipif(
    not all(map(find_spec, ("tensorflow", "tf2onnx"))), reason="needs the extra: splitquant[tensorflow]"
)
