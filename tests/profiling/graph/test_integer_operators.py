import pytest
from onnx import helper

from profiling.graph.integer_operators import is_integer_operator
from profiling.graph.quantizability import computes_on_integers, why_not_quantizable

COMPUTE = (
    "ConvInteger",
    "DynamicQuantizeLSTM",
    "DynamicQuantizeMatMul",
    "MatMulInteger",
    "MatMulInteger16",
    "MatMulIntegerToFloat",
    "QAttention",
    "QEmbedLayerNormalization",
    "QGemm",
    "QLinearAdd",
    "QLinearConv",
    "QOrderedMatMul",
    "ReduceSumInteger",
)
CHANGE_FORMAT = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear")
FLOAT = ("Conv", "Gemm", "MatMulNBits", "NhwcMaxPool", "QMoE", "QuickGelu", "Transpose")


@pytest.mark.parametrize("op_type", COMPUTE)
def test_an_operator_on_integers_is_one_as_a_kernel_and_in_a_unit(op_type):
    node = helper.make_node(op_type, ["x"], ["y"])
    assert is_integer_operator(op_type)
    assert computes_on_integers([node], {})
    assert why_not_quantizable([node], {}, {}) == "is quantized already"


@pytest.mark.parametrize("op_type", CHANGE_FORMAT)
def test_a_change_of_format_is_no_integer_kernel_but_makes_a_unit_quantized(op_type):
    assert not is_integer_operator(op_type)
    assert why_not_quantizable([helper.make_node(op_type, ["x"], ["y"])], {}, {}) == "is quantized already"


@pytest.mark.parametrize("op_type", FLOAT)
def test_others_compute_in_float_even_if_they_keep_weights_in_integers(op_type):
    node = helper.make_node(op_type, ["x"], ["y"])
    assert not is_integer_operator(op_type)
    assert not computes_on_integers([node], {})
