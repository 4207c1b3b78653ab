import itertools

import models
import pytest
from prepared_models import Prepared

from profiling.latency.measure_latency import Setup, measure_latency, measurement_plan
from profiling.precision import Precision
from profiling.records.json_files import load_json, save_json
from profiling.records.profile import LatencyProfile
from profiling.runtime.open_session import Runtime


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
