"""The instances that the solver is held to, by name, each with what it has to reach.

python benchmarks/bar_instances.py FOLDER [NAME...]

writes them to FOLDER as pickles, with a list. A NAME may stand for several: `period-*`.
"""

import pickle
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

import network_shapes
from instances import random_problem, with_four_precisions, with_watts
from network_costs import LOOSE, TIGHT, infeasible_problem, network_problem
from pipeline_hosts import pipeline_problem

from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric, ObjectiveTerm, Quantity

_SEED = 20
_LATENCY, _ENERGY, _PERIOD, _MAKESPAN = (
    (ObjectiveTerm(Quantity(metric)),)
    for metric in (CostMetric.LATENCY, CostMetric.ENERGY, CostMetric.PERIOD, CostMetric.MAKESPAN)
)
# A second counts as much as 10 J: both matter on the devices of these problems.
_WEIGHTED = (*_LATENCY, ObjectiveTerm(Quantity(CostMetric.ENERGY), 0.1))
_SUMS = {"latency": _LATENCY, "energy": _ENERGY, "weighted": _WEIGHTED}


@dataclass(frozen=True, slots=True)
class Bar:
    """What a row has to reach: a gap within seconds and MiB; a gap of None: that it is infeasible."""

    row: str
    gap: float | None
    seconds: float
    peak_mib: float = 4096.0


@dataclass(frozen=True, slots=True)
class Instance:
    """A problem by name, built when it is needed."""

    name: str
    bar: Bar
    build: Callable[[], PlacementProblem]


_LARGE = Bar("large", 0.01, 120.0)
_WEAK = Bar("weak relaxation", 0.02, 60.0)
_PERIODS = Bar("period", 0.01, 60.0)
_MAKESPANS = Bar("makespan", 0.05, 60.0)
_PIPELINES = Bar("pipeline", 0.01, 60.0)
_INFEASIBLE = Bar("infeasible", None, 60.0)


def all_instances() -> tuple[Instance, ...]:
    """Return every instance, in the order of the table."""
    return (*_large(), *_weak(), *_overlapping(), *_pipelines(), *_infeasible())


def named(patterns: list[str]) -> tuple[Instance, ...]:
    """Return the instances whose names match one of some patterns; all of them if there are none.

    Raises
    ------
    ValueError
        If a pattern matches none.
    """
    instances = all_instances()
    for pattern in patterns:
        if not any(fnmatchcase(instance.name, pattern) for instance in instances):
            raise ValueError(f"no instance is called {pattern!r}: {', '.join(one.name for one in instances)}")
    return tuple(
        one
        for one in instances
        if not patterns or any(fnmatchcase(one.name, pattern) for pattern in patterns)
    )


def with_objective(problem: PlacementProblem, objective: tuple[ObjectiveTerm, ...]) -> PlacementProblem:
    """Return the problem with another objective."""
    return replace(problem, objective=objective)


def _large() -> Iterator[Instance]:
    for units, devices, precisions in ((1000, 6, 4), (2000, 6, 4), (5000, 6, 2), (10_000, 3, 2)):
        for word, objective in _SUMS.items():
            name = f"large-{units}x{devices}x{precisions}-{word}"
            yield Instance(name, _LARGE, partial(_large_problem, units, devices, precisions, objective))


def _large_problem(
    units: int, devices: int, precisions: int, objective: tuple[ObjectiveTerm, ...]
) -> PlacementProblem:
    problem = with_watts(random_problem(units, devices, _SEED))
    if precisions == 4:
        problem = with_four_precisions(problem, _SEED)
    return with_objective(problem, objective)


def _weak() -> Iterator[Instance]:
    shapes = (
        ("unet", network_shapes.u_net, 80, TIGHT),
        ("dense", network_shapes.dense, 100, LOOSE),
        ("attention", network_shapes.wide_attention, 244, LOOSE),
        ("nasnet", network_shapes.nasnet, 210, LOOSE),
        ("inception", network_shapes.inception, 202, LOOSE),
    )
    for word, shape, units, shares in shapes:
        build = partial(network_problem, shape, units, 3, shares[3], _SEED)
        yield Instance(f"{word}-{units}", _WEAK, build)


def _overlapping() -> Iterator[Instance]:
    shapes = (
        ("chain", network_shapes.chain),
        ("series-parallel", network_shapes.series_parallel),
        ("transformer", network_shapes.transformer),
    )
    for bar, objective in ((_PERIODS, _PERIOD), (_MAKESPANS, _MAKESPAN)):
        for word, shape in shapes:
            for units in (50, 200, 500, 1000):
                for devices in (3, 6):
                    build = partial(_overlapping_problem, shape, units, devices, objective)
                    yield Instance(f"{bar.row}-{word}-{units}x{devices}", bar, build)


def _overlapping_problem(
    shape: network_shapes.Shape, units: int, devices: int, objective: tuple[ObjectiveTerm, ...]
) -> PlacementProblem:
    return with_objective(network_problem(shape, units, devices, LOOSE[devices], _SEED), objective)


def _pipelines() -> Iterator[Instance]:
    for layers in (48, 96):
        for mbit_per_s in (50, 10, 5):
            build = partial(pipeline_problem, layers, mbit_per_s, _SEED)
            yield Instance(f"pipeline-{layers}-{mbit_per_s}mbit", _PIPELINES, build)


def _infeasible() -> Iterator[Instance]:
    for word, shape in (("chain", network_shapes.chain), ("dense", network_shapes.dense)):
        for units in (60, 200):
            build = partial(infeasible_problem, shape, units, 3, TIGHT[3], _SEED)
            yield Instance(f"infeasible-{word}-{units}", _INFEASIBLE, build)


def write_pickles(folder: Path, instances: tuple[Instance, ...]) -> None:
    """Write each problem to FOLDER/<name>.pkl, and INDEX.txt."""
    lines = []
    for instance in instances:
        problem = instance.build()
        (folder / f"{instance.name}.pkl").write_bytes(pickle.dumps(problem))
        units = sum(not vertex.is_terminal for vertex in problem.vertices)
        goal = "infeasible" if instance.bar.gap is None else f"gap <= {instance.bar.gap:.0%}"
        size = f"{units} units, {len(problem.devices)} devices"
        lines.append(f"{instance.name}: {size}; {goal} in {instance.bar.seconds:g} s")
        print(lines[-1], flush=True)
    (folder / "INDEX.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    write_pickles(Path(sys.argv[1]), named(sys.argv[2:]))
