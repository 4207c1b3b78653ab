"""Whether int8 kernels overflow is found by running one, and is told from sums that are exact."""

import numpy as np
from onnx import numpy_helper

from profiling.on_device.create_session import Optimization
from profiling.on_device.int8_overflow import int8_overflows
from profiling.quantization.int8_overflow import overflow_probe_model, this_cpu_overflows
from profiling.runtime.open_session import Runtime, open_session, run_session


def sums(weight: int) -> np.ndarray:
    """Return what this machine's integer kernel makes of the largest activations and one weight."""
    model = overflow_probe_model()
    tensor = model.graph.initializer[0]
    weights = np.full(tuple(tensor.dims), weight, np.int8)
    tensor.CopyFrom(numpy_helper.from_array(weights, tensor.name))
    depth = tensor.dims[0]
    session = open_session(model, Runtime())
    return run_session(session, {"x": np.full((1, depth), 255, np.uint8)})["y"] / depth


def test_seven_bits_never_overflow_and_eight_do_as_is_said():
    assert (sums(64) == 255 * 64).all()
    assert (sums(-64) == 255 * -64).all()
    assert (sums(127) != 255 * 127).any() == this_cpu_overflows(Runtime())


def test_a_kernel_that_overflows_is_told_from_one_that_does_not():
    class Saturating:
        """A session that adds pairs of products in 16 bits, as processors without VNNI do."""

        def __init__(self) -> None:
            self._session = open_session(overflow_probe_model(), Runtime(), Optimization.NONE)
            self._weights = numpy_helper.to_array(overflow_probe_model().graph.initializer[0])

        def get_inputs(self):
            return self._session.get_inputs()

        def run(self, _, feeds):
            (x,) = feeds.values()
            products = x.astype(np.int64).T * self._weights
            pairs = np.clip(products[::2] + products[1::2], -(2**15), 2**15 - 1)
            return [pairs.sum(axis=0, keepdims=True)]

    assert int8_overflows(Saturating())
