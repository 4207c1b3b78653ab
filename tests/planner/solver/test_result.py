import pytest

from planner.problem.placement_problem import Choice
from planner.solver.result import SolveResult, SolveStatus, replace_choice


def result(objective, bound, status=SolveStatus.OPTIMAL) -> SolveResult:
    return SolveResult(status, Choice((0,)), objective, bound, 1.0, "highs", 5, 6)


@pytest.mark.parametrize(
    ("objective", "bound", "gap"),
    [
        (4.0, 3.0, 0.25),
        (4.0, 4.0, 0.0),
        (4.0, 4.1, 0.0),
        (0.0, 0.0, 0.0),
        (None, None, None),
        (4.0, None, None),
    ],
)
def test_the_gap_is_the_relative_distance_of_bound_and_objective(objective, bound, gap):
    assert result(objective, bound).gap == gap


def test_another_choice_keeps_the_bound_that_was_proved_and_is_called_by_its_gap():
    other = Choice((1,))
    near = replace_choice(result(4.0, 3.9999), other, 4.0)
    assert (near.choice, near.objective, near.bound, near.status) == (other, 4.0, 3.9999, SolveStatus.OPTIMAL)
    far = replace_choice(result(4.0, 3.9999), other, 5.0)
    assert (far.bound, far.status) == (3.9999, SolveStatus.FEASIBLE)
    assert far.gap == pytest.approx(1.0001 / 5)
    below = replace_choice(result(4.0, 3.9999), other, 3.5)  # under other costs than were solved for
    assert (below.bound, below.status) == (3.5, SolveStatus.OPTIMAL)
    unproved = replace_choice(result(4.0, None), other, 4.0)
    assert (unproved.bound, unproved.status) == (4.0, SolveStatus.OPTIMAL)
