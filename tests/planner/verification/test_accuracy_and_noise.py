import io

import msgspec
import numpy as np
import onnx
import pytest
import text_models
from planned_models import plan_model, scenario_around
from rich.console import Console

from planner.errors import DataError
from planner.inputs.model_answers import class_count, names_class
from planner.inputs.prepared_scenario import prepare
from planner.output.plan_folder import write_outcome
from planner.output.saved_plan import read_manifest
from planner.plan.plan_record import Metrics
from planner.report.tables.plan_tables import plan_table
from planner.run import plan_scenario
from planner.scenario.budget_schema import BudgetSpec
from planner.verification.accuracy_and_noise import MetricsSum
from planner.verification.budget_margins import budget_verdicts, verdict_clause
from planner.verification.error_budgets import (
    broken_budgets,
    cautious_noise,
    doubtful_budgets,
    has_error_budget,
)


def metrics(**changes) -> Metrics:
    fields = {
        "noise_relative_rms": 0.1,
        "max_abs_error": 1.0,
        "top1_agreement": 0.95,
        "accuracy": 0.90,
        "accuracy_fp32": 0.92,
        "metric": 0.30,
        "metric_fp32": 0.35,
        "samples": 100,
    }
    return Metrics(**(fields | changes))


def names(pairs) -> list[str]:
    return [name for name, _, _ in pairs]


def test_samples_add_up():
    total = MetricsSum()
    total.add({"y": np.array([3.0, 4.0])}, {"y": np.array([3.0, 4.0])}, 1)
    total.add({"y": np.array([2.0, 0.0])}, {"y": np.array([0.0, 1.0])}, 1)
    result = total.result()
    assert result.noise_relative_rms == pytest.approx((5 / 26) ** 0.5)
    assert result.max_abs_error == 2.0
    assert result.top1_agreement == 0.5
    assert (result.accuracy, result.accuracy_fp32, result.samples) == (0.5, 1.0, 2)


def test_each_output_has_its_own_relative_rms_error():
    total = MetricsSum()
    total.add(
        {"y": np.array([3.0, 4.0]), "z": np.array([10.0])},
        {"y": np.array([3.0, 3.0]), "z": np.array([8.0])},
        None,
    )
    total.add(
        {"y": np.array([2.0, 0.0]), "z": np.array([6.0])},
        {"y": np.array([0.0, 0.0]), "z": np.array([6.0])},
        None,
    )
    result = total.result()
    assert result.output_relative_rms == {
        "y": pytest.approx((5 / 18) ** 0.5),
        "z": pytest.approx((4 / 100) ** 0.5),
    }
    assert result.noise_relative_rms == pytest.approx((9 / 118) ** 0.5)
    assert dict(result.errors_by_output) == result.output_relative_rms


def test_one_output_has_the_error_of_the_whole():
    total = MetricsSum()
    total.add({"y": np.array([3.0]), "k": np.array([1])}, {"y": np.array([4.0]), "k": np.array([2])}, None)
    result = total.result()
    assert result.output_relative_rms == {"y": result.noise_relative_rms}  # class numbers have no size
    assert result.errors_by_output == ()


def test_an_output_that_should_be_zero_and_is_not_is_wholly_wrong():
    total = MetricsSum()
    total.add({"y": np.array([0.0]), "z": np.array([1e-9])}, {"y": np.zeros(1), "z": np.zeros(1)}, None)
    assert total.result().output_relative_rms == {"y": 0.0, "z": 1.0}


def test_a_metric_sees_all_outputs_and_labels_at_once():
    def mean_of_labelled(outputs, labels):
        return float(outputs["y"][np.arange(len(labels)), labels].mean())

    total = MetricsSum(mean_of_labelled)
    total.add({"y": np.array([[3.0, 4.0]])}, {"y": np.array([[3.0, 5.0]])}, None)
    total.add({"y": np.array([[2.0, 0.0]])}, {"y": np.array([[1.0, 1.0]])}, None)
    result = total.result([1, 0])
    assert (result.metric, result.metric_fp32) == (3.0, 3.0)


def test_without_labels_there_is_no_accuracy():
    total = MetricsSum()
    total.add({"y": np.array([1.0])}, {"y": np.array([1.0])}, None)
    assert total.result().accuracy is None


def test_a_budget_met_exactly_holds():
    budget = BudgetSpec(noise_relative_rms=0.1, max_abs_error=1.0, top1_agreement=0.95, accuracy_drop=0.02)
    assert not names(broken_budgets(budget, metrics()))


