"""What measuring a comparison's plans says, held against the models that are built here once more."""

from dataclasses import replace

import msgspec
import numpy as np
import onnxruntime as ort
import pytest
from measured_scenarios import small_basis

from planner.comparison.bandwidth_values import parse_bandwidths
from planner.comparison.comparison_record import Row
from planner.comparison.plan_measurements import add_measurements, measure_plans
from planner.comparison.plan_registry import PlanRegistry
from planner.comparison.sweep_points import Sweep, SweepPoints
from planner.plan.configuration import Configuration
from planner.plan.plan_record import Metrics
from planner.problem.placement_problem import Choice
from profiling.precision import Precision


@pytest.fixture(scope="module")
def basis(tmp_path_factory):
    return small_basis(tmp_path_factory.mktemp("small"))


def points_of(basis) -> SweepPoints:
    return SweepPoints(basis, Sweep(parse_bandwidths("0.1,100", (), basis.scenario)))


def registered(points: SweepPoints, *wanted: tuple[str, str, Precision]) -> PlanRegistry:
    """Return plans: the first unit on one device, the others on another, as far as can be in a precision."""
    plans, problem = PlanRegistry(points), points.problem(1.0, {})
    for first, others, precision in wanted:
        options = []
        for vertex in problem.vertices:
            device = first if len(options) <= 1 else others
            there = [
                o for o, option in enumerate(vertex.options) if problem.devices[option.device].name == device
            ] or [0]
            fits = [o for o in there if vertex.options[o].precision == precision.value]
            options.append((fits or there)[0])
        plans.register(problem, Choice(tuple(options)), points.scenario(1.0, {}))
    return plans


@pytest.fixture(scope="module")
def measured(basis):
    """Return points, both registries as measured, and what was told of the progress."""
    points, told = points_of(basis), []
    plans = registered(
        points,
        ("camera", "gateway", Precision.INT8),
        ("gateway", "gateway", Precision.INT8),
        ("gateway", "gateway", Precision.FP32),
    )
    rivals = registered(points, ("gateway", "gateway", Precision.FP32), ("server", "server", Precision.INT8))
    lines = measure_plans(points, plans, rivals, lambda *row: told.append(row))
    return points, plans, rivals, *lines, told


def noise(basis, chosen: Configuration) -> float:
    """Return the relative rms by which a plan's whole model differs from the fp32 one on the data."""
    built = basis.build(chosen)
    prepared = basis.prepared
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    exact, mixed = (
        ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        for model in (prepared.models.source, built.mixed)
    )
    wrong = power = 0.0
    for feeds in prepared.evaluation.samples:
        for right, got in zip(exact.run(None, feeds), mixed.run(None, feeds), strict=True):
            wrong += float(np.square(got.astype(float) - right).sum())
            power += float(np.square(right.astype(float)).sum())
    return (wrong / power) ** 0.5


def test_what_held_back_samples_do_not_tell_of_a_plan_is_told(basis, monkeypatch):
    points, chosen = points_of(basis), Configuration((), ())
    seen = []
    held_back = Metrics(
        noise_relative_rms=0.1, max_abs_error=1.0, top1_agreement=None, accuracy=None, accuracy_fp32=None,
        metric=0.34, metric_fp32=0.35, metric_drop_standard_error=0.016, samples=8,
    )  # fmt: skip
    monkeypatch.setattr(SweepPoints, "_held_back", lambda _, plan: seen.append(plan) or held_back)
    (few,) = points.too_few_samples({"metric_drop": 0.02}, chosen)
    assert (few.budget, few.data, few.samples, few.needed) == ("metric_drop", "calibration", 8, 84)
    assert points.too_few_samples({"metric_drop": 0.05}, chosen) == ()
    of_noise, verdict = points.held_back_verdicts({"metric_drop": 0.02}, chosen)
    assert (of_noise.budget, of_noise.limit, of_noise.value) == ("noise_relative_rms", 0.1, 0.1)
    assert (verdict.value, verdict.kept) == (pytest.approx(0.01), True)
    assert verdict.low < 0.01 < 0.02 < verdict.high
    assert verdict.certainty < 0.95
    assert seen == [chosen] * 3


def test_rows_say_how_sure_it_is_that_a_tried_out_plan_keeps_its_budgets(basis, measured):
    points, _, _, lines, rival_lines, _ = measured
    row = Row(bandwidth=None, budgets={}, status="optimal", plan=0, objective=1.0, bound=1.0)
    untried = [msgspec.structs.replace(line, trial=None) for line in lines]
    assert add_measurements(row, points, untried, rival_lines).budget_verdicts == ()
    noise = lines[0].trial.measured.noise_relative_rms
    for factor, is_kept in ((1.5, True), (0.7, False)):
        limited = msgspec.structs.replace(row, budgets={"noise_relative_rms": factor * noise})
        added = add_measurements(limited, points, lines, rival_lines)
        (verdict,) = added.budget_verdicts
        assert (verdict.value, verdict.kept, bool(added.broken)) == (noise, is_kept, not is_kept)
        assert verdict.low <= noise <= verdict.high


