import msgspec
import pytest
from made_records import made_plan

from planner.plan.plan_record import Objective, SingleDevice
from planner.report.single_device_text import against_single_device, best_single_device
from profiling.precision import Precision


def row(device: str, objective: float, *broken: str) -> SingleDevice:
    return SingleDevice(
        device=device, precision=Precision.INT8, objective=objective, latency_s=objective, broken=broken
    )


def plan_of(value: float, *rows: SingleDevice, name: str = "latency", **changes):
    objective = Objective(name=name, value=value, bound=value, gap=0.0)
    return msgspec.structs.replace(made_plan(), objective=objective, single_device=rows, **changes)


def test_the_best_device_is_the_cheapest_of_those_that_keep_the_budgets():
    plan = plan_of(0.01, row("a", 0.001, "memory of a"), row("b", 0.03), row("c", 0.021))
    assert best_single_device(plan).device == "c"
    assert against_single_device(plan) == "2.1 times faster than c alone, in int8"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("period", "2 times more requests per second than a alone, in int8"),
        ("energy", "50% of a alone, in int8"),
    ],
)
def test_the_words_are_those_of_the_objective(name, text):
    assert against_single_device(plan_of(1.0, row("a", 2.0), name=name)) == text


def test_a_plan_that_gains_nothing_says_so():
    assert against_single_device(plan_of(1.0, row("a", 1.0))) == "no better than a alone, in int8"


def test_where_no_device_keeps_the_budgets_that_is_said():
    assert against_single_device(plan_of(1.0, row("a", 0.5, "noise"))) == "no device keeps the budgets alone"


def all_on(device: str, *rows: SingleDevice, **changes):
    plan = plan_of(1.0, *rows, **changes)
    assignments = tuple(msgspec.structs.replace(a, device=device) for a in plan.assignments)
    return msgspec.structs.replace(plan, assignments=assignments, cuts=())


@pytest.mark.parametrize(
    ("rows", "changes", "text"),
    [
        ([row("a", 1.4)], {}, "all on a, no split is better; 1.4 times faster than in int8 throughout"),
        ([row("a", 1.0)], {}, "all on a, no split is better"),
        ([row("a", 1.0, "noise")], {"status": "feasible"}, "all on a, no better split was found"),
        ([row("b", 2.0)], {}, "all on a, no split is better; 2 times faster than on b alone"),
        ([row("a", 1.4)], {"quantization": {"a": "int8"}}, "1.4 times faster than a alone, in int8"),
    ],
)
def test_a_plan_that_splits_nothing_says_so(rows, changes, text):
    assert against_single_device(all_on("a", *rows, **changes)) == text


def test_nothing_is_said_of_what_is_not_known():
    assert against_single_device(plan_of(1.0)) == ""
