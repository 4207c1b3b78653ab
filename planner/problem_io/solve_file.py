"""The flow of `plan solve`: PROBLEM.json -> problem -> solve -> answer, with a conflict if there is none."""

import logging
import time
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

from planner.errors import OutOfTimeError, SolverError, UsageError
from planner.problem_io.doubtful_parts import doubtful_parts
from planner.problem_io.loader import joint_problem_of, load_spec, problem_of, solver_options
from planner.problem_io.schema import ProblemSpec
from planner.problem_io.solution import Answer, answer_of, answer_of_several, as_ended_by_time
from planner.process_memory import peak_mib
from planner.solver.backends import SOLVER_NAMES
from planner.solver.infeasibility import find_conflict
from planner.solver.solve import solve
from planner.solver.solver_options import Clock, SolverOptions

_LOG = logging.getLogger(__name__)
_WRITING_SHARE = 0.25  # of the seconds that reading took: so many are kept to write the answer
_LATE_SHARE = 0.5  # of the time limit: who stops earlier with a gap has another reason
_LEAST_SHARE = 0.1  # of the time limit, for the solve: a short limit, too, is to find what is soon found


@dataclass(frozen=True, slots=True)
class SolverChanges:
    """Solver options in place of those in the file; None where the file's stay."""

    name: str | None = None
    time_limit_s: float | None = None
    gap: float | None = None

    def applied_to(self, options: SolverOptions) -> SolverOptions:
        """Return options with the changes.

        Raises
        ------
        UsageError
            If there is no such solver, or a number is out of range.
        """
        if self.name is not None and self.name not in SOLVER_NAMES:
            raise UsageError(f"--solver {self.name}: must be one of {', '.join(SOLVER_NAMES)}")
        if self.time_limit_s is not None and not 0 < self.time_limit_s < inf:
            finite = ", and finite" if self.time_limit_s == inf else ""
            raise UsageError(f"--time-limit-s {self.time_limit_s:g}: must be seconds > 0{finite}")
        if self.gap is not None and not 0 <= self.gap < 1:
            raise UsageError(f"--gap {self.gap:g}: must be a fraction >= 0 and < 1, such as 0.01")
        return SolverOptions(
            self.name or options.name,
            options.time_limit_s if self.time_limit_s is None else self.time_limit_s,
            options.gap if self.gap is None else self.gap,
        )


def solve_file(
    path: Path,
    changes: SolverChanges,
    clock: Clock = time.perf_counter,
    began: float | None = None,
) -> Answer:
    """Solve the problem of a file, as `solve_spec` does; reading it is within the time limit, too.

    Raises
    ------
    ProblemError
        If the file is no problem.
    SolverError
        If the solver ran out of time without an answer.
    """
    reading = clock()
    began = reading if began is None else began
    return solve_spec(load_spec(path), changes, clock, began, reading)


def solve_spec(
    spec: ProblemSpec,
    changes: SolverChanges,
    clock: Clock = time.perf_counter,
    began: float | None = None,
    reading: float | None = None,
) -> Answer:
    """Solve a problem; if no answer keeps its limits, say which of them cannot hold together.

    What is right but seldom meant, such as a unit without tensors, is logged as a warning.

    The time limit bounds all: reading, the solve, the explanation with what that leaves, and writing.

    Parameters
    ----------
    clock
        Returns seconds. Where it jumps ahead, the best answer so far is returned.
    began, reading
        When the time, and reading the problem, began; by default now.

    Raises
    ------
    SolverError
        If the solver ran out of time without an answer.
    """
    reading = clock() if reading is None else reading
    began = reading if began is None else began
    options = changes.applied_to(solver_options(spec))
    for doubt in doubtful_parts(spec):
        _LOG.warning("%s", doubt)
    joint = joint_problem_of(spec) if spec.models else None
    problem = joint.problem if joint else problem_of(spec)
    writing_s = _WRITING_SHARE * (clock() - reading)
    left_s = began + options.time_limit_s - writing_s - clock()
    in_time = replace(options, time_limit_s=max(left_s, _LEAST_SHARE * options.time_limit_s))
    try:
        result = solve(problem, in_time, clock=clock)
    except OutOfTimeError as exc:
        text = f"{exc.what} of {options.time_limit_s:g} s"
        raise SolverError(f"{text}; give more with --time-limit-s") from exc
    conflict = None
    if result.choice is None:
        left = replace(in_time, time_limit_s=max(0.0, in_time.time_limit_s - result.runtime_s))
        conflict = find_conflict(problem, left, clock)
    is_late = clock() - began >= _LATE_SHARE * options.time_limit_s
    if joint is not None:
        answer = answer_of_several(joint, result, spec.requests_per_s, peak_mib(), conflict)
    else:
        answer = answer_of(problem, result, peak_mib(), conflict)
    is_open = result.choice is not None and (result.gap is None or result.gap > options.gap)
    return as_ended_by_time(answer) if is_open and is_late else answer