@pytest.mark.parametrize(
    ("budget", "name"),
    [
        (BudgetSpec(noise_relative_rms=0.09), "noise_relative_rms"),
        (BudgetSpec(max_abs_error=0.9), "max_abs_error"),
        (BudgetSpec(top1_agreement=0.96), "top1_agreement"),
        (BudgetSpec(accuracy_drop=0.01), "accuracy_drop"),
        (BudgetSpec(metric_drop=0.04), "metric_drop"),
    ],
)
def test_each_broken_budget_is_named(budget, name):
    assert names(broken_budgets(budget, metrics())) == [name]
    assert has_error_budget(budget)


def test_without_labels_changed_answers_stand_for_lost_accuracy():
    unlabelled = metrics(accuracy=None, accuracy_fp32=None)
    assert names(broken_budgets(BudgetSpec(accuracy_drop=0.04), unlabelled)) == ["accuracy_drop"]
    assert not names(broken_budgets(BudgetSpec(accuracy_drop=0.06), unlabelled))


def test_few_samples_must_show_a_margin():
    budget = BudgetSpec(accuracy_drop=0.03)
    assert not names(doubtful_budgets(budget, metrics(samples=10_000)))
    assert names(doubtful_budgets(budget, metrics(samples=100))) == ["accuracy_drop"]
    same = metrics(samples=4, top1_agreement=1.0, accuracy=0.92)
    assert not names(doubtful_budgets(BudgetSpec(accuracy_drop=0.0), same))


def test_an_output_that_is_no_number_breaks_every_error_budget():
    total = MetricsSum()
    total.add({"y": np.array([np.nan, 1.0])}, {"y": np.array([0.0, 1.0])}, None)
    budget = BudgetSpec(noise_relative_rms=0.5, max_abs_error=0.5)
    assert names(broken_budgets(budget, total.result())) == ["noise_relative_rms", "max_abs_error"]


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_infinite_errors_come_back_from_json(wrong):
    total = MetricsSum()
    total.add({"y": np.array([wrong, 1.0])}, {"y": np.array([0.0, 1.0])}, None)
    total.add({"y": np.array([0.0, 1.5])}, {"y": np.array([0.0, 1.0])}, None)
    result = total.result()
    assert result.noise_relative_rms == result.max_abs_error == np.inf
    assert msgspec.json.decode(msgspec.json.encode(result), type=Metrics) == result


def test_equal_infinities_are_no_error():
    total = MetricsSum()
    total.add({"y": np.array([-np.inf, 1.0])}, {"y": np.array([-np.inf, 1.0])}, None)
    assert total.result().noise_relative_rms == 0
    assert total.result().max_abs_error == 0


def test_scores_with_nan_name_no_class_and_are_never_right():
    total = MetricsSum()
    scores = np.array([np.nan, 1.0], np.float32)
    total.add({"y": scores}, {"y": scores}, 0)
    assert (total.result().accuracy, total.result().accuracy_fp32) == (0, 0)


def test_class_indices_agree_by_value():
    total = MetricsSum()
    total.add({"y": np.array([7])}, {"y": np.array([3])}, 3)
    result = total.result()
    assert (result.top1_agreement, result.accuracy, result.accuracy_fp32) == (0, 0, 1)
    assert result.noise_relative_rms > 1


def test_whole_numbers_beside_floats_make_no_error_but_are_told():
    total = MetricsSum()
    for flipped in (0, 1):
        total.add(
            {"y": np.ones(2), "k": np.array([[4, 5 + flipped]]), "n": np.arange(1 + flipped)},
            {"y": np.ones(2), "k": np.array([[4, 5]]), "n": np.arange(1)},
            None,
        )
    result = total.result()
    assert (result.noise_relative_rms, result.indices) == (0, 0)
    assert result.equal_values == {"k": 0.75, "n": 0.5}


def index_metrics(samples: int, wrong: int) -> Metrics:
    total = MetricsSum()
    for number in range(samples):
        total.add({"k": np.array([number < wrong])}, {"k": np.array([0])}, None)
    return total.result()


def test_right_indices_only_are_as_many_samples_as_may_be_without_a_wrong_one():
    """Two standard errors, the margin on noise, are the error of one wrong index."""
    right, one_wrong = index_metrics(10, 0), index_metrics(10, 1)
    assert right.noise_relative_rms == 0
    assert cautious_noise(right) == pytest.approx(one_wrong.noise_relative_rms)
    assert names(doubtful_budgets(BudgetSpec(noise_relative_rms=0.1), right)) == ["noise_relative_rms"]
    assert not names(doubtful_budgets(BudgetSpec(noise_relative_rms=0.1), index_metrics(200, 0)))


