import itertools

import models
import pytest
from prepared_models import Prepared

from profiling.latency.kernel_tags import tag_model
from profiling.latency.measure_latency import Setup, measure_latency, measurement_plan
from profiling.on_device.cost_fits import conversion_costs
from profiling.on_device.kernels import Kernel, KernelTimes, Owner, OwnerKind
from profiling.on_device.measurement_plan import MeasurementPlan, PlannedUnit, SwitchTensor
from profiling.precision import Precision
from profiling.quantization.quantize import quantize
from profiling.records.profile import LatencyProfile, load_json, save_json
from profiling.runtime.session import Runtime, open_session


@pytest.fixture(scope="module")
def profile(digits) -> LatencyProfile:
    setup = Setup(Runtime(), 5, tuple(Precision))
    return measure_latency(digits.graph, digits.calibration, digits.samples[0], setup)


def test_every_unit_has_a_time_in_every_precision_it_can_run_in(digits, profile):
    rows = {(row.unit, row.precision): row.seconds for row in profile.units}
    for unit in digits.graph.units:
        assert rows[unit.name, Precision.FP32] > 0 or unit.op_types[0] in ("GlobalAveragePool",)
        for precision in (Precision.INT8, Precision.INT16):
            assert ((unit.name, precision) in rows) == unit.quantizable


def test_units_and_the_unattributed_line_make_up_the_whole_run(digits, profile):
    fp32 = sum(row.seconds for row in profile.units if row.precision is Precision.FP32)
    assert fp32 + profile.unattributed_s[Precision.FP32] == pytest.approx(
        profile.wall_s[Precision.FP32], rel=0.02
    )


def test_both_switches_of_every_float_tensor_have_a_cost(digits, profile):
    floats = {name for name in digits.graph.boundary_tensors() if digits.graph.tensors[name].is_float}
    for quantized in (Precision.INT8, Precision.INT16):
        for ends in ((Precision.FP32, quantized), (quantized, Precision.FP32)):
            assert {row.tensor for row in profile.switches if (row.source, row.to) == ends} == floats
    assert any(row.measured for row in profile.switches)
    assert all(row.seconds >= 0 for row in profile.switches)


def test_a_profile_survives_the_way_through_a_file(profile, tmp_path):
    save_json(profile, tmp_path / "p.json")
    assert load_json(tmp_path / "p.json", LatencyProfile) == profile


def test_the_profilers_cost_is_taken_off_kernel_by_kernel():
    times = KernelTimes(
        tuple(
            Kernel(str(i), "Conv", Owner(OwnerKind.UNIT, i), s) for i, s in enumerate((10e-6, 20e-6, 70e-6))
        )
    )
    assert times.as_unprofiled(94e-6).total_s == pytest.approx(94e-6)
    assert times.as_unprofiled(94e-6).of(OwnerKind.UNIT).get(0, 0.0) == pytest.approx(8e-6)
    # More than the cheapest kernel took: the rest slowed all kernels alike.
    assert times.as_unprofiled(35e-6).of(OwnerKind.UNIT).get(0, 0.0) == 0
    assert times.as_unprofiled(35e-6).of(OwnerKind.UNIT).get(2, 0.0) == pytest.approx(30e-6)
    assert times.as_unprofiled(200e-6) == times


def test_of_kernels_that_took_all_the_same_each_has_its_share():
    times = KernelTimes(tuple(Kernel(str(i), "Conv", Owner(OwnerKind.UNIT, i), 10e-6) for i in range(2)))
    assert [kernel.seconds for kernel in times.as_unprofiled(6e-6).kernels] == [3e-6, 3e-6]


def test_tags_leave_the_models_ends_and_results_alone(digits):
    able = frozenset(u.index for u in digits.graph.units)
    nodes = tuple(n for u in digits.graph.units for n in u.nodes)
    int8 = quantize(digits.graph.model, digits.calibration.of(nodes), digits.calibration.ranges)
    tagged = tag_model(int8, digits.graph, dict.fromkeys(able, Precision.INT8))
    feeds = digits.samples[0]
    want = open_session(int8, Runtime()).run(None, feeds)[0]
    assert (open_session(tagged, Runtime()).run(None, feeds)[0] == want).all()
    assert all(node.name.startswith("@") for node in tagged.graph.node)


