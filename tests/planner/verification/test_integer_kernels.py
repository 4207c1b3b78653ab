import numpy as np
from onnx import parser

from planner.verification.integer_kernels import count_kernels, integer_kernels
from profiling.runtime.open_session import Runtime

HEADER = '<ir_version: 8, opset_import: ["" : 17]> '
PRODUCT = parser.parse_model(
    f"{HEADER} g (uint8[1, 2] x) => (int32[1, 1] y) <int8[2, 1] w = {{3, 4}}> {{ y = MatMulInteger (x, w) }}"
)
FLOAT = parser.parse_model(f"{HEADER} g (int32[1, 1] y) => (float[1, 1] z) {{ z = Cast <to = 1> (y) }}")


def test_each_model_of_a_chain_counts_with_the_kernels_that_run():
    kernels = count_kernels([PRODUCT, FLOAT], {"x": np.ones((1, 2), np.uint8)}, Runtime())
    assert kernels == {"MatMulInteger": 1, "Cast": 1}
    assert integer_kernels(kernels) == 1


def test_what_only_changes_the_format_is_no_integer_kernel():
    assert integer_kernels({"QLinearConv": 2, "QGemm": 1, "QuantizeLinear": 5, "Conv": 7}) == 3
