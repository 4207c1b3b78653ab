"""CP-SAT's model says the same as brute force, or says what it does not state."""

from dataclasses import replace

import oracle
import pytest
from hypothesis import assume, given, settings
from small_problems import small_problem, two_devices_with_one_to_return_to
from strategies import problems

from planner.problem.cost_evaluation import evaluate
from planner.problem.quantities import CostMetric, Limit, ObjectiveTerm, Quantity

pytest.importorskip("ortools", reason="ortools is not here: it cannot be installed beside the extra qat")

from cp_sat import CpSatStatus, solve_with_cp_sat
from cp_sat_placement import NotModelledError

METRICS = [metric for metric in CostMetric if metric is not CostMetric.MEMORY]


def without_wires(problem):
    flows = tuple(replace(flow, forms=flow.forms[: len(flow.noise_power)]) for flow in problem.flows)
    return replace(problem, flows=flows)


def without_blocking(problem):
    """Return the problem with devices whose makespan is stated: transfers block none."""
    return replace(
        problem, devices=tuple(replace(device, transfers_block=False) for device in problem.devices)
    )


def asks_for_makespan(problem) -> bool:
    return any(quantity.metric is CostMetric.MAKESPAN for quantity in problem.quantities)


def check(problem):
    if asks_for_makespan(problem):
        problem = without_blocking(problem)
    answer, best = solve_with_cp_sat(problem, 20.0, 0.0, workers=1), oracle.best(problem)
    if best is None:
        # Rounded down, costs may be within a limit that they exceed by the last digits.
        assert answer.objective is None
        return
    assert answer.status is CpSatStatus.OPTIMAL
    assert answer.objective == pytest.approx(best, rel=1e-6, abs=1e-12)
    assert answer.bound <= best * (1 + 1e-9) + 1e-12
    # What a source or a sink switches where no unit runs is not stated: its makespan is a bound only.
    assert asks_for_makespan(problem) or answer.bound >= best * (1 - 1e-5) - 1e-9
    assert evaluate(problem, answer.choice).objective == answer.objective


@settings(max_examples=40, deadline=None)
@given(problems(max_units=4, extras=False))
def test_its_optimum_and_bound_are_those_of_brute_force(problem):
    check(problem)


@settings(max_examples=20, deadline=None)
@given(problems(max_units=3))
def test_devices_that_are_visited_again_are_stated_too(problem):
    problem = without_wires(problem)
    assume(len({device.contiguous for device in problem.devices}) == 1)
    returned_to = any(device.visit_of is not None or not device.contiguous for device in problem.devices)
    assume(not (returned_to and asks_for_makespan(problem)))
    check(problem)


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_can_be_minimised_with_every_limit_set(metric):
    check(replace(without_wires(small_problem()), objective=(ObjectiveTerm(Quantity(metric), 2.0),)))


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_can_be_limited(metric):
    problem = replace(without_wires(small_problem()), limits=(), together=(), apart=())
    problem = without_blocking(problem) if metric is CostMetric.MAKESPAN else problem
    free = solve_with_cp_sat(replace(problem, objective=(ObjectiveTerm(Quantity(metric)),)), 20.0, 0.0, 1)
    least = evaluate(problem, free.choice).value(Quantity(metric))
    for at_most in (least * 1.01, least * 0.99 - 1e-6):
        if at_most >= 0:
            check(replace(problem, limits=(Limit(Quantity(metric), at_most),)))


@pytest.mark.parametrize("metric", METRICS)
def test_what_stages_lose_at_their_cuts_counts(metric):
    problem = replace(without_wires(small_problem()), limits=(), together=(), apart=(), objective=())
    first, *others = ([o.device == 0 for o in vertex.options] for vertex in problem.vertices)
    keep = [[o for o, here in enumerate(first) if here]]
    keep += [[o for o, here in enumerate(row) if not here] or [0] for row in others]
    check(replace(problem.with_options(keep), objective=(ObjectiveTerm(Quantity(metric)),)))


def test_what_it_does_not_state_is_refused_by_name():
    with pytest.raises(NotModelledError, match="wires"):
        solve_with_cp_sat(small_problem(), 1.0, 0.0)
    with pytest.raises(NotModelledError, match="returned to"):
        solve_with_cp_sat(two_devices_with_one_to_return_to(), 1.0, 0.0)
    blocked = replace(
        without_wires(small_problem()), objective=(ObjectiveTerm(Quantity(CostMetric.MAKESPAN)),)
    )
    with pytest.raises(NotModelledError, match="makespans of devices that transfers block"):
        solve_with_cp_sat(blocked, 1.0, 0.0)
