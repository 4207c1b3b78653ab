"""Which precisions are left out, against every pair by itself."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.devices.dominated_precisions import ALWAYS, WholeModelCosts, dominated_precisions
from profiling.precision import Precision

ALL = (0, 1, 2)
EXACT = WholeModelCosts(Precision.FP32, ALL, 1.0, 0.0, 0.0, 4, 4)
few = st.sampled_from


def costs(precision: Precision, **changes) -> WholeModelCosts:
    base = {
        "units": ALL,
        "ratio": 1.0,
        "margin": 0.02,
        "noise_power": 1.0,
        "weight_bytes": 4,
        "wire_bytes": 4,
    }
    return WholeModelCosts(precision, **(base | changes))


@st.composite
def tables(draw) -> list[WholeModelCosts]:
    chosen = draw(st.lists(few([p for p in Precision if p is not Precision.FP32]), unique=True))
    rows = [
        costs(
            precision,
            units=draw(few([(0,), ALL])),
            ratio=draw(few([0.2, 0.5, 0.9, 1.0, 1.1, 2.0, 3.0])),
            margin=draw(few([0.0, 0.01, 0.05, 0.25, 0.6])),
            noise_power=draw(few([0.0, 0.1, 1.0])),
            weight_bytes=draw(few([1, 2, 4, 5])),
            wire_bytes=draw(few([1, 2, 4])),
        )
        for precision in chosen
    ]
    return draw(st.permutations([EXACT, *rows]))


def is_no_worse(one: WholeModelCosts, other: WholeModelCosts) -> bool:
    pairs = ((one.noise_power, other.noise_power), (one.weight_bytes, other.weight_bytes))
    shows_nothing = one.noise_power == other.noise_power == 0 and one.precision is not Precision.FP32
    return not shows_nothing and all(a <= b for a, b in (*pairs, (one.wire_bytes, other.wire_bytes)))


def is_another_notation(one: WholeModelCosts, table: list[WholeModelCosts]) -> bool:
    """Say that it has the numbers of another, which is as fast."""
    lower = one.ratio * (1 - one.margin)
    same = [o for o in table if o.precision is one.precision.numbers and o is not one]
    return any(lower >= o.ratio * (1 + o.margin) * (1 - 0.05) for o in same)


def is_left_out(one: WholeModelCosts, table: list[WholeModelCosts]) -> bool:
    """Say it in the words of the reference: it saves less than 5 % and nothing else, or another is better."""
    if one.precision in ALWAYS:
        return False
    lower = one.ratio * (1 - one.margin)
    if lower >= 1 - 0.05 and is_no_worse(EXACT, one):
        return True
    if is_another_notation(one, table):
        return True
    rivals = [
        o
        for o in table
        if o.units == one.units and o.precision is not Precision.FP32 and not is_another_notation(o, table)
    ]
    return any(o.ratio * (1 + o.margin) * 1.05 < lower and is_no_worse(o, one) for o in rivals)


@given(tables())
def test_what_is_left_out_is_what_the_rule_says_of_each_pair(table):
    assert set(dominated_precisions(table)) == {o.precision for o in table if is_left_out(o, table)}


@given(tables())
def test_what_dominates_stays_and_is_no_worse(table):
    by_precision = {one.precision: one for one in table}
    found = dominated_precisions(table)
    for worse, better in found.items():
        assert better not in found
        if worse.numbers is better:  # another notation
            continue
        assert is_no_worse(by_precision[better], by_precision[worse])
        if better is not Precision.FP32:
            assert by_precision[better].slowest < by_precision[worse].fastest


@given(tables(), st.randoms())
def test_the_order_does_not_matter(table, random):
    other = list(table)
    random.shuffle(other)
    assert dominated_precisions(other) == dominated_precisions(table)


@given(tables())
def test_without_what_is_left_out_nothing_more_is(table):
    found = dominated_precisions(table)
    assert not dominated_precisions([one for one in table if one.precision not in found])


@pytest.mark.parametrize(
    ("changes", "better"),
    [
        ({"ratio": 3.0}, Precision.FP32),
        ({"ratio": 3.0, "weight_bytes": 1}, None),
        ({"ratio": 3.0, "wire_bytes": 2}, None),
        ({"ratio": 0.98}, Precision.FP32),  # by less than 5 %
        ({"ratio": 0.98, "margin": 0.04}, None),  # perhaps by more
        ({"ratio": 1.1, "margin": 0.25}, None),
        ({"ratio": 3.0, "margin": 0.25}, Precision.FP32),
        ({"ratio": 0.8}, None),
    ],
)
def test_a_slow_precision_stays_for_its_weights_or_its_bytes_on_links(changes, better):
    found = dominated_precisions([EXACT, costs(Precision.INT16, **changes)])
    assert found.get(Precision.INT16) is better


def test_two_precisions_without_an_error_on_few_samples_both_stay():
    """As where the outputs are class indices: that few of them flipped says nothing."""
    fast = costs(Precision.INT8, ratio=0.5, noise_power=0.0, weight_bytes=1, wire_bytes=1)
    slow = costs(Precision.INT16, ratio=0.8, noise_power=0.0, weight_bytes=1, wire_bytes=2)
    assert dominated_precisions([EXACT, fast, slow]) == {}
    noisy = replace(slow, noise_power=0.1)
    assert dominated_precisions([EXACT, fast, noisy]) == {Precision.INT16: Precision.INT8}


def test_fp32_and_int8_are_never_left_out():
    worst = costs(Precision.INT8, ratio=9.0, noise_power=9.0, weight_bytes=9, wire_bytes=9)
    better = costs(Precision.INT16, ratio=0.1, noise_power=0.0, weight_bytes=0, wire_bytes=0)
    assert dominated_precisions([EXACT, worst, better]) == {}
