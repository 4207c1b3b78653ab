from math import inf

import oracle
import pytest
from hypothesis import given, settings
from strategies import problems

from planner.problem.quantities import CostMetric, Quantity
from planner.solver.single_precision import uniform_precision_plans
from planner.solver.solver_options import SolverOptions

NOISE = Quantity(CostMetric.NOISE)


def enumerated(problem, precision: str) -> float:
    """Return the least objective of the choices with a precision wherever a unit has it."""
    own = [
        {option.precision for option in vertex.options} & {precision}
        or {option.precision for option in vertex.options}
        for vertex in problem.vertices
    ]
    choices = [
        choice
        for choice in oracle.choices(problem)
        if all(
            vertex.options[o].precision in wanted
            for vertex, o, wanted in zip(problem.vertices, choice.options, own, strict=True)
        )
    ]
    prices = [oracle.price(problem, choice) for choice in choices]
    return min((one.objective for one in prices if oracle.feasible(problem, one)), default=inf)


@settings(max_examples=25, deadline=None)
@given(problems(max_units=4))
def test_they_are_the_best_of_each_precision(problem):
    free = problem.with_limit(NOISE, None)
    found = uniform_precision_plans(free, SolverOptions(gap=1e-9))
    units = [vertex for vertex in free.vertices if not vertex.is_terminal]
    precisions = {option.precision for vertex in units for option in vertex.options}
    wanted = {enumerated(free, precision) for precision in precisions} - {inf}
    objectives = [result.objective for result in found]
    assert objectives == sorted(objectives)
    for value in wanted:
        assert any(abs(value - one) <= 1e-6 * value + 1e-9 for one in objectives)
    for result in found:
        price = oracle.price(free, result.choice)
        assert oracle.feasible(free, price)
        assert result.objective == pytest.approx(price.objective, rel=1e-6, abs=1e-9)
