import numpy as np
import pytest
from onnx import parser

from profiling.on_device.int8_overflow import int8_overflows
from profiling.quantization.int8_overflow import overflow_probe_model
from profiling.runtime.open_session import Runtime, open_session

HEADER = '<ir_version: 8, opset_import: ["" : 17]> '
# What exact products give, and what a kernel gives that loses one unit somewhere.
SUMS = {"exact": "0", "one off": "1"}


@pytest.mark.parametrize("name", SUMS)
def test_int8_products_overflow_where_a_single_sum_is_not_exact(name):
    text = (
        f"{HEADER} g (uint8[1, 4] x) => (int32[1, 3] y) <float[4, 3] w = "
        "{127, 127, 127, 127, 127, 127, 127, 127, 127, 127, 127, 127}, "
        f"int32[3] off = {{0, {SUMS[name]}, 0}}> "
        "{ f = Cast <to = 1> (x) s = MatMul (f, w) i = Cast <to = 6> (s) y = Sub (i, off) }"
    )
    session = open_session(parser.parse_model(text), Runtime())
    assert int8_overflows(session) == (name != "exact")


def test_the_probe_multiplies_the_largest_numbers():
    session = open_session(overflow_probe_model(), Runtime())
    (sums,) = session.run(None, {"x": np.ones((1, 64), dtype=np.uint8)})  # too small to overflow
    assert (sums == 127 * 64).all()
