"""What NNCF is told: what held-back samples are worth, and how much of that it may lose."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from accuracy_control import accuracy_controlled, float_model, score
from competing_plans import drop_of, errors_on
from onnx import numpy_helper
from repository import ROOT

from planner.errors import DataError
from planner.inputs.prepared_scenario import prepare
from planner.scenario.loader import load_scenario
from profiling.onnx_io.external_weights import externalize, read_array
from profiling.runtime.open_session import Runtime, open_session, run_session


@pytest.fixture(scope="module")
def prepared():
    return prepare(load_scenario(ROOT / "scenarios" / "quickstart.yaml"))


def test_a_score_is_the_share_of_right_answers(prepared):
    labels, output = prepared.held_back.labels, prepared.models.graph.outputs[0]
    right = [{output: np.eye(10, dtype=np.float32)[[label]]} for label in labels[:4]]
    wrong = {output: 1 - right[0][output]}
    assert score(prepared, right, range(4)) == 1.0
    assert score(prepared, [wrong, *right[1:]], range(4)) == 0.75
    assert score(prepared, right[2:], [2, 3]) == 1.0


def test_a_metric_judges_where_there_is_one(prepared):
    def few(outputs, labels):
        if len(labels) < 2:
            raise DataError("too few")
        return len(labels) + outputs["y"].shape[0] / 10

    own = replace(prepared, metric=few)
    outputs = [{"y": np.zeros((1, 2))}] * 3
    assert score(own, outputs, [0, 1, 2]) == pytest.approx(3.3)
    assert score(own, outputs[:1], [0]) == 0.0


def test_no_score_without_labels(prepared):
    bare = replace(prepared, held_back=replace(prepared.held_back, labels=None))
    with pytest.raises(ValueError, match="labels"):
        score(bare, [], [])


def test_the_tool_keeps_what_it_is_told(prepared):
    pytest.importorskip("nncf")
    model = accuracy_controlled(prepared, 0.05)
    assert any(node.op_type == "QuantizeLinear" for node in model.graph.node)
    assert drop_of(errors_on(prepared, model, prepared.held_back)) <= 0.05


def test_what_costs_most_goes_back_to_fp32(prepared):
    pytest.importorskip("nncf")
    name, samples = prepared.models.graph.outputs[0], prepared.held_back.samples
    fp32 = open_session(prepared.models.graph.fp32_model, Runtime())
    exact = np.concatenate([run_session(fp32, feeds)[name] for feeds in samples])

    def closeness(outputs, labels):
        return 1 - np.linalg.norm(outputs[name] - exact[labels]) / np.linalg.norm(exact[labels])

    numbered = replace(prepared.held_back, labels=np.arange(len(samples)))
    own = replace(prepared, held_back=numbered, metric=closeness)
    loose, tight = (accuracy_controlled(own, most) for most in (1.0, 0.005))
    errors = [drop_of(errors_on(own, model, numbered)) for model in (loose, tight)]
    assert errors[1] <= 0.005 < errors[0]
    counts = [sum(node.op_type == "QuantizeLinear" for node in m.graph.node) for m in (loose, tight)]
    assert counts[1] < counts[0]


def test_tools_get_a_model_with_its_large_weights_inside():
    weight = np.random.default_rng(0).standard_normal((512, 1024), np.float32)
    model = onnx.parser.parse_model("""
        <ir_version: 9, opset_import: ["" : 17]>
        product (float[1, 512] x) => (float[1, 1024] y) { y = MatMul (x, w) }
    """)
    model.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    externalize(model)
    assert any(weight.external_data for weight in model.graph.initializer)
    prepared = SimpleNamespace(models=SimpleNamespace(graph=SimpleNamespace(fp32_model=model)))
    whole = float_model(prepared)
    assert not any(weight.external_data for weight in whole.graph.initializer)
    for weight, own in zip(whole.graph.initializer, model.graph.initializer, strict=True):
        np.testing.assert_array_equal(numpy_helper.to_array(weight), read_array(own))
