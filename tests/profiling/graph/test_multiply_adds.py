"""How much a model computes."""

import models
import pytest

from profiling.graph.multiply_adds import multiplications
from profiling.graph.unit_graph import build_graph
from profiling.preparation.rewrite_steps import prepare_model

HEAD = '<ir_version: 8, opset_import: ["" : 17]>\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "g (float[1, 4, 8, 8] x) => (float[1, 6, 4, 4] y) <float[6, 2, 3, 3] w>"
            "{ y = Conv <group = 2, kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]> (x, w) }",
            6 * 4 * 4 * 2 * 9,
        ),
        (
            "g (float[1, 4, 8, 8] x) => (float[1, 6, 16, 16] y) <float[4, 6, 2, 2] w>"
            "{ y = ConvTranspose <kernel_shape = [2, 2], strides = [2, 2]> (x, w) }",
            4 * 8 * 8 * 6 * 4,
        ),
        ("g (float[1, 5, 7] x) => (float[1, 5, 3] y) <float[7, 3] w> { y = MatMul (x, w) }", 5 * 7 * 3),
        ("g (float[1, 7] x) => (float[1, 3] y) <float[3, 7] w> { y = Gemm <transB = 1> (x, w) }", 7 * 3),
        ("g (float[1, 7] x) => (float[1, 7] y) { y = Relu (x) }", 0),
    ],
)
def test_multiplications_of_one_sample(text, expected):
    graph = build_graph(prepare_model(models.with_weights(HEAD + text)))
    assert multiplications(graph) == expected
