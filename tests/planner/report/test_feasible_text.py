import msgspec
import pytest
from made_records import SCENARIO, made_plan

from planner.plan.plan_record import Objective, Tie
from planner.report.feasible_text import title_status, why_feasible


def plan_of(gap: float | None, runtime_s: float = 1.0, status: str = "feasible", **changes):
    plan = made_plan(scenario=SCENARIO | {"solver": {"time_limit_s": 9, "gap": 0.01}})
    return msgspec.structs.replace(
        plan,
        status=status,
        objective=Objective(name="latency", value=1.0, bound=None, gap=gap),
        solver=msgspec.structs.replace(plan.solver, runtime_s=runtime_s),
        **changes,
    )


@pytest.mark.parametrize(
    ("plan", "text"),
    [
        (plan_of(0.5, 9.0), "solver.time_limit_s, 9 s, ended the search"),
        (plan_of(0.005), "solver.gap, 0.01, ended the search"),
        (plan_of(0.014), "it is the best of the plans that were built and tried out"),
        (plan_of(0.014, loop=()), "the solver ended with this gap"),
    ],
)
def test_what_left_the_gap_open_is_named(plan, text):
    assert why_feasible(plan).startswith(text)


def test_a_proved_plan_needs_no_reason():
    assert why_feasible(plan_of(0.0, status="optimal")) == ""
    assert why_feasible(plan_of(None)) == ""


def test_a_tie_is_told_instead_of_other_reasons():
    tie = Tie(gap=0.0018, resolution=0.003, changes=6)
    assert why_feasible(plan_of(0.0018, tie=tie)) == (
        "a tie: another plan may be better by 0.18%, which the costs cannot tell (0.3%); of such plans the "
        "simplest is taken, with 6 changes of precision or device"
    )


def test_a_title_says_that_a_plan_is_tied():
    assert title_status(plan_of(0.0018, tie=Tie(gap=0.0018, resolution=0.003, changes=6))) == "tied for best"
    assert title_status(plan_of(0.0018)) == "feasible"
