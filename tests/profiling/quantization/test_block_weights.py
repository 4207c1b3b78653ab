import numpy as np
import onnx
import pytest
import text_models
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from profiling.on_device.create_session import Optimization
from profiling.onnx_io.external_weights import externalize, is_large, read_array
from profiling.quantization.block_weights import BlockWeights, to_blocks
from profiling.quantization.node_form import with_forms, with_forms_in_float
from profiling.runtime.open_session import Runtime, open_session, run_session

PRODUCT = "(float[1, 3, K] x) => (float[1, 3, N] y) { y = MatMul (x, w) }"
DENSE = "(float[3, K] x) => (float[3, N] y) { y = Gemm <transB = 1> (x, w, b) }"


def dequantized(blocks, bits: int) -> np.ndarray:
    """Return the matrix that packed integers stand for, number by number."""
    packed, scales = blocks.packed, blocks.scales
    matrix = np.zeros((blocks.rows, packed.shape[0]), np.float32)
    size = packed.shape[2] * 8 // bits
    for column in range(packed.shape[0]):
        for row in range(blocks.rows):
            block, place = divmod(row, size)
            byte = int(packed[column, block, place * bits // 8])
            integer = byte if bits == 8 else (byte >> 4 if place % 2 else byte & 15)
            matrix[row, column] = np.float32(integer - 2 ** (bits - 1)) * scales[column, block]
    return matrix


def product(rows: int, columns: int, text: str = PRODUCT) -> onnx.ModelProto:
    transposed = "transB" in text
    shape = (columns, rows) if transposed else (rows, columns)
    weights = {"w": text_models.weight(*shape)} | ({"b": text_models.weight(columns)} if transposed else {})
    model = text_models.make(text.replace("K", str(rows)).replace("N", str(columns)), weights)
    model.graph.node[0].name = "dense"
    return model


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 70),
    columns=st.integers(1, 9),
    bits=st.sampled_from([4, 8]),
    block=st.sampled_from([16, 32, 64]),
    seed=st.integers(0, 99),
)
def test_no_weight_is_further_off_than_a_step(rows, columns, bits, block, seed):
    matrix = np.float32(np.random.default_rng(seed).normal(size=(rows, columns)))
    blocks = to_blocks(matrix, bits, block)
    np.testing.assert_array_equal(blocks.in_float(), dequantized(blocks, bits))
    steps = np.repeat(np.abs(blocks.scales), block, axis=1)[:, :rows].T
    off = np.abs(blocks.in_float() - matrix)
    assert (off <= steps * 1.001).all()
    # All but what lies beyond the last step of the shorter side are rounded.
    if off.size >= 64:  # of few weights, one is a large part
        assert np.mean(off <= steps * 0.501) > 0.8
    assert np.allclose(np.abs(blocks.scales).max(), np.abs(matrix).max() / 2 ** (bits - 1))


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("text", [PRODUCT, DENSE])
@pytest.mark.parametrize("level", [Optimization.BASIC, Optimization.DEFAULT])
def test_the_runtime_computes_what_numpy_does(bits, text, level):
    model = product(50, 7, text)
    constants = {init.name: numpy_helper.to_array(init) for init in model.graph.initializer}
    weight = constants["w"].T if text is DENSE else constants["w"]
    x = np.float32(np.random.default_rng(0).normal(size=(1, 3, 50) if text is PRODUCT else (3, 50)))
    form = BlockWeights(bits, 32)
    quantized = with_forms(model, {"dense": form})
    assert [node.op_type for node in quantized.graph.node] == ["MatMulNBits"]
    y = run_session(open_session(quantized, Runtime(), level), {"x": x})["y"]
    expected = x @ dequantized(to_blocks(weight, bits, 32), bits) + constants.get("b", np.float32(0))
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    in_float = with_forms_in_float(model, {"dense": form})
    np.testing.assert_allclose(
        run_session(open_session(in_float, Runtime(), level), {"x": x})["y"], expected, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize(("rows", "columns"), [(64, 64), (50, 7), (33, 1)])
def test_the_file_holds_as_many_bytes_as_are_counted(bits, rows, columns):
    model, form = product(rows, columns), BlockWeights(bits, 32)
    quantized = with_forms(model, {"dense": form})
    constants = {init.name: init for init in model.graph.initializer}
    (counted,) = form.weight_bytes(model.graph.node[0], constants).values()
    assert counted == sum(numpy_helper.to_array(init).nbytes for init in quantized.graph.initializer)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("(float[3, 4] x) => (float[3, 4] y) { y = Relu (x) }", "Relu is no Gemm or MatMul"),
        ("(float[3, 3] x) => (float[3, 3] y) { y = MatMul (x, x) }", "no constant float weight"),
        ("(float[3, 4] x) => (float[2, 4] y) { y = MatMul (w23, x) }", "no constant float weight"),
        ("(float[2, 4, 4] x) => (float[2, 4, 3] y) { y = MatMul (x, w243) }", "3 dimensions, not a matrix"),
        ("(float[4, 3] x) => (float[3, 3] y) { y = Gemm <transA = 1> (x, w43) }", "transposes"),
        ("(float[3, 4] x) => (float[3, 3] y) { y = Gemm <alpha = 2.0> (x, w43) }", "factors"),
        ("(float[3, 4] x, float[3] b) => (float[3, 3] y) { y = Gemm (x, w43, b) }", "no constant per column"),
        ("(float[3, 4] x) => (float[3, 3] y) { y = Gemm (x, w43, w13) }", "no constant per column"),
    ],
)
def test_what_is_no_plain_product_stays(text, why):
    shapes = {"w23": (2, 3), "w43": (4, 3), "w13": (1, 3), "w243": (2, 4, 3)}
    weights = {name: text_models.weight(*shape) for name, shape in shapes.items() if f"{name}" in text}
    model = text_models.make(text, weights)
    model.graph.node[0].name = "node"
    constants = {init.name: init for init in model.graph.initializer}
    form = BlockWeights(4, 32)
    assert why in form.obstacle(model.graph.node[0], constants)
    assert with_forms(model, {"node": form}) == model


def test_a_large_weight_has_its_blocks_outside_and_the_same_numbers(tmp_path):
    model, form = product(1024, 512), BlockWeights(4, 32)
    large = onnx.ModelProto()
    large.CopyFrom(model)
    externalize(large)
    inside, outside = (with_forms(m, {"dense": form}) for m in (model, large))
    for one, other in zip(inside.graph.initializer, outside.graph.initializer, strict=True):
        np.testing.assert_array_equal(read_array(one), read_array(other))
    assert all(is_large(init) for init in (*large.graph.initializer, outside.graph.initializer[0]))
