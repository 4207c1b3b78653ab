import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit_tensors import UNITS, unit_tensors

from profiling.on_device.conversion_costs import Conversion, conversion_costs, conversions_of
from profiling.on_device.kernels import Kernel, KernelTimes, Owner, OwnerKind
from profiling.on_device.measurement_order import (
    CALLER,
    FP32,
    INT8,
    INT8_QOPERATOR,
    INT16,
    MeasurementPlan,
    PlannedUnit,
    SwitchTensor,
    tensor_precision,
)

MIXES = st.dictionaries(st.integers(0, UNITS - 1), st.sampled_from([INT8, INT16]))


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
    measured = [fp32, int8, mixed]
    wholes_s = [one.total_s for one in measured]
    rows = {(r.tensor, r.to): r for r in conversion_costs(plan, measured, wholes_s)}
    assert rows["ab", "int8"].seconds == pytest.approx(0.1 + 1.0 + 0.3)
    assert rows["bc", "fp32"].seconds == pytest.approx(0.2 + 0.3)
    assert rows["in", "int8"].seconds == pytest.approx(0.5)
    assert rows["out", "fp32"].seconds == pytest.approx(0.25)
    assert {key for key, row in rows.items() if row.measured} == {
        ("ab", "int8"),
        ("bc", "fp32"),
        ("in", "int8"),
        ("out", "fp32"),
    }
    assert rows["bc", "int8"].seconds >= rows["in", "int8"].seconds  # fitted over bytes


def test_a_switch_beside_operators_on_integers_is_one_of_int8():
    plan = MeasurementPlan(
        1, "d", 1, "", 1, "int8", "", [PlannedUnit(name, True) for name in "abc"],
        [SwitchTensor(*row) for row in CHAIN],
        [FP32, INT8, INT8_QOPERATOR], [{}, {INT8: [0, 1, 2]}, {INT8_QOPERATOR: [0, 1]}], [], [],
    )  # fmt: skip
    fp32, int8 = times({0: 5.0, 1: 6.0, 2: 7.0}, {}), times({0: 2.0, 1: 3.0, 2: 4.0}, {})
    shown = times({0: 2.5, 1: 3.5, 2: 7.5}, {(OwnerKind.DEQUANTIZE, 2): 0.2})
    rows = conversion_costs(plan, [fp32, int8, shown], [18.0, 9.0, 13.7])
    assert {(row.source, row.to) for row in rows} == {(FP32, INT8), (INT8, FP32)}
    (behind,) = (row for row in rows if (row.tensor, row.to) == ("bc", FP32))
    assert behind.measured
    assert behind.seconds == pytest.approx(0.2 + 0.5)  # what c loses; b is as fast as in its own model


def test_switches_bear_what_a_mixed_model_takes_beyond_its_parts():
    units = [PlannedUnit(name, True) for name in "abcd"]
    tensors = [("in", 40, -1, [0]), ("ab", 80, 0, [1]), ("bc", 80, 1, [2]), ("cd", 80, 2, [3])]
    tensors.append(("out", 40, 3, [-1]))
    plan = MeasurementPlan(
        1, "d", 1, "", 1, INT8, "", units, [SwitchTensor(*row) for row in tensors],
        [FP32, INT8], [{}, {INT8: [0, 1, 2, 3]}, {INT8: [1, 2]}], [], [],
    )  # fmt: skip
    fp32 = times(dict.fromkeys(range(4), 5.0), {})
    int8 = times(dict.fromkeys(range(4), 2.0), {(OwnerKind.QUANTIZE, 0): 0.5, (OwnerKind.DEQUANTIZE, 4): 0.5})
    mixed = times({0: 5, 1: 2, 2: 2, 3: 5}, {(OwnerKind.QUANTIZE, 1): 0.1, (OwnerKind.DEQUANTIZE, 3): 0.3})

    def costs(fp32_s: float, int8_s: float, mixed_s: float) -> tuple[float, float]:
        rows = conversion_costs(plan, [fp32, int8, mixed], [fp32_s, int8_s, mixed_s])
        by_tensor = {(row.tensor, row.to): row.seconds for row in rows}
        return by_tensor["ab", INT8], by_tensor["cd", FP32]

    assert costs(20.0, 9.0, 14.4) == pytest.approx((0.1, 0.3))
    assert costs(20.0, 9.0, 15.2) == pytest.approx((0.3, 0.9))  # 0.8 more, by seconds of kernels
    # What no kernel accounts for in the models of one precision, units have in mixed ones, too.
    assert costs(22.0, 9.0, 15.4) == pytest.approx((0.1, 0.3))
    assert costs(20.0, 9.0, 1.0) == (0.0, 0.0)  # less than its units alone: nothing is cheaper than free


@given(
    unit_tensors(),
    st.dictionaries(st.integers(0, UNITS - 1), st.sampled_from([INT8, INT16, INT8_QOPERATOR])),
)
def test_operators_on_integers_switch_as_int8_does(tensors, mix):
    in_int8 = {unit: tensor_precision(precision) for unit, precision in mix.items()}
    assert conversions_of(tensors, mix) == conversions_of(tensors, in_int8)


@given(unit_tensors(), MIXES)
def test_a_unit_is_at_a_switch_where_it_computes_in_another_precision_than_the_tensor(tensors, mix):
    expected = {}
    for index, tensor in enumerate(tensors):
        sides = [tensor.producer, *tensor.consumers]
        used = {mix.get(unit, FP32) for unit in sides}
        precision = INT8 if INT8 in used else INT16 if INT16 in used else FP32
        if mix.get(tensor.producer, FP32) != precision:
            same = {unit for unit in tensor.consumers if mix.get(unit, FP32) == precision}
            expected[OwnerKind.QUANTIZE, precision, index] = {tensor.producer, *same} - {CALLER}
        if any(mix.get(unit, FP32) != precision for unit in tensor.consumers):
            other = {unit for unit in tensor.consumers if mix.get(unit, FP32) != precision}
            expected[OwnerKind.DEQUANTIZE, precision, index] = {tensor.producer, *other} - {CALLER}
    found = conversions_of(tensors, mix)
    assert {conversion: set(units) for conversion, units in found.items()} == expected


def test_a_switch_leads_from_fp32_and_back():
    there, back = (Conversion(kind, INT16, 0) for kind in (OwnerKind.QUANTIZE, OwnerKind.DEQUANTIZE))
    assert (there.source, there.to) == (FP32, INT16) == (back.to, back.source)
