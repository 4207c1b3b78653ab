"""The table of what the solver has to reach: every instance, beside CP-SAT of OR-tools if asked for.

Each solve runs in a process of its own. The table comes on stdout, progress on stderr.

  python benchmarks/solver_bars.py
  python benchmarks/solver_bars.py --list
  python benchmarks/solver_bars.py --only 'unet-*' 'period-chain-50x*' --cp-sat
  python benchmarks/solver_bars.py --only pipeline-48-50mbit --time-limit 20 --other-objectives
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf

from bar_instances import Instance, all_instances, named, with_objective
from own_process import alone
from rich.console import Console
from rich.table import Table

from planner.problem.cost_evaluation import evaluate
from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric, ObjectiveTerm, Quantity
from planner.solver.infeasibility import find_conflict
from planner.solver.solve import solve
from planner.solver.solver_options import SolverOptions

_SOON_S = 10.0  # within which every feasible problem is to have a plan
_CLOCK_S = 1.0  # how much later than its limit a solve may end: Python, and the end of a process
_PATIENCE = 4.0  # times a time limit, until a solve that does not end is killed
_START_S = 120.0  # to start a process and build the largest problem
_SAME = 1e-6  # relative: a difference of two objectives that does not count
_OTHERS = {"latency": CostMetric.LATENCY, "energy": CostMetric.ENERGY}


@dataclass(frozen=True, slots=True)
class Run:
    """What came of one solve.

    Parameters
    ----------
    answer
        Its status, or why there is none.
    objective, bound
        None without a plan, or a bound.
    seconds
        Of the solve, with the explanation if there is no plan; NaN if the process died.
    """

    answer: str
    objective: float | None = None
    bound: float | None = None
    seconds: float = float("nan")
    peak_mib: float = 0.0

    @property
    def gap(self) -> float:
        """Distance of objective and bound, as a fraction of the objective; infinite without a plan."""
        if self.objective is None or self.bound is None:
            return inf
        distance = max(0.0, self.objective - self.bound)
        return distance / self.objective if distance else 0.0


@dataclass(frozen=True, slots=True)
class Row:
    """An instance, and every solve of it; None for those that nobody asked for."""

    instance: Instance
    size: str
    own: Run
    soon: Run | None
    cp_sat: Run | None
    best_other: float | None = None  # objective of the best plan of another objective


def size_of(name: str) -> str:
    """Return units x devices x precisions of an instance."""
    problem = _built(name)
    units = [vertex for vertex in problem.vertices if not vertex.is_terminal]
    precisions = {option.precision for vertex in units for option in vertex.options}
    return f"{len(units)}x{len(problem.devices)}x{len(precisions)}"


def own_run(name: str, options: SolverOptions) -> Run:
    """Return what our solver makes of an instance; if there is no plan, with the explanation."""
    problem = _built(name)
    began = time.perf_counter()
    result = solve(problem, options)
    if result.choice is None:
        left_s = max(0.0, options.time_limit_s - (time.perf_counter() - began))
        find_conflict(problem, replace(options, time_limit_s=left_s))
    return Run(result.status.value, result.objective, result.bound, time.perf_counter() - began)


def cp_sat_run(name: str, options: SolverOptions) -> Run:
    """Return what CP-SAT makes of an instance, with two workers."""
    from cp_sat import solve_with_cp_sat

    answer = solve_with_cp_sat(_built(name), options.time_limit_s, options.gap)
    return Run(answer.status.value, answer.objective, answer.bound, answer.seconds)


def objective_of_other_plan(name: str, metric: CostMetric, options: SolverOptions) -> float | None:
    """Return what the plan of another objective costs by the instance's own; None without a plan."""
    problem = _built(name)
    other = solve(with_objective(problem, (ObjectiveTerm(Quantity(metric)),)), options)
    return None if other.choice is None else evaluate(problem, other.choice).objective


def _built(name: str) -> PlacementProblem:
    return named([name])[0].build()


def verdict(row: Row) -> str:
    """Return "met", or each thing that was missed."""
    return "; ".join(_missed(row)) or "met"


def _missed(row: Row) -> Iterator[str]:
    own, bar = row.own, row.instance.bar
    if bar.gap is None and own.answer != "infeasible":
        yield "not shown to be infeasible"
    if bar.gap is not None and own.gap > bar.gap:
        yield f"gap above {100 * bar.gap:g} %" if own.objective is not None else "no plan"
    if own.seconds > bar.seconds + _CLOCK_S:
        yield f"after {bar.seconds:g} s"
    if own.peak_mib > bar.peak_mib:
        yield f"above {bar.peak_mib:g} MiB"
    if row.soon is not None and (row.soon.objective is None or row.soon.seconds > _SOON_S + _CLOCK_S):
        yield f"no plan in {_SOON_S:g} s"
    if row.cp_sat is not None:
        yield from _worse_than(row.cp_sat, own)
    if row.best_other is not None and _is_above(own.objective, row.best_other):
        yield f"another objective's plan has {row.best_other:.6g}"


def _worse_than(other: Run, own: Run) -> Iterator[str]:
    if other.objective is not None and _is_above(own.objective, other.objective):
        yield "CP-SAT's plan is better"
    # An optimal answer is as close to its bound as it was asked to be.
    if own.answer != "optimal" and other.bound is not None and _is_above(other.bound, own.bound):
        yield "CP-SAT's bound is better"
    if other.answer == "infeasible" != own.answer:
        yield "infeasible for CP-SAT"
    if own.answer == "infeasible" and other.objective is not None:
        yield "CP-SAT has a plan"


