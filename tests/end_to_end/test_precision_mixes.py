"""Models of ONNX Runtime that hold several precisions at once, from the choice to the stages."""

from pathlib import Path

import dense_models
import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
from prepared_models import Prepared

from planner.deployment.rebuild import rebuild
from planner.deployment.split import split
from planner.deployment.stage_tasks import Placement
from planner.verification.stage_chain import Chain, same_bits
from profiling.graph.operator_graph import Unit
from profiling.latency.kernel_tags import tag_model
from profiling.noise.measure_noise import measure_noise
from profiling.noise.noise_power import noise_power
from profiling.on_device.create_session import Optimization
from profiling.on_device.kernels import OwnerKind, read_kernels
from profiling.precision import OFFERED, Precision
from profiling.quantization.calibration import Calibration
from profiling.quantization.node_forms import FORMS
from profiling.runtime.open_session import Runtime, Trace, open_session, run_samples, run_session

DEVICES = ("a", "b", "c")


@pytest.fixture(scope="module")
def dense(tmp_path_factory) -> Prepared:
    return Prepared(dense_models.transformer(), tmp_path_factory.mktemp("dense"), "dense")


def build(prepared: Prepared, mix: dict[int, Precision]) -> onnx.ModelProto:
    return rebuild(prepared.graph, prepared.calibration.at(mix), prepared.calibration.ranges)


def forward_devices(data, graph) -> tuple[str, ...]:
    places: list[int] = []
    for unit in graph.units:
        least = max((places[p] for p in graph.dag.predecessors(unit.index)), default=0)
        places.append(data.draw(st.integers(least, len(DEVICES) - 1)))
    return tuple(DEVICES[p] for p in places)


def able(unit: Unit) -> list[Precision]:
    return [precision for precision in OFFERED if unit.can_be(precision)]


def in_turn(prepared: Prepared, precisions: list[Precision]) -> dict[int, Precision]:
    """Return a mix with the precisions in turn, at units that can have them."""
    mix: dict[int, Precision] = {}
    for unit in prepared.graph.units:
        wanted = precisions[len(mix) % len(precisions)]
        if unit.can_be(wanted):
            mix[unit.index] = wanted
    return prepared.graph.resolve_precisions(mix)


def stored_bytes(model: onnx.ModelProto) -> int:
    return sum(numpy_helper.to_array(init).nbytes for init in model.graph.initializer)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), seed=st.integers(0, 5))
def test_chains_of_random_graphs_in_random_mixes_equal_the_whole(tmp_path_factory, data, seed):
    prepared = random_prepared(tmp_path_factory, seed)
    graph = prepared.graph
    choices = {unit.index: able(unit) for unit in graph.units if able(unit)}
    wanted = {index: data.draw(st.sampled_from([None, *precisions])) for index, precisions in choices.items()}
    mix = graph.resolve_precisions({i: p for i, p in wanted.items() if p is not None})
    # A unit in a precision with float tensors keeps it, whatever is around.
    floats = {i: p for i, p in wanted.items() if p in FORMS}
    assert {i: p for i, p in mix.items() if p in FORMS} == floats
    mixed = build(prepared, mix)
    source, sink = data.draw(st.sampled_from(DEVICES)), data.draw(st.sampled_from(DEVICES))
    stages = split(mixed, graph, Placement(forward_devices(data, graph), source, sink))
    whole = open_session(mixed, Runtime(), Optimization.BASIC)
    chain = Chain([stage.model for stage in stages], Runtime(), Optimization.BASIC)
    fused = open_session(mixed, Runtime())
    for feeds in prepared.samples[:2]:
        plain = run_session(whole, feeds)
        assert same_bits(plain, chain.run(feeds, graph.outputs))
        # What the runtime fuses computes the same, up to steps to which a number may fall or not.
        off = run_session(fused, feeds)["y"] - plain["y"]
        assert np.linalg.norm(off) <= 0.03 * np.linalg.norm(plain["y"])


_PREPARED: dict[int, Prepared] = {}


def random_prepared(tmp_path_factory, seed: int) -> Prepared:
    if seed not in _PREPARED:
        model = dense_models.random_dense(seed)
        _PREPARED[seed] = Prepared(model, tmp_path_factory.mktemp("random"), f"random{seed}")
    return _PREPARED[seed]