@pytest.mark.parametrize("wrong", [0, 3])
def test_the_certainty_of_the_error_of_indices_is_that_of_their_share(wrong):
    found = index_metrics(300, wrong)
    (noise,) = budget_verdicts(BudgetSpec(noise_relative_rms=0.2), found)
    (share,) = budget_verdicts(BudgetSpec(top1_agreement=0.98), found)
    assert (noise.kept, noise.more_samples) == (share.kept, share.more_samples)
    assert noise.certainty == pytest.approx(share.certainty)
    assert noise.high == pytest.approx((2 * (1 - share.low)) ** 0.5)


def test_no_interval_of_noise_begins_below_zero():
    total = MetricsSum()
    for _ in range(12):
        total.add({"k": np.arange(10)}, {"k": np.arange(10)}, None)
    (verdict,) = budget_verdicts(BudgetSpec(noise_relative_rms=0.2), total.result())
    assert verdict.low == 0
    assert verdict.high > 0


ARGMAX = """(float[1, 8] x) => (int64[1] k) {
    a = MatMul (x, w)
    b = Relu (a)
    c = MatMul (b, v)
    k = ArgMax <axis = 1, keepdims = 0> (c)
}"""


def test_few_indices_do_not_show_that_a_budget_on_noise_is_kept(tmp_path):
    """Of 10 held-back samples one wrong index would be an error of 0.447: only fp32 is sure to have none."""
    weights = {"w": text_models.weight(8, 16), "v": text_models.weight(16, 6)}
    x = np.random.default_rng(0).normal(size=(40, 1, 8)).astype(np.float32)
    outcome = plan_model(
        tmp_path,
        text_models.make(ARGMAX, weights),
        {"x": x},
        budget={"noise_relative_rms": 0.3},
        objective="memory",
    )
    plan = outcome.plan
    assert plan.is_exact
    assert not outcome.failures
    (few,) = [one for one in plan.too_few_samples if one.budget == "noise_relative_rms"]
    assert (few.data, few.samples, few.needed) == ("calibration", 10, 4 * 23)
    (verdict,) = plan.budget_verdicts
    assert verdict_clause(verdict) == "kept"


def test_memory_is_no_error_budget():
    assert not has_error_budget(BudgetSpec(memory_mib={"a": 1.0}, latency_ms=3.0))


def test_the_standard_error_is_the_spread_over_many_sets_of_samples():
    rng = np.random.default_rng(0)
    found = []
    for _ in range(400):
        total = MetricsSum()
        for _ in range(40):
            exact = rng.normal(size=8) * rng.lognormal(0, 0.5)
            total.add({"y": exact + 0.1 * rng.lognormal(0, 0.3) * rng.normal(size=8)}, {"y": exact}, None)
        found.append(total.result())
    spread = np.std([one.noise_relative_rms for one in found])
    assert np.mean([one.noise_standard_error for one in found]) == pytest.approx(spread, rel=0.15)


def test_without_noise_or_with_one_sample_there_is_no_standard_error():
    exact = {"y": np.array([1.0, 2.0])}
    quiet, single = MetricsSum(), MetricsSum()
    for _ in range(3):
        quiet.add(exact, exact, None)
    single.add({"y": np.array([1.5, 2.0])}, exact, None)
    assert quiet.result().noise_standard_error == single.result().noise_standard_error == 0.0
    assert single.result().noise_relative_rms > 0


def test_noise_that_few_samples_do_not_show_to_hold_is_doubtful_but_not_broken():
    budget = BudgetSpec(noise_relative_rms=0.11)
    doubtful = metrics(noise_standard_error=0.006)
    assert names(doubtful_budgets(budget, doubtful)) == ["noise_relative_rms"]
    assert not names(doubtful_budgets(budget, metrics(noise_standard_error=0.004)))
    assert not names(broken_budgets(budget, doubtful))


ANSWERS = {
    "class scores": (np.float32, (1, 10), 10, True),
    "scores without a batch": (np.float32, (10,), 10, True),
    "scores behind more axes of one": (np.float16, (1, 1, 1, 10), 10, True),
    "scores of a single pixel": (np.float32, (1, 10, 1, 1), 10, True),
    "quantized scores": (np.uint8, (1, 10), 10, True),
    "a class index": (np.int64, (1,), None, True),
    "a scalar index": (np.int32, (), None, True),
    "a truth value": (np.bool_, (1, 1), None, True),
    "detections": (np.float32, (1, 84, 64), None, False),
    "one measure": (np.float32, (1, 1), None, False),
    "a quantized measure": (np.uint8, (1, 1), None, False),
    "a series": (np.float32, (1, 96, 1), None, False),
    "rows of scores": (np.float32, (1, 7, 10), None, False),
    "a map of indices": (np.int64, (1, 8, 8), None, False),
    "the best five": (np.int64, (1, 5), None, False),
    "nothing": (np.float32, (1, 0), None, False),
}