def _is_above(number: float | None, other: float | None) -> bool:
    """Return whether one is clearly above another; None is above all as a plan, and below all as a bound."""
    if number is None or other is None:
        return number is None
    return number > other * (1 + _SAME)


class _Solves:
    """The solves of a row, each in a process of its own; one that fails becomes a run without a plan."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments

    def row(self, instance: Instance) -> Row:
        limit_s = self._arguments.time_limit or instance.bar.seconds
        options = SolverOptions("highs", limit_s, self._arguments.gap)
        size, _ = alone(size_of, instance.name)
        own = self._run(own_run, instance, options)
        soon = None
        if instance.bar.gap is not None and not self._arguments.no_soon:
            is_soon = own.objective is not None and own.seconds <= _SOON_S
            soon = own if is_soon else self._run(own_run, instance, replace(options, time_limit_s=_SOON_S))
        cp_sat = self._run(cp_sat_run, instance, options) if self._arguments.cp_sat else None
        return Row(instance, str(size), own, soon, cp_sat, self._best_other(instance, options))

    def _run(self, work: Callable[..., object], instance: Instance, options: SolverOptions) -> Run:
        _say(f"{instance.name}: {work.__name__}, {options.time_limit_s:g} s")
        began = time.perf_counter()
        try:
            run, peak = alone(work, instance.name, options, at_most_s=_patience_s(options))
        except Exception as exc:  # noqa: BLE001  whatever it is, the other rows are wanted
            text = " ".join(str(exc).split())
            return Run(f"{type(exc).__name__}: {text}", seconds=time.perf_counter() - began)
        return replace(run, peak_mib=peak)  # type: ignore[type-var]

    def _best_other(self, instance: Instance, options: SolverOptions) -> float | None:
        if not self._arguments.other_objectives or instance.bar.row not in ("period", "makespan", "pipeline"):
            return None
        found = []
        for word, metric in _OTHERS.items():
            _say(f"{instance.name}: plan of least {word}")
            try:
                objective, _ = alone(
                    objective_of_other_plan, instance.name, metric, options, at_most_s=_patience_s(options)
                )
            except Exception as exc:  # noqa: BLE001  then there is nothing to compare with
                _say(f"{instance.name}: {exc}")
                continue
            found += [] if objective is None else [objective]
        return min(found, default=None)


def _patience_s(options: SolverOptions) -> float:
    return _START_S + _PATIENCE * options.time_limit_s


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def table_of(rows: Sequence[Row]) -> Table:
    """Return the table."""
    table = Table(title=f"solver bars ({os.cpu_count()} cores)", title_justify="left")
    columns = [
        "row",
        "instance",
        "units x devices x precisions",
        "status",
        "objective",
        "bound",
        "gap %",
        "s",
        "MiB",
    ]
    columns.append("plan in 10 s")
    with_cp_sat = any(row.cp_sat is not None for row in rows)
    columns += ["CP-SAT", "objective", "bound", "gap %", "s", "MiB"] if with_cp_sat else []
    for column in (*columns, "verdict"):
        table.add_column(column, justify="left" if column in ("row", "instance", "verdict") else "right")
    for row in rows:
        cells = [row.instance.bar.row, row.instance.name, row.size, *_cells(row.own)]
        cells.append("" if row.soon is None else _number(row.soon.objective))
        cells += _cells(row.cp_sat) if row.cp_sat is not None else [""] * (6 if with_cp_sat else 0)
        table.add_row(*cells, verdict(row))
    return table


def _cells(run: Run) -> list[str]:
    gap = "" if run.gap == inf else f"{100 * run.gap:.3f}"
    effort = f"{run.seconds:.1f}", f"{run.peak_mib:.0f}"
    return [run.answer, _number(run.objective), _number(run.bound), gap, *effort]


def _number(number: float | None) -> str:
    return "none" if number is None else f"{number:.6g}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="instances; `period-*` is several"
    )
    parser.add_argument("--list", action="store_true", help="print the names, and end")
    parser.add_argument(
        "--time-limit", type=float, metavar="S", help="of each solve; otherwise the bar's own"
    )
    parser.add_argument("--gap", type=float, default=1e-4, help="at which a solve may end (default: 1e-4)")
    parser.add_argument("--cp-sat", action="store_true", help="solve with CP-SAT, too: `pip install ortools`")
    parser.add_argument("--no-soon", action="store_true", help="leave out the solves of 10 s")
    parser.add_argument(
        "--other-objectives", action="store_true", help="compare with the plans of least latency and energy"
    )
    arguments = parser.parse_args()
    if arguments.time_limit is not None and not arguments.time_limit > 0:
        parser.error("--time-limit must be > 0")
    try:
        arguments.instances = named(arguments.only)
    except ValueError as exc:
        parser.error(str(exc))
    return arguments


def main() -> None:
    """Print the table, or the names."""
    arguments = _arguments()
    if arguments.list:
        print("\n".join(instance.name for instance in all_instances()))
        return
    solves = _Solves(arguments)
    rows = []
    for instance in arguments.instances:
        rows.append(solves.row(instance))
        _say(f"{instance.name}: {verdict(rows[-1])}")
    width = None if sys.stdout.isatty() else 260
    Console(highlight=False, width=width).print(table_of(rows))


if __name__ == "__main__":
    main()
