import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from profiling.graph.quantizability import (
    computes_on_integers,
    ill_conditioned_tensors,
    why_not_quantizable,
)

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def node(op_type: str, inputs: str, outputs: str = "y", domain: str = "", **settings) -> onnx.NodeProto:
    return helper.make_node(op_type, inputs.split(), outputs.split(), domain=domain, **settings)


def constants(**values) -> dict[str, onnx.TensorProto]:
    return {
        name: numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in values.items()
    }


W = constants(w=np.ones((2, 2)), stack=np.ones((3, 2, 2)), bad=[1.0, np.inf], nan=[np.nan])
FLOATS = dict.fromkeys("abxy", FLOAT)
BODY = helper.make_graph(
    [node("Identity", "x")], "body", [], [helper.make_tensor_value_info("y", FLOAT, [1])]
)

REASONS = {
    "fine": ([node("MatMul", "x w")], ""),
    "with what follows": ([node("MatMul", "x w", "a"), node("Relu", "a")], ""),
    "unknown": ([node("Erf", "x")], "Erf has no int8 form"),
    "foreign": ([node("MatMul", "x w", domain="own")], "MatMul has no int8 form"),
    "computed weights": ([node("Gemm", "x a")], "weights that are computed or fed"),
    "limits at run time": ([node("Clip", "x a")], "told at run time"),
    "a stack": ([node("MatMul", "x stack")], "stack of matrices"),
    "no tensor": ([node("MatMul", "x w", "unknown")], "'unknown' is no tensor"),
    "integers": ([node("MatMul", "x w", "i")], "'i' is int64, not float32"),
    "infinite": ([node("Add", "x bad")], "'bad' holds infinity or NaN"),
    "not a number": ([node("Add", "x nan")], "'nan' holds infinity or NaN"),
    "divided by": ([node("MatMul", "x w", "steep")], "'steep' is divided by"),
    "a lone Relu": ([node("Relu", "x")], "a lone Relu"),
    "nested": ([node("If", "c", then_branch=BODY, else_branch=BODY)], "If runs a nested graph"),
    "quantized": ([node("DequantizeLinear", "x s"), node("MatMul", "y w", "a")], "is quantized already"),
}


@pytest.mark.parametrize("name", REASONS)
def test_the_reason_names_what_stands_in_the_way(name):
    nodes, reason = REASONS[name]
    types = FLOATS | {"i": INT64, "steep": FLOAT}
    told = why_not_quantizable(nodes, W, types, {"steep"})
    assert reason in told
    assert bool(told) == bool(reason)


def test_what_is_divided_by_is_ill_conditioned_and_what_averages_to_it():
    nodes = [
        node("Sub", "x b", "d"),
        node("Mul", "d d", "square"),
        node("ReduceMean", "square", "variance"),
        node("Add", "variance epsilon", "safe"),
        node("Sqrt", "safe", "deviation"),
        node("Div", "d deviation", "y"),
    ]
    steep = ill_conditioned_tensors(nodes, constants(epsilon=1e-5))
    assert steep == {"deviation", "safe", "variance", "square"}  # d is squared: its small values may vanish


@pytest.mark.parametrize(("exponent", "steep"), [(0.5, {"x"}), (-1.0, {"x"}), (2.0, set()), (1.0, set())])
def test_a_power_is_ill_conditioned_where_it_is_a_root_or_a_quotient(exponent, steep):
    assert ill_conditioned_tensors([node("Pow", "x e")], constants(e=exponent)) == steep


def test_a_dividend_is_not_and_neither_is_a_constant():
    assert ill_conditioned_tensors([node("Div", "x w")], W) == set()
    assert ill_conditioned_tensors([node("Div", "a b")], {}) == {"b"}


INTEGERS = {"q": numpy_helper.from_array(np.ones((2, 2), np.int8), "q")}


@pytest.mark.parametrize(
    ("nodes", "integers"),
    [
        ([node("QLinearConv", "x s z q")], True),
        ([node("MatMulInteger", "x w2")], True),
        ([node("DequantizeLinear", "x s", "a"), node("Relu", "a")], True),
        ([node("DequantizeLinear", "x s", "a"), node("MatMul", "a w")], False),  # goes on with float weights
        ([node("DequantizeLinear", "q s", "a"), node("MatMul", "x a")], False),  # only its weights are int8
        ([node("MatMul", "x w")], False),
    ],
)
def test_a_unit_computes_on_integers_if_its_activations_are(nodes, integers):
    assert computes_on_integers(nodes, W | INTEGERS) == integers
