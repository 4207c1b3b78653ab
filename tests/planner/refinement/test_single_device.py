from dataclasses import replace
from math import inf

import pytest
from hypothesis import given, settings
from oracle import choices, feasible, price
from small_problems import one_unit_away, small_problem
from strategies import problems

from planner.problem.cost_evaluation import evaluate, is_feasible
from planner.problem.placement_problem import Choice
from planner.problem.quantities import CostMetric, Limit, ObjectiveTerm, Quantity
from planner.refinement.single_device import single_device_rows
from planner.solver.solver_options import SolverOptions
from profiling.precision import Precision

OPTIONS = SolverOptions()
FREE = replace(
    small_problem(),
    limits=(),
    together=(),
    apart=(),
    objective=(ObjectiveTerm(Quantity(CostMetric.LATENCY)),),
)


def with_own_precisions(problem):
    """Return a problem whose precisions have names of the tool's own."""
    names = {f"p{kind}": precision.value for kind, precision in enumerate(Precision)}
    vertices = (
        replace(
            v, options=tuple(replace(o, precision=names.get(o.precision, o.precision)) for o in v.options)
        )
        for v in problem.vertices
    )
    return replace(problem, vertices=tuple(vertices))


def whole_on(problem, device: int) -> dict[str, Choice]:
    """Precision -> everything in it on a device, where all units have it."""
    terminals = [n for n, vertex in enumerate(problem.vertices) if vertex.is_terminal]
    precisions = {option.precision for vertex in problem.vertices for option in vertex.options}
    found = {}
    for precision in precisions:
        numbers = [
            0
            if v in terminals
            else next(
                (
                    o
                    for o, option in enumerate(vertex.options)
                    if (option.device, option.precision) == (device, precision)
                ),
                None,
            )
            for v, vertex in enumerate(problem.vertices)
        ]
        if None not in numbers:
            found[precision] = Choice(tuple(numbers))
    return found


def test_each_device_has_its_best_precision_as_enumeration_finds_it():
    rows = {row.device: row for row in single_device_rows(FREE, OPTIONS)}
    for number, device in enumerate(FREE.devices):
        costs = [evaluate(FREE, choice) for choice in whole_on(FREE, number).values()]
        possible = [cost.objective for cost in costs if is_feasible(FREE, cost)]
        if possible:
            assert rows[device.name].objective <= min(possible) * (1 + 1e-9)
            assert rows[device.name].broken == ()


@settings(max_examples=40, deadline=None)
@given(problems(max_units=3, max_devices=2))
def test_a_row_within_the_limits_is_the_best_of_all_mixtures_on_its_device(problem):
    problem = with_own_precisions(problem)
    rows = {row.device: row for row in single_device_rows(problem, OPTIONS)}
    least: dict[str, float] = {}
    for choice in choices(problem):
        pairs = zip(problem.vertices, choice.options, strict=True)
        on = {problem.physical_device(v.options[o].device) for v, o in pairs if not v.is_terminal}
        cost = price(problem, choice)
        if len(on) == 1 and feasible(problem, cost):
            name = problem.devices[on.pop()].name
            least[name] = min(cost.objective, least.get(name, inf))
    assert {name for name, row in rows.items() if not row.broken} == set(least)
    for name, objective in least.items():
        assert rows[name].objective == pytest.approx(objective, rel=2e-4, abs=1e-9)
        assert sum(rows[name].units.values()) == sum(not v.is_terminal for v in problem.vertices)


def test_a_budget_that_a_device_breaks_is_named():
    device = next(row.device for row in single_device_rows(FREE, OPTIONS))
    number = [one.name for one in FREE.devices].index(device)
    tight = replace(FREE, limits=(Limit(Quantity(CostMetric.MEMORY, number), 1e-9),))
    rows = {row.device: row for row in single_device_rows(tight, OPTIONS)}
    assert rows[device].broken == (f"memory of {device}",)
    memory = min(
        evaluate(tight, choice).memory_bytes[number]
        for choice in whole_on(FREE, number).values()
        if evaluate(tight, choice).objective == pytest.approx(rows[device].objective)
    )
    assert rows[device].exceeded_by == {f"memory of {device}": pytest.approx(memory / 1e-9 - 1)}
    assert rows[device].latency_s == pytest.approx(rows[device].objective)


def test_a_precision_that_keeps_the_budgets_comes_before_a_quicker_one_that_does_not():
    noisy = [
        replace(
            vertex,
            options=tuple(
                replace(option, noise_power=1.0 if option.precision != "fp32" else 0.0)
                for option in vertex.options
            ),
        )
        for vertex in FREE.vertices
    ]
    problem = replace(FREE, vertices=tuple(noisy), limits=(Limit(Quantity(CostMetric.NOISE), 0.5),))
    for row in single_device_rows(problem, OPTIONS):
        if not row.broken:
            assert row.precision == "fp32"


def test_a_device_that_a_tensor_crosses_to_may_encode_it():
    rows = {row.device: row for row in single_device_rows(one_unit_away(half_s=0.1), OPTIONS)}
    assert rows["d1"].latency_s == pytest.approx(0.3)


def test_wires_that_no_limit_allows_are_told_as_breaking_it():
    problem = replace(one_unit_away(half_s=0.1), limits=(Limit(Quantity(CostMetric.LATENCY), 0.05),))
    rows = {row.device: row for row in single_device_rows(problem, OPTIONS)}
    assert rows["d1"].broken == ("latency",)
    assert rows["d1"].broken_text == "latency by 500%"
    assert rows["d1"].latency_s == pytest.approx(0.3)


def test_noise_is_exceeded_as_a_relative_rms_and_a_limit_of_nothing_by_no_fraction():
    noisy = [
        replace(v, options=tuple(replace(o, noise_power=0.04) for o in v.options)) for v in FREE.vertices
    ]
    whole = sum(0.04 for _ in FREE.vertices)
    for at_most, found in ((whole / 4, {"noise": pytest.approx(1.0, rel=0.02)}), (0.0, {})):
        problem = replace(FREE, vertices=tuple(noisy), limits=(Limit(Quantity(CostMetric.NOISE), at_most),))
        for row in single_device_rows(problem, OPTIONS):
            if row.precision == "fp32":
                assert row.broken == ("noise",)
                assert row.exceeded_by == found