def test_errors_are_those_of_the_models_that_are_built(basis, measured):
    _, plans, _, lines, _, _ = measured
    shown = [line.trial.measured.noise_relative_rms for line in lines]
    expected = [noise(basis, chosen) for chosen in plans.chosen]
    assert shown == pytest.approx(expected, rel=0.05, abs=1e-5)
    assert expected[0] > 1e-3
    assert expected[2] < 1e-5
    assert all(line.trial.measured.chain.basic_bit_equal for line in lines)


def test_of_rivals_the_seconds_alone_are_measured_and_equal_plans_have_the_same(measured):
    _, _, _, lines, rival_lines, _ = measured
    assert [line.trial.measured for line in rival_lines] == [None, None]
    assert all(line.trial.compute_s > 0 for line in (*lines, *rival_lines))
    assert rival_lines[0].trial.compute_s == lines[2].trial.compute_s


def test_the_seconds_of_stages_take_the_place_of_those_expected_and_links_keep_theirs(measured):
    _, _, _, lines, rival_lines, _ = measured
    for line in (*lines, *rival_lines):
        assert line.trial.expected_compute_s == pytest.approx(sum(line.compute_s.values()))
        beside = line.fixed_s - line.trial.expected_compute_s
        assert line.trial.fixed_s - line.trial.compute_s == pytest.approx(beside, abs=1e-12)


def test_what_was_measured_is_not_measured_again(measured):
    points, plans, rivals, lines, rival_lines, _ = measured
    again = measure_plans(points, plans, rivals, lambda *_: None)
    assert again == (lines, rival_lines)  # seconds that are measured twice are never the same to the last bit


def test_progress_ends_with_all_that_was_to_do(measured):
    told = measured[-1]
    assert told[0] == ("measuring plans", 0, 4)
    assert told[-1] == ("measuring plans", 4, 4)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)


def test_a_plan_with_a_device_that_is_measured_elsewhere_has_no_seconds(basis, measured):
    _, plans, _, lines, _, _ = measured
    devices = [
        device.model_copy(update={"scaled_from": None, "speedup": None, "profile": "elsewhere.json"})
        if device.name == "camera"
        else device
        for device in basis.scenario.devices
    ]
    scenario = basis.scenario.model_copy(update={"devices": tuple(devices)})
    latency = {**basis.latency, "camera": basis.latency["server"]}
    points = points_of(replace(basis, prepared=replace(basis.prepared, scenario=scenario), latency=latency))
    found, _ = measure_plans(points, plans, PlanRegistry(points), lambda *_: None)
    trial = found[0].trial
    assert (trial.compute_s, trial.fixed_s) == (None, None)
    assert trial.measured.noise_relative_rms == lines[0].trial.measured.noise_relative_rms


def row(plan: int | None, baseline_plan: int | None, **budgets: float) -> Row:
    return Row(
        bandwidth=2.0,
        budgets=budgets,
        status="optimal",
        plan=plan,
        objective=1.0,
        bound=1.0,
        baseline_plan=baseline_plan,
    )


def test_a_row_has_the_latency_with_the_measured_seconds_and_the_budgets_that_break(measured):
    points, _, _, lines, rival_lines, _ = measured
    shown = lines[0].trial.measured.noise_relative_rms
    found = add_measurements(row(0, 1, noise_relative_rms=shown / 2), points, lines, rival_lines)
    assert found.measured_s == pytest.approx(lines[0].trial.fixed_s + lines[0].link_s / 2.0)
    assert found.baseline_measured_s == pytest.approx(
        rival_lines[1].trial.fixed_s + rival_lines[1].link_s / 2
    )
    [broken] = found.broken
    assert broken == f"noise_relative_rms is {shown:.6g}, budget {shown / 2:.6g}"
    assert add_measurements(row(0, 1, noise_relative_rms=shown * 2), points, lines, rival_lines).broken == ()


def test_a_row_without_a_plan_or_of_one_that_was_not_measured_stays_without_seconds(measured):
    points, _, _, lines, rival_lines, _ = measured
    nothing = add_measurements(row(None, None), points, lines, rival_lines)
    assert (nothing.measured_s, nothing.baseline_measured_s, nothing.broken) == (None, None, ())
    bare = [msgspec.structs.replace(line, trial=None) for line in lines]
    assert add_measurements(row(0, None), points, bare, rival_lines).measured_s is None
