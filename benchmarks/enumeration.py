"""Random small problems, solved and enumerated: how many answers are wrong in status, objective or bound.

Every objective and limit that the tests draw, in units of cost of any size: seconds from 1e-9 to 1e6, bytes
from 1 to 1e15, noise, energy and money likewise, all at once. Needs the extra `test`.

  python benchmarks/enumeration.py 20000
  python benchmarks/enumeration.py 2000 --solver cbc --seed 7
"""

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, reject, seed, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.progress import track
from rich.table import Table

from planner.errors import ProblemError, SolverError
from planner.problem.placement_problem import PlacementProblem
from planner.solver.presolve.unit_scaling import Units, in_units
from planner.solver.result import SolveStatus
from planner.solver.solve import solve
from planner.solver.solver_options import SolverOptions

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))
import oracle
from strategies import problems

_RIGHT, _NO_ANSWER, _NOT_PROVED = "right", "no answer", "right, but not proved"
_BATCH = 500  # problems that one strategy draws
_SAME = 1e-6  # relative


def _powers_of_ten(least: int, most: int) -> st.SearchStrategy[float]:
    return st.integers(least, most).map(lambda power: 10.0**power)


_UNITS = st.builds(
    Units,
    seconds=_powers_of_ten(-6, 9),  # what divides: seconds become 1e9 to 1e-6 times as many
    held_bytes=_powers_of_ten(-12, 3),
    sent_bytes=_powers_of_ten(-12, 3),
    noise_power=_powers_of_ten(-6, 6),
    joules=_powers_of_ten(-6, 6),
    money=_powers_of_ten(-6, 6),
)


def answer_of(problem: PlacementProblem, best: float | None, solver: str) -> str:
    """Return what an answer is, where the least objective of all plans is known; None if there is no plan."""
    try:
        result = solve(problem, SolverOptions(solver))
    except SolverError:
        return _NO_ANSWER
    if best is None:
        return _RIGHT if result.status is SolveStatus.INFEASIBLE else "WRONG: a plan where there is none"
    if result.choice is None or result.objective is None or result.bound is None:
        return "WRONG: infeasible where there is a plan"
    allowed = _SAME * abs(best) + 1e-12
    if result.bound > best + allowed:
        return "WRONG: bound above the best plan"
    if result.objective < best - allowed:
        return "WRONG: objective below the best plan's"
    if not oracle.feasible(problem, oracle.price(problem, result.choice)):
        return "WRONG: a plan that breaks a limit"
    if result.status is SolveStatus.OPTIMAL:
        return _RIGHT if result.objective <= best + 1e-5 * abs(best) else "WRONG: optimal, and it is not"
    return _NOT_PROVED


def count_answers(count: int, solver: str, first_seed: int) -> Counter[str]:
    """Return how many answers there are of each kind; a wrong one is printed with its problem."""
    counts: Counter[str] = Counter()

    def one(problem: PlacementProblem, units: Units) -> None:
        try:
            scaled = in_units(problem, units)
        except ProblemError:
            reject()  # larger numbers than a problem may hold
        answer = answer_of(scaled, oracle.best(problem), solver)
        counts[answer] += 1
        if answer.startswith("WRONG"):
            print(f"{answer}\n{scaled!r}", flush=True)

    batches = [min(_BATCH, count - done) for done in range(0, count, _BATCH)]
    progress = Console(stderr=True)
    for number, size in enumerate(track(batches, "problems", console=progress)):
        drawn = settings(
            max_examples=size,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        seed(first_seed + number)(drawn(given(problems(), _UNITS)(one)))()
    return counts


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("count", type=int, help="of problems")
    parser.add_argument("--solver", default="highs", choices=("highs", "cbc"))
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    began = time.perf_counter()
    counts = count_answers(arguments.count, arguments.solver, arguments.seed)
    seconds = time.perf_counter() - began
    title = f"{counts.total()} problems, {arguments.solver}, seed {arguments.seed}, {seconds:.0f} s"
    table = Table("answer", "problems", title=title, title_justify="left")
    for answer, number in sorted(counts.items()):
        table.add_row(answer, str(number))
    Console(width=100).print(table)
    sys.exit(any(answer.startswith("WRONG") for answer in counts))


if __name__ == "__main__":
    main()
