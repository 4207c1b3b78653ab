from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit_tensors import UNITS, unit_tensors

from profiling.latency.measure_latency import Setup, measurement_plan
from profiling.on_device.cost_fits import (
    fit_line,
    measured_cuts,
    stage_boundary_costs,
    stage_seconds,
    unit_costs,
)
from profiling.on_device.kernels import Kernel, KernelTimes, Owner, OwnerKind
from profiling.on_device.measurement_order import (
    CALLER,
    FP32,
    INT8,
    INT16,
    MeasurementPlan,
    PlannedUnit,
    SwitchTensor,
)
from profiling.precision import Precision
from profiling.runtime.open_session import Runtime


@pytest.fixture
def plan(digits):
    precisions = Precision.FP32, Precision.INT8, Precision.INT16
    return measurement_plan(digits.graph, digits.calibration, Setup(Runtime(), 1, precisions))


def test_units_have_the_seconds_of_the_models_in_one_precision():
    kernels = KernelTimes(
        (
            Kernel("a", "Conv", Owner(OwnerKind.UNIT, 0), 2.0, (1.0, 2.0, 3.0)),
            Kernel("b", "Relu", Owner(OwnerKind.UNIT, 0), 1.0, (1.0, 1.0, 1.0)),
            Kernel("c", "Cast", Owner(OwnerKind.UNKNOWN, 0), 9.0),
        )
    )
    units = [PlannedUnit("able", True), PlannedUnit("float", False)]
    plan = MeasurementPlan(1, "d", 1, "", 1, "int8", "", units, [], [FP32, INT8], [{}, {INT8: [0]}], [], [])
    rows = unit_costs(plan, [kernels, kernels.scaled(0.5)])
    assert [(row.unit, row.precision, row.seconds) for row in rows] == [
        ("able", FP32, 3.0),
        ("float", FP32, 0.0),
        ("able", INT8, 1.5),
    ]
    assert rows[0].spread == pytest.approx(1 / 3)  # of the sums 2, 3 and 4


@given(unit_tensors(), st.lists(st.booleans(), min_size=UNITS - 1, max_size=UNITS - 1))
def test_stages_have_the_seconds_of_the_whole_and_each_unit_those_of_its_own(tensors, ends):
    stages = [[0]]
    for unit, end in zip(range(1, UNITS), ends, strict=True):
        stages.append([unit]) if end else stages[-1].append(unit)
    read = {i: 1.0 for i, t in enumerate(tensors) if t.consumers != [CALLER] or t.producer != CALLER}
    kinds = [kind for kind in OwnerKind if kind is not OwnerKind.UNKNOWN]
    seconds = dict.fromkeys(kinds, read) | {OwnerKind.UNIT: {u: 10.0**u for u in range(UNITS)}}
    totals = stage_seconds(tensors, stages, seconds)
    assert sum(totals) == pytest.approx(sum(sum(by_index.values()) for by_index in seconds.values()))
    alone = {kind: {} for kind in kinds} | {OwnerKind.UNIT: seconds[OwnerKind.UNIT]}
    assert stage_seconds(tensors, stages, alone) == [sum(10.0**u for u in units) for units in stages]


def test_a_stage_begins_where_it_reads_and_ends_where_others_read():
    chain = [
        SwitchTensor(*row)
        for row in [("in", 40, -1, [0]), ("a", 8, 0, [1, 2]), ("b", 8, 1, [2]), ("out", 4, 2, [-1])]
    ]
    assert measured_cuts(chain, [[0, 1, 2]]) == [[]]
    assert measured_cuts(chain, [[0], [1, 2]]) == [[1], [1]]
    assert measured_cuts(chain, [[0], [1], [2]]) == [[1], [1, 2], [1, 2]]
    assert [tensor.precision_in({1: INT8}) for tensor in chain] == [FP32, INT8, INT8, FP32]
    assert [tensor.precision_in({1: INT8, 2: INT16}) for tensor in chain] == [FP32, INT8, INT8, INT16]


@given(unit_tensors(), st.lists(st.integers(0, 2), min_size=UNITS, max_size=UNITS))
def test_a_cut_is_a_tensor_that_units_of_two_stages_touch(tensors, places):
    stages = [[unit for unit in range(UNITS) if places[unit] == stage] for stage in range(3)]
    cuts = measured_cuts(tensors, stages)
    for index, tensor in enumerate(tensors):
        around = {places[unit] for unit in (tensor.producer, *tensor.consumers) if unit != CALLER}
        apart = tensor.producer != CALLER and len(around) > 1
        assert {stage for stage in range(3) if index in cuts[stage]} == (around if apart else set())