def test_a_model_holds_all_precisions_at_once(dense):
    mix = in_turn(dense, list(OFFERED))
    assert set(mix.values()) == set(OFFERED)
    mixed = build(dense, mix)
    products = [node for node in mixed.graph.node if node.op_type == "MatMulNBits"]
    bits = [next(a.i for a in node.attribute if a.name == "bits") for node in products]
    of_mix = list(mix.values())
    assert bits.count(8) == of_mix.count(Precision.WEIGHTS_INT8)
    assert bits.count(4) == of_mix.count(Precision.WEIGHTS_INT4)
    count = len(dense.graph.units)
    devices = tuple("a" if n < count // 3 else "b" if n < 2 * count // 3 else "c" for n in range(count))
    stages = split(mixed, dense.graph, Placement(devices, "a", "a"))
    for level in (Optimization.BASIC, Optimization.DEFAULT):
        session = open_session(mixed, Runtime(), level)
        chain = Chain([stage.model for stage in stages], Runtime(), level)
        for feeds in dense.samples[:3]:
            whole, parts = run_session(session, feeds), chain.run(feeds, dense.graph.outputs)
            if level is Optimization.BASIC:
                assert same_bits(whole, parts)
            np.testing.assert_allclose(whole["y"], parts["y"], rtol=0.05, atol=0.05)


@pytest.mark.parametrize("left", range(13))
def test_a_model_loads_whichever_product_is_left_in_float(dense, left):
    """The runtime then fuses products that it left alone before, under names of its own."""
    units = [unit.index for unit in dense.graph.units if unit.can_be(Precision.WEIGHTS_INT8)]
    assert len(units) == 13
    del units[left]
    session = open_session(build(dense, dict.fromkeys(units, Precision.WEIGHTS_INT8)), Runtime())
    assert np.isfinite(run_session(session, dense.samples[0])["y"]).all()


@pytest.mark.parametrize("precision", [p for p in FORMS if p is not Precision.FLOAT16])
def test_the_model_holds_the_bytes_that_units_are_said_to_weigh(dense, precision):
    mix = {unit.index: precision for unit in dense.graph.units if unit.can_be(precision)}
    assert mix
    counted = sum(unit.weight_bytes_in(mix.get(unit.index, Precision.FP32)) for unit in dense.graph.units)
    assert counted == stored_bytes(build(dense, mix))


@pytest.mark.parametrize("precision", list(FORMS))
def test_the_noise_of_units_sums_to_that_of_the_model(dense, precision):
    calibration = Calibration(dense.calibration.scheme.at(precision), dense.calibration.ranges)
    profile = measure_noise(dense.graph, calibration, dense.samples)
    assert profile.scheme == calibration.scheme.label
    assert profile.tensors == ()
    chosen = {unit.name: unit.index for unit in dense.graph.units if unit.can_be(precision)}
    assert [row.unit for row in profile.units] == list(chosen)
    exact = list(run_samples(open_session(dense.graph.model, Runtime()), dense.samples))
    rng, ratios = np.random.default_rng(0), []
    for _ in range(16):
        rows = [row for row in profile.units if rng.random() < 0.5]
        mixed = build(dense, {chosen[row.unit]: precision for row in rows})
        noisy = run_samples(open_session(mixed, Runtime()), dense.samples)
        ratios.append(noise_power(noisy, exact) / sum(row.power for row in rows))
    # Rounded weights err alike in every sample, so that one mix may be off; many are not, in the mean.
    assert 0.7 < np.exp(np.mean(np.log(ratios))) < 1.4
    assert 0.4 < min(ratios) < max(ratios) < 2.5


@pytest.mark.parametrize("precision", list(FORMS))
def test_a_unit_alone_makes_exactly_its_noise(dense, precision):
    calibration = Calibration(dense.calibration.scheme.at(precision), dense.calibration.ranges)
    profile = measure_noise(dense.graph, calibration, dense.samples)
    exact = list(run_samples(open_session(dense.graph.model, Runtime()), dense.samples))
    units = {unit.name: unit.index for unit in dense.graph.units}
    for row in (profile.units[0], profile.units[-1]):
        mixed = build(dense, {units[row.unit]: precision})
        noisy = run_samples(open_session(mixed, Runtime()), dense.samples)
        assert noise_power(noisy, exact) == pytest.approx(row.power, rel=0.02)


@pytest.mark.parametrize("precision", [*FORMS, Precision.INT8_QOPERATOR])
def test_kernels_of_a_unit_count_for_it(dense, precision, tmp_path):
    graph = dense.graph
    mix = {unit.index: precision for unit in graph.units if unit.can_be(precision)}
    tagged = tag_model(build(dense, mix), graph, mix)
    optimized = tmp_path / "optimized.onnx"
    session = open_session(tagged, Runtime(), trace=Trace(tmp_path / "run", optimized))
    run_session(session, dense.samples[0])
    kernels = read_kernels(Path(session.end_profiling()), optimized)
    assert not kernels.of(OwnerKind.UNKNOWN)
    without = [graph.units[index] for index in set(mix) - set(kernels.of(OwnerKind.UNIT))]
    if precision is Precision.INT8_QOPERATOR:  # the runtime sees that three reshape one tensor alike
        assert {(unit.op_types, unit.inputs) for unit in without} == {(("Reshape",), graph.units[0].inputs)}
        without.clear()
    assert not without


def test_float16_weights_between_integers_stay_out_of_integer_kernels(residual, tmp_path):
    mix = {0: Precision.INT8, 1: Precision.FLOAT16, 2: Precision.INT8}
    assert residual.graph.units[1].op_types[0] == "Conv"
    kernels = []
    for chosen in (mix, {**mix, 1: Precision.INT8}):
        optimized = tmp_path / "m.onnx"
        open_session(build(residual, chosen), Runtime(), trace=Trace(optimized_model=optimized))
        kernels.append(sum(node.op_type == "QLinearConv" for node in onnx.load(optimized).graph.node))
    assert kernels[0] == kernels[1] - 1