@pytest.mark.parametrize(("dtype", "shape", "classes", "named"), ANSWERS.values(), ids=ANSWERS)
def test_only_scores_and_indices_name_a_class(dtype, shape, classes, named):
    assert class_count(dtype, shape) == classes
    assert names_class(dtype, shape) == named
    output = {"y": np.ones(shape, dtype)}
    total = MetricsSum()
    total.add(output, output, 1)
    assert (total.result().top1_agreement is None) == (not named)
    assert (total.result().accuracy is None) == (not named)


def test_answers_that_cannot_be_compared_keep_no_budget_on_them():
    unknown = metrics(top1_agreement=None, accuracy=None, accuracy_fp32=None)
    for budget in (BudgetSpec(top1_agreement=0.0), BudgetSpec(accuracy_drop=1.0)):
        assert len(names(broken_budgets(budget, unknown))) == 1


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]>'
        "d (float[1,3,8,8] x) => (float[1,3,64] boxes) <int64[3] s = {1, 3, 64}>"
        "{ r = Relu(x) boxes = Reshape(r, s) }"
    )
    arrays = {"x": np.random.default_rng(0).normal(size=(12, 3, 8, 8)).astype(np.float32)}
    return scenario_around(tmp_path_factory.mktemp("detector"), model, arrays)


@pytest.mark.parametrize("budget", [BudgetSpec(top1_agreement=0.9), BudgetSpec(accuracy_drop=0.1)])
def test_a_budget_on_the_answers_of_a_detector_is_refused_before_anything_is_measured(detector, budget):
    asked = detector.model_copy(update={"budget": budget})
    words = r"first output 'boxes', float32 \[1, 3, 64\], names no class.*noise_relative_rms.*metric"
    with pytest.raises(DataError, match=words):
        prepare(asked)


def test_pages_and_tables_show_the_error_of_each_of_several_outputs(tmp_path):
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]>'
        "d (float[1,3,8,8] x) => (float[1,3,64] boxes, float[1,3,8,8] mask) <int64[3] s = {1, 3, 64}>"
        "{ mask = Relu(x) n = Neg(x) boxes = Reshape(n, s) }"
    )
    arrays = {"x": np.random.default_rng(0).normal(size=(12, 3, 8, 8)).astype(np.float32)}
    outcome = plan_scenario(scenario_around(tmp_path, model, arrays))
    write_outcome(outcome, tmp_path / "plan")
    assert outcome.plan.measured.output_relative_rms.keys() == {"boxes", "mask"}
    text = io.StringIO()
    Console(file=text, width=200).print(plan_table(outcome.plan, read_manifest(tmp_path / "plan")))
    page = (tmp_path / "plan" / "report.html").read_text()
    for output in ("boxes", "mask"):
        assert f"  of {output}" in text.getvalue()
        assert f"relative RMS error of {output}" in page


def test_no_page_or_table_shows_the_agreement_of_a_detector(detector, tmp_path):
    outcome = plan_scenario(detector)
    write_outcome(outcome, tmp_path / "plan")
    assert outcome.plan.measured.top1_agreement is None
    text = io.StringIO()
    Console(file=text, width=200).print(plan_table(outcome.plan, read_manifest(tmp_path / "plan")))
    assert "relative RMS error" in text.getvalue()
    for shown in (text.getvalue(), (tmp_path / "plan" / "report.html").read_text()):
        assert "top-1" not in shown


def mean_of(outputs, labels) -> float:
    return float(outputs["y"].mean())


def total_of(values, metric=mean_of) -> Metrics:
    """Return the sum over samples whose fp32 output is 1 and whose metric falls by each value."""
    total = MetricsSum(metric)
    for value in values:
        total.add({"y": np.array([1 - value])}, {"y": np.array([1.0])}, None)
    return total.result()


def test_the_standard_error_of_a_metrics_drop_is_its_spread_over_many_sets_of_samples():
    rng = np.random.default_rng(3)
    sets = [total_of(rng.normal(0.1, 0.5, 24)) for _ in range(400)]
    spread = np.std([one.metric_fp32 - one.metric for one in sets])
    told = np.mean([one.metric_drop_standard_error**2 for one in sets]) ** 0.5
    assert told == pytest.approx(spread, rel=0.1)


def test_a_metric_that_judges_no_small_group_has_no_standard_error():
    def of_many(outputs, labels) -> float:
        if len(outputs["y"]) < 20:
            raise DataError("too few")
        return mean_of(outputs, labels)

    assert total_of(np.arange(24.0), of_many).metric_drop_standard_error is None
    assert total_of(np.arange(3.0)).metric_drop_standard_error is None
