import pytest

pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
import tflite_models
from tflite_models import OPS, Model

from profiling.litert.load import parse_litert
from profiling.litert.not_run import why_not_run


def why(model):
    return why_not_run(parse_litert(model.content(), "m"))


def test_variables_are_named_without_running():
    assert why(tflite_models.variables()).startswith(
        "has variables (ASSIGN_VARIABLE, READ_VARIABLE, VAR_HANDLE), and no plan keeps a state"
    )


def test_variables_of_a_nested_graph_are_found():
    model = tflite_models.variables()
    # Only the graph that CALL_ONCE runs has them now.
    kept = [op for op in model.graph.operators if model.codes[op.opcodeIndex].builtinCode == OPS.CALL_ONCE]
    model.graph.operators = kept
    model.give(0)
    assert why(model).startswith("has variables (ASSIGN_VARIABLE, VAR_HANDLE)")


def test_a_state_inside_an_operator_is_named():
    model = Model()
    fed = model.input("x", (1, 4))
    state = model.tensor("state", (1, 4), isVariable=True)
    model.give(model.add(fed, state, "sum"))
    assert why(model).startswith("keeps a state inside operators (ADD), and no plan keeps one")


def test_operators_of_tensorflow_are_named():
    assert why(tflite_models.of_tensorflow()) == (
        "needs operators that are TensorFlow's own (FlexDet), "
        "which LiteRT runs through its Flex delegate only"
    )


def test_a_model_without_state_is_run():
    assert why(tflite_models.branching()) == ""
