"""Numbers at the edge: NaN, infinity, denormals, constants and zeros, in weights, data and budgets."""

import models
import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper
from planned_models import plan_model

from planner.output.plan_folder import write_outcome
from planner.output.saved_plan import read_folder, read_profiles
from planner.refinement.outcome import Outcome
from profiling.errors import ModelError


def plan(folder, model: onnx.ModelProto, x: np.ndarray, **changes) -> Outcome:
    return plan_model(folder, model, {"x": x}, **changes)


def with_weight(name: str, change) -> onnx.ModelProto:
    model = models.residual()
    weight = next(init for init in model.graph.initializer if init.name == name)
    weight.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(weight).copy()), name))
    return model


def put(value: float):
    def change(weight: np.ndarray) -> np.ndarray:
        weight.reshape(-1)[0] = value
        return weight

    return change


RNG = np.random.default_rng(0)
NORMAL = RNG.normal(size=(8, 2, 8, 8)).astype(np.float32)
INT8 = {"precisions": ["int8"]}  # everything that can be is quantized


def test_a_model_that_answers_no_number_for_a_weight_that_is_none_is_refused(tmp_path):
    with pytest.raises(ModelError, match="answers NaN or infinity and nothing else"):
        plan(tmp_path, with_weight("w1", put(np.nan)), NORMAL, **INT8)


def test_a_unit_with_an_infinite_weight_stays_in_float(tmp_path):
    outcome = plan(tmp_path, with_weight("b3", put(-np.inf)), NORMAL, **INT8)
    precisions = {a.nodes[0]: a.precision.value for a in outcome.plan.assignments}
    # Its Relu makes zeros of the infinity, so that what reads them is sound.
    assert sorted(precisions.values()) == ["fp32", "int8", "int8", "int8", "int8"]
    assert outcome.plan.measured.chain.basic_bit_equal
    assert np.isfinite(outcome.plan.measured.noise_relative_rms)


@pytest.mark.parametrize("scale", [1e-40, 1e-30, 1e30])
@pytest.mark.parametrize("name", ["w1", "w2", "w4"])
def test_tiny_and_huge_weights_are_planned(name, scale, tmp_path):
    model = with_weight(name, lambda weight: (weight * scale).astype(np.float32))
    outcome = plan(tmp_path, model, NORMAL, **INT8)
    assert outcome.plan.measured.chain.basic_bit_equal


@pytest.mark.parametrize(
    "x",
    [np.zeros_like(NORMAL), np.ones_like(NORMAL), np.full_like(NORMAL, -3), NORMAL * np.float32(1e-40)],
    ids=["zero", "one", "negative", "denormal"],
)
def test_constant_and_denormal_data_are_planned(x, tmp_path):
    outcome = plan(tmp_path, models.residual(), x, **INT8)
    assert outcome.plan.measured.chain.basic_bit_equal
    assert np.isfinite(outcome.plan.predicted.noise_relative_rms)


def test_a_tensor_that_is_always_zero_adds_no_noise(tmp_path):
    outcome = plan(tmp_path, with_weight("w2", np.zeros_like), NORMAL, **INT8)
    assert np.isfinite(outcome.plan.measured.noise_relative_rms)


def test_an_output_that_is_always_zero_is_planned(tmp_path):
    model = with_weight("w4", np.zeros_like)
    bias = next(init for init in model.graph.initializer if init.name == "b4")
    bias.CopyFrom(numpy_helper.from_array(np.zeros(4, np.float32), "b4"))
    outcome = plan(tmp_path, model, NORMAL, budget={"noise_relative_rms": 0.1})
    assert outcome.plan.measured.noise_relative_rms == 0


def test_a_noise_budget_of_zero_keeps_everything_in_float(tmp_path):
    outcome = plan(tmp_path, models.residual(), NORMAL, budget={"noise_relative_rms": 0})
    if outcome.built is None:  # folded constants changed the last bits
        assert "noise_relative_rms" in outcome.failures[0]
    else:
        assert {a.precision.value for a in outcome.plan.assignments} == {"fp32"}
        assert outcome.plan.measured.noise_relative_rms == 0


@pytest.mark.parametrize("budget", [{"accuracy_drop": 0}, {"top1_agreement": 1}, {"max_abs_error": 1e-5}])
def test_budgets_without_slack_are_kept_or_refused(budget, tmp_path):
    np.savez(tmp_path / "l.npz", x=NORMAL, y=np.arange(8) % 4)
    data = {"npz": str(tmp_path / "l.npz"), "labels": "y"}
    outcome = plan(
        tmp_path, models.residual(), NORMAL, budget=budget, data={"calibration": data, "evaluation": data}
    )
    if outcome.built is not None and not outcome.failures:
        measured = outcome.plan.measured
        assert measured.accuracy_fp32 - measured.accuracy <= budget.get("accuracy_drop", 1)
        assert measured.top1_agreement >= budget.get("top1_agreement", 0)
        assert measured.max_abs_error <= budget.get("max_abs_error", np.inf)


def log_of_probabilities(spread: float) -> onnx.ModelProto:
    """Return a classifier whose logarithm is infinite where a probability becomes zero."""
    rng = np.random.default_rng(0)
    weights = {
        "w": rng.normal(size=(16, 16)).astype(np.float32),
        "v": (spread * rng.normal(size=(16, 10))).astype(np.float32),
    }
    model = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        classifier (float[1, 16] x) => (float[1, 10] y) {
            a = MatMul(x, w)
            b = Relu(a)
            c = MatMul(b, v)
            p = Softmax<axis = -1>(c)
            y = Log(p)
        }""")
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in weights.items())
    return model


@pytest.mark.parametrize(
    "spread",
    [
        2.0,  # infinite on evaluation samples
        3.0,  # on calibration samples, too
        5.0,  # for some tensors alone
    ],
)
def test_a_plan_with_an_infinite_error_is_written_and_read_again(spread, tmp_path):
    x = np.random.default_rng(0).normal(size=(48, 1, 16)).astype(np.float32)
    outcome = plan(tmp_path, log_of_probabilities(spread), x, **INT8)
    assert outcome.plan.measured.noise_relative_rms == np.inf
    write_outcome(outcome, tmp_path / "plan")
    again, _ = read_folder(tmp_path / "plan")
    assert again.measured == outcome.plan.measured
    assert again.predicted == outcome.plan.predicted
    assert read_profiles(tmp_path / "plan") == outcome.profiles
    assert "infinite" in (tmp_path / "plan" / "report.html").read_text()


def test_a_budget_on_noise_leaves_out_what_makes_infinite_errors(tmp_path):
    x = np.random.default_rng(0).normal(size=(48, 1, 16)).astype(np.float32)
    budget = {"noise_relative_rms": 0.05}
    outcome = plan(tmp_path, log_of_probabilities(5.0), x, precisions=["fp32", "int8"], budget=budget)
    assert outcome.plan.status == "optimal" or outcome.plan.tie is not None
    assert outcome.failures == ()
    assert outcome.plan.measured.noise_relative_rms <= 0.05