@pytest.mark.parametrize("line", [(2e-5, 3e-9), (0.0, 3e-9), (2e-5, 0.0)])
def test_the_cost_of_cuts_is_found_again(plan, line):
    """Stages that take longer by a line over bytes, another one for each form, show just these lines."""
    plan = replace(plan, stages=[[unit] for unit in range(len(plan.units))])
    lines = {FP32: line, INT8: (line[0] / 2, line[1] / 4), INT16: (line[0] / 3, line[1] / 3)}

    def cost(index: int, mix) -> float:
        tensor = plan.switches[index]
        start, slope = lines[tensor.precision_in(mix)]
        return start + slope * tensor.size_bytes

    excess = [
        [sum(cost(index, mix) for index in cuts) for cuts in measured_cuts(plan.switches, plan.stages)]
        for mix in plan.mixes[:3]
    ]
    sizes = {name: size for name, size, _, _ in plan.switches}
    for row in stage_boundary_costs(plan, excess):
        start, slope = lines[row.form]
        assert row.leave_s == row.enter_s == pytest.approx(start + slope * sizes[row.tensor], abs=1e-9)


def test_stages_begin_and_end_at_tensors_of_int8_beside_operators_on_integers(digits):
    precisions = Precision.FP32, Precision.INT8, Precision.INT8_QOPERATOR
    plan = measurement_plan(digits.graph, digits.calibration, Setup(Runtime(), 1, precisions))
    rows = stage_boundary_costs(plan, [[1e-3] * len(plan.stages)] * 3)
    assert {row.form for row in rows} == {FP32, INT8}


def test_stages_that_are_faster_than_expected_cost_nothing(plan):
    excess = [[-1e-3] * len(plan.stages)] * 3
    assert {row.leave_s for row in stage_boundary_costs(plan, excess)} == {0.0}


POINTS = st.lists(st.tuples(st.integers(1, 10**6), st.floats(0, 1)), max_size=8)


@given(POINTS, st.integers(0, 10**7))
def test_a_line_over_sizes_is_never_negative(points, size):
    line = fit_line(points)
    assert line.start >= 0
    assert line.slope >= 0
    assert line.at(size) >= 0


@given(st.floats(0, 1e-3), st.floats(0, 1e-6), st.sets(st.integers(1, 10**6), min_size=2, max_size=8))
def test_points_on_a_line_show_it(start, slope, sizes):
    line = fit_line([(size, start + slope * size) for size in sizes])
    for size in sizes:
        assert line.at(size) == pytest.approx(start + slope * size, rel=1e-6, abs=1e-12)


@given(POINTS)
def test_no_line_that_is_allowed_misses_less(points):
    line = fit_line(points)

    def missed(start: float, slope: float) -> float:
        return sum((seconds - start - slope * size) ** 2 for size, seconds in points)

    if len({size for size, _ in points}) > 1:
        for start, slope in (
            (0, 0),
            (1e-3, 0),
            (-1e-3, 0),
            (0, 1e-9),
            (0, -1e-9),
            (1e-3, -1e-9),
            (-1e-3, 1e-9),
        ):
            other = (line.start + start, line.slope + slope)
            if min(other) >= 0:
                assert missed(*line) <= missed(*other) + 1e-9


def test_where_a_line_would_fall_below_zero_one_through_the_origin_is_taken():
    assert fit_line([(1, 1.0), (2, 4.0)]) == (0.0, pytest.approx(9 / 5))  # least squares of slope alone
    assert fit_line([(1, 4.0), (2, 1.0)]) == (2.5, 0.0)  # seconds that fall with the size are no cost of it
    assert fit_line([(5, 1.0), (5, 3.0), (5, 4.0)]) == (3.0, 0.0)  # one size: the median
    assert fit_line([]) == (0.0, 0.0)


def test_a_stage_that_lost_a_fusion_moves_the_line_little(plan):
    plan = replace(plan, stages=[[unit] for unit in range(len(plan.units))], precisions=[FP32])
    cuts = measured_cuts(plan.switches, plan.stages)
    overhead = np.array([2e-5 * len(indices) for indices in cuts])
    overhead[3] += 1e-2
    rows = stage_boundary_costs(plan, [list(overhead)])
    assert all(row.leave_s == pytest.approx(2e-5, rel=0.2) for row in rows)
