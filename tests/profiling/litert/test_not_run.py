import pytest

pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
import numpy as np
import tflite_models
from ai_edge_litert import schema_py_generated as schema
from tflite_models import OPS, Model

from profiling.litert.interpreter import run_model
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


def sparse(*, unpacked):
    """Return a model that multiplies by a sparse matrix with a diagonal."""
    model = Model()
    fed = model.input("x", (1, 4))
    compressed = schema.DimensionMetadataT(
        format=schema.DimensionType.SPARSE_CSR,
        arraySegmentsType=schema.SparseIndexVector.Uint8Vector,
        arraySegments=schema.Uint8VectorT(values=list(range(5))),
        arrayIndicesType=schema.SparseIndexVector.Uint8Vector,
        arrayIndices=schema.Uint8VectorT(values=list(range(4))),
    )
    rows = schema.DimensionMetadataT(format=schema.DimensionType.DENSE, denseSize=4)
    kept = schema.SparsityParametersT(traversalOrder=[0, 1], dimMetadata=[rows, compressed])
    weights = model.tensor("w", (4, 4), np.array([1, 2, 3, 4], np.float32), sparsity=kept)
    if unpacked:
        weights = model.op(OPS.DENSIFY, [weights], [model.tensor("dense", (4, 4))], schema.DensifyOptionsT())
    output = model.tensor("y", (1, 4))
    return model.give(
        model.op(OPS.FULLY_CONNECTED, [fed, weights, -1], [output], schema.FullyConnectedOptionsT())
    )


def test_sparse_weights_are_run_where_an_operator_unpacks_them():
    model = sparse(unpacked=True)
    assert why(model) == ""
    found = run_model(parse_litert(model.content(), "m"), {"x": np.ones((1, 4), np.float32)})
    assert found["y"].tolist() == [[1, 2, 3, 4]]


def test_sparse_weights_that_are_read_as_they_are_are_named():
    assert why(sparse(unpacked=False)).startswith("has sparse weights that FULLY_CONNECTED reads as they are")


def test_a_model_without_state_is_run():
    assert why(tflite_models.branching()) == ""
