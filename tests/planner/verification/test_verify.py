import numpy as np
import onnx
import pytest
from onnx import parser

from planner.deployment.built_models import VerificationTarget
from planner.deployment.rebuild import rebuild
from planner.deployment.split import split
from planner.deployment.stage_tasks import Placement
from planner.errors import DataError
from planner.inputs.dataset import Dataset
from planner.verification.chain_check import check_chain
from planner.verification.measure_errors import measure_errors
from planner.verification.verify import verify
from profiling.on_device.create_session import Optimization
from profiling.runtime.open_session import Runtime

HERE = Runtime()
RNG = np.random.default_rng(4)
SAMPLES = [{"x": RNG.normal(size=(1, 4)).astype(np.float32)} for _ in range(23)]


def scaling(factor: float, first: str = "x", last: str = "y") -> onnx.ModelProto:
    """Return a model that multiplies by a factor."""
    return parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 17]> g (float[1, 4] {first}) => (float[1, 4] {last}) '
        f"<float f = {{{factor}}}> {{ {last} = Mul ({first}, f) }}"
    )


def target(source, mixed, *stages) -> VerificationTarget:
    return VerificationTarget(source, mixed, stages, [Optimization.DEFAULT] * len(stages))


TRIPLE = scaling(3.0)
CHAIN = (scaling(2.0, last="m"), scaling(1.5, first="m"))


def test_stages_that_compute_what_the_model_does_make_no_error():
    errors = measure_errors(target(TRIPLE, TRIPLE, *CHAIN), Dataset(SAMPLES, None), HERE)
    assert (errors.noise_relative_rms, errors.max_abs_error, errors.top1_agreement) == (0, 0, 1)
    assert (errors.accuracy, errors.accuracy_fp32, errors.metric) == (None, None, None)
    assert errors.samples == len(SAMPLES)


def test_answers_a_quarter_too_large_show_a_noise_of_a_quarter():
    chain = (scaling(2.5, last="m"), scaling(1.5, first="m"))
    errors = measure_errors(target(TRIPLE, TRIPLE, *chain), Dataset(SAMPLES, None), HERE)
    largest = max(np.abs(feeds["x"]).max() for feeds in SAMPLES)
    assert errors.noise_relative_rms == pytest.approx(0.25, rel=1e-6)
    assert errors.max_abs_error == pytest.approx(0.25 * 3 * largest, rel=1e-6)
    assert errors.top1_agreement == 1
    assert errors.noise_standard_error == pytest.approx(0, abs=1e-6)


def test_labels_judge_the_stages_and_the_float_model_apart():
    """A chain that turns the sign picks the least score where the model picks the largest."""
    turned = (scaling(-2.0, last="m"), CHAIN[1])
    labels = np.array([int(np.argmax(feeds["x"])) for feeds in SAMPLES])
    labels[:5] = [int(np.argmin(feeds["x"])) for feeds in SAMPLES[:5]]
    errors = measure_errors(target(TRIPLE, TRIPLE, *turned), Dataset(SAMPLES, labels), HERE)
    assert errors.top1_agreement == 0
    assert errors.accuracy == pytest.approx(5 / 23)
    assert errors.accuracy_fp32 == pytest.approx(18 / 23)


def test_a_metric_judges_all_answers_with_all_labels():
    def mean_of_marked(outputs, labels):
        if not any(labels):
            raise DataError("none is marked")
        return float(outputs["y"].reshape(len(labels), 4)[np.array(labels)].mean())

    marks = np.array([True, False] * 11 + [True])
    errors = measure_errors(
        target(TRIPLE, TRIPLE, scaling(2.0, last="m"), scaling(1.0, first="m")),
        Dataset(SAMPLES, marks),
        HERE,
        mean_of_marked,
    )
    mean = np.mean([feeds["x"] for feeds, mark in zip(SAMPLES, marks, strict=True) if mark])
    assert errors.metric == pytest.approx(2 * mean, rel=1e-5)
    assert errors.metric_fp32 == pytest.approx(3 * mean, rel=1e-5)
    assert errors.accuracy is None


def test_progress_tells_each_sample():
    told = []
    measure_errors(
        target(TRIPLE, TRIPLE, *CHAIN), Dataset(SAMPLES, None), HERE, progress=lambda *row: told.append(row)
    )
    assert [(done, count) for _, done, count in told] == [(n, 23) for n in range(1, 24)]


def test_a_chain_of_the_same_graph_is_bit_equal_at_every_level():
    found = check_chain(target(TRIPLE, TRIPLE, TRIPLE), SAMPLES[:5], HERE)
    assert found.basic_bit_equal
    assert found.default_bit_equal
    assert found.default_relative_difference == 0
    assert (found.samples, found.integer_kernels, found.added_transposes) == (5, 0, 0)


def test_a_chain_that_differs_says_by_how_much():
    chain = (scaling(2.002, last="m"), CHAIN[1])
    found = check_chain(target(TRIPLE, TRIPLE, *chain), SAMPLES[:5], HERE)
    assert not found.basic_bit_equal
    assert not found.default_bit_equal
    assert found.default_relative_difference == pytest.approx(0.001, rel=1e-3)


def test_a_difference_from_nothing_at_all_counts_whole():
    nothing = scaling(0.0)
    found = check_chain(target(nothing, nothing, TRIPLE), SAMPLES[:2], HERE)
    assert found.default_relative_difference == 1


def test_a_transpose_that_only_the_stages_have_is_counted():
    turn = "t = Transpose <perm = [1, 0]> (x) s = CumSum (t, d) y = Transpose <perm = [1, 0]> (s)"
    text = (
        '<ir_version: 8, opset_import: ["" : 17]> g (float[2, 4] x) => (float[2, 4] y) '
        "<int64 c = {{1}}, int64 d = {{0}}> {{ {} }}"
    )
    turned, plain = (parser.parse_model(text.format(body)) for body in (turn, "y = CumSum (x, c)"))
    samples = [{"x": np.ones((2, 4), np.float32)}]
    counts = []
    for whole, stage in ((plain, turned), (turned, plain), (plain, plain)):
        found = check_chain(target(plain, whole, stage), samples, HERE)
        assert found.basic_bit_equal
        counts.append(found.added_transposes)
    assert counts == [2, -2, 0]


def test_integer_kernels_of_an_int8_model_run_in_its_stages_too(residual):
    every = range(len(residual.graph.units))
    mixed = rebuild(residual.graph, residual.calibration.of(every), residual.calibration.ranges)
    stages = split(mixed, residual.graph, Placement(("a", "a", "b", "b", "b"), "a", "b"))
    found = check_chain(target(residual.source, mixed, *(s.model for s in stages)), residual.samples, HERE)
    assert found.basic_bit_equal
    assert found.integer_kernels == found.integer_kernels_whole > 0


def test_verifying_gives_the_errors_of_all_samples_and_the_bits_of_a_few():
    known = target(TRIPLE, TRIPLE, *CHAIN)
    found = verify(known, Dataset(SAMPLES, None), HERE)
    errors = measure_errors(known, Dataset(SAMPLES, None), HERE)
    assert all(getattr(found, name) == getattr(errors, name) for name in errors.__struct_fields__)
    assert found.chain.samples == 16
    assert found.latency_ratio_to_fp32 > 0
    assert found.chain_ratio_to_fp32 > 0


def test_one_stage_is_the_whole_model_and_timed_once():
    found = verify(target(TRIPLE, TRIPLE, TRIPLE), Dataset(SAMPLES, None), HERE)
    assert found.latency_ratio_to_fp32 == found.chain_ratio_to_fp32 == found.stage_ratios_to_fp32[0] > 0
