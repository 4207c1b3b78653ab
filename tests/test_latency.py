import models
import pytest
from conftest import Prepared

from profiling.latency import measure_latency
from profiling.onboard import Kernel, KernelTimes, Owner
from profiling.profile import LatencyProfile, Precision, load_json, save_json
from profiling.quantize import quantize
from profiling.session import Runtime, open_session
from profiling.tags import tag_model


@pytest.fixture(scope="module")
def profile(digits) -> LatencyProfile:
    return measure_latency(digits.graph, digits.calibration, digits.samples[0], Runtime(), rounds=5)


def test_every_unit_has_a_time_in_every_precision_it_can_run_in(digits, profile):
    rows = {(row.unit, row.precision): row.seconds for row in profile.units}
    for unit in digits.graph.units:
        assert rows[unit.name, Precision.FP32] > 0 or unit.op_types[0] in ("GlobalAveragePool",)
        assert ((unit.name, Precision.INT8) in rows) == unit.quantizable


def test_units_and_the_unattributed_line_make_up_the_whole_run(digits, profile):
    fp32 = sum(row.seconds for row in profile.units if row.precision is Precision.FP32)
    assert fp32 + profile.unattributed_s[Precision.FP32] == pytest.approx(
        profile.wall_s[Precision.FP32], rel=0.02
    )


def test_both_switches_of_every_float_tensor_have_a_cost(digits, profile):
    floats = {name for name in digits.graph.boundary() if digits.graph.tensors[name].is_float}
    for to in Precision:
        assert {row.tensor for row in profile.switches if row.to is to} == floats
    assert any(row.measured for row in profile.switches)
    assert all(row.seconds >= 0 for row in profile.switches)


def test_a_profile_survives_the_way_through_a_file(profile, tmp_path):
    save_json(profile, tmp_path / "p.json")
    assert load_json(tmp_path / "p.json", LatencyProfile) == profile


def test_the_profilers_cost_is_taken_off_kernel_by_kernel():
    times = KernelTimes(
        tuple(Kernel(str(i), "Conv", Owner("u", i), s) for i, s in enumerate((10e-6, 20e-6, 70e-6)))
    )
    assert times.as_unprofiled(94e-6).total_s == pytest.approx(94e-6)
    assert times.as_unprofiled(94e-6).of("u").get(0, 0.0) == pytest.approx(8e-6)
    # More than the cheapest kernel took: the rest slowed all kernels alike.
    assert times.as_unprofiled(35e-6).of("u").get(0, 0.0) == 0
    assert times.as_unprofiled(35e-6).of("u").get(2, 0.0) == pytest.approx(30e-6)
    assert times.as_unprofiled(200e-6) == times


def test_tags_leave_the_models_ends_and_results_alone(digits):
    able = frozenset(u.index for u in digits.graph.units)
    nodes = tuple(n for u in digits.graph.units for n in u.nodes)
    int8 = quantize(digits.graph.model, digits.calibration.of(nodes), digits.calibration.ranges)
    tagged = tag_model(int8, digits.graph, able)
    feeds = digits.samples[0]
    want = open_session(int8, Runtime()).run(None, feeds)[0]
    assert (open_session(tagged, Runtime()).run(None, feeds)[0] == want).all()
    assert all(node.name.startswith("@") for node in tagged.graph.node)


def test_a_switch_belongs_to_its_tensor_and_a_weight_to_its_unit(digits):
    unit = digits.graph.units[3]
    int8 = quantize(digits.graph.model, digits.calibration.of(unit.nodes), digits.calibration.ranges)
    tagged = tag_model(int8, digits.graph, frozenset({3}))
    kinds = {}
    for before, after in zip(int8.graph.node, tagged.graph.node, strict=True):
        kinds[before.name] = after.name.split("@")[1]
    floats = [name for name in digits.graph.boundary() if digits.graph.tensors[name].is_float]
    for name in unit.inputs:
        place = floats.index(name)
        assert kinds[f"{name}_QuantizeLinear"] == f"q{place}"
    out = unit.outputs[0]
    assert kinds[f"{out}_QuantizeLinear"] == "u3"
    assert kinds[f"{out}_DequantizeLinear"] == f"d{floats.index(out)}"
    assert all(tag == "u3" for name, tag in kinds.items() if name in unit.nodes)


def test_an_input_that_nothing_reads_does_no_harm(tmp_path):
    text = (
        '<ir_version: 8, opset_import: ["" : 17]> g (float[1, 2, 4, 4] x, float[1, 2] unused) '
        "=> (float[1, 2, 4, 4] y) <float[2, 2, 1, 1] w> { y = Conv <kernel_shape = [1, 1]> (x, w) }"
    )
    prepared = Prepared(models.with_weights(text), tmp_path, "unused")
    profile = measure_latency(prepared.graph, prepared.calibration, prepared.samples[0], Runtime(), rounds=3)
    assert len(profile.units) == 2