def test_a_switch_belongs_to_its_tensor_and_a_weight_to_its_unit(digits):
    unit = digits.graph.units[3]
    int8 = quantize(digits.graph.model, digits.calibration.of(unit.nodes), digits.calibration.ranges)
    tagged = tag_model(int8, digits.graph, {3: Precision.INT8})
    kinds = {}
    for before, after in zip(int8.graph.node, tagged.graph.node, strict=True):
        kinds[before.name] = after.name.split("@")[1]
    floats = [name for name in digits.graph.boundary_tensors() if digits.graph.tensors[name].is_float]
    for name in unit.inputs:
        place = floats.index(name)
        assert kinds[f"{name}_QuantizeLinear"] == f"q{place}"
    out = unit.outputs[0]
    assert kinds[f"{out}_QuantizeLinear"] == "u3"
    (back,) = (tag for name, tag in kinds.items() if name.startswith(f"{out}_DequantizeLinear"))
    assert back == f"d{floats.index(out)}"
    assert all(tag == "u3" for name, tag in kinds.items() if name in unit.nodes)


def test_an_input_that_nothing_reads_does_no_harm(tmp_path):
    text = (
        '<ir_version: 8, opset_import: ["" : 17]> g (float[1, 2, 4, 4] x, float[1, 2] unused) '
        "=> (float[1, 2, 4, 4] y) <float[2, 2, 1, 1] w> { y = Conv <kernel_shape = [1, 1]> (x, w) }"
    )
    prepared = Prepared(models.with_weights(text), tmp_path, "unused")
    profile = measure_latency(prepared.graph, prepared.calibration, prepared.samples[0], Setup(Runtime(), 3))
    assert len(profile.units) == 2


def test_every_two_neighbours_are_a_switch_to_int8_and_back_in_some_model(digits):
    plan = measurement_plan(digits.graph, digits.calibration, Setup(Runtime(), 3))
    able = [index for index, (_, quantizable) in enumerate(plan.units) if quantizable]
    mixed = plan.mixes[2:]
    for first, second in itertools.pairwise(able):
        if second == first + 1:
            assert any(first in int8 and second not in int8 for int8 in mixed)
            assert any(first not in int8 and second in int8 for int8 in mixed)


def times(units: dict[int, float], switches: dict[tuple[OwnerKind, int], float]) -> KernelTimes:
    owners = {Owner(OwnerKind.UNIT, index): s for index, s in units.items()}
    owners |= {Owner(*switch): s for switch, s in switches.items()}
    return KernelTimes(tuple(Kernel(owner.tag(0), "Op", owner, s) for owner, s in owners.items()))


CHAIN = [("in", 40, -1, [0]), ("ab", 80, 0, [1]), ("bc", 80, 1, [2]), ("out", 40, 2, [-1])]


def test_a_switch_costs_what_units_beside_it_lose():
    # A chain of three units: tensors are the input, two between, and the output.
    plan = MeasurementPlan(
        1, "d", 1, "", 1, "int8", "", [PlannedUnit(name, True) for name in "abc"],
        [SwitchTensor(*row) for row in CHAIN],
        ["fp32", "int8"], [{}, {"int8": [0, 1, 2]}, {"int8": [1]}], [], [],
    )  # fmt: skip
    fp32 = times({0: 5.0, 1: 6.0, 2: 7.0}, {})
    int8 = times({0: 2.0, 1: 3.0, 2: 4.0}, {(OwnerKind.QUANTIZE, 0): 0.5, (OwnerKind.DEQUANTIZE, 3): 0.25})
    # Only b in int8: a loses 1 at the switch ab, b loses 0.6 at both of its switches, c loses nothing.
    mixed = times({0: 6.0, 1: 3.6, 2: 7.0}, {(OwnerKind.QUANTIZE, 1): 0.1, (OwnerKind.DEQUANTIZE, 2): 0.2})
    rows = {(r.tensor, r.to): r for r in conversion_costs(plan, [fp32, int8, mixed])}
    assert rows["ab", "int8"].seconds == pytest.approx(0.1 + 1.0 + 0.3)
    assert rows["bc", "fp32"].seconds == pytest.approx(0.2 + 0.3)
    assert rows["in", "int8"].seconds == pytest.approx(0.5)
    assert rows["out", "fp32"].seconds == pytest.approx(0.25)
    measured = {key for key, row in rows.items() if row.measured}
    assert measured == {("ab", "int8"), ("bc", "fp32"), ("in", "int8"), ("out", "fp32")}
    assert rows["bc", "int8"].seconds >= rows["in", "int8"].seconds  # fitted over bytes
