from dataclasses import replace
from pathlib import Path

import oracle
import pytest
from small_problems import small_problem, two_devices_with_one_to_return_to

from planner.problem.devices import Device, Link
from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric, ObjectiveTerm, Quantity
from planner.problem.tensors import Flow, WireForm
from planner.problem.units import Option, Vertex
from planner.solver.backends import run_solver
from planner.solver.milp.build_program import build_program
from planner.solver.solver_options import SolverOptions

GOLDEN = Path(__file__).parent / "golden"
FAMILIES = (
    "choose",
    "transport",
    "form",
    "wire",
    "absorb",
    "within",
    "together",
    "apart",
    "start",
    "pay",
    "order",
    "inherit",
    "peak",
    "period",
    "makespan",
    "lone",
    "path",
    "limit",
)
RETURNS = ("passed",)


def rules(program, family: str) -> str:
    """Return the constraints of a family, a line each."""
    named = [(name, rule) for name, rule in program.lp._constraints.items() if name.startswith(family + "_")]
    return "".join(
        f"{name}: {rule}\n" for name, rule in sorted(named, key=lambda one: int(one[0].split("_")[1]))
    )


@pytest.mark.parametrize("family", [*FAMILIES, *RETURNS])
def test_each_constraint_family_reads_as_the_golden_file_says(family, request):
    problem = two_devices_with_one_to_return_to() if family in RETURNS else small_problem()
    lines, path = rules(build_program(problem), family), GOLDEN / f"{family}.lp"
    if request.config.getoption("--golden"):
        path.write_text(lines)
    assert lines, f"no constraint of family {family}"
    assert lines == path.read_text()


def test_every_constraint_belongs_to_a_family_with_a_golden_file():
    programs = (build_program(small_problem()), build_program(two_devices_with_one_to_return_to()))
    families = {name.rsplit("_", 1)[0] for program in programs for name in program.lp._constraints}
    assert families == {*FAMILIES, *RETURNS}
    assert {path.stem for path in GOLDEN.glob("*.lp")} == families


def test_variables_have_names_of_their_own_where_memory_is_minimised_and_limited():
    """CBC reads no program in which two variables share a name."""
    of_all = ObjectiveTerm(Quantity(CostMetric.MEMORY))
    program = build_program(replace(small_problem(), objective=(of_all,)))
    names = [variable.name for variable in program.lp.variables()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("made_in", "latency_s"), [(1, 2.0), (0, 7.0)])
def test_what_arises_in_a_format_is_not_quantized_where_it_arrives(made_in, latency_s):
    form = WireForm("float", 0, 1, (0.0,), (((), (0,)), (None, ())))
    tensor = Flow(
        "t", 0, (1,), (form, replace(form, name="uint8", format=1)), (0, 1), (0.0, 0.0),
        ((0.0, 0.0), (0.0, 5.0)), ((0.0, 0.0), (0.0, 0.0)), converts_at_consumer=True,
    )  # fmt: skip
    units = (Vertex("a", (Option(0, made_in, 1.0),)), Vertex("b", (Option(1, 1, 1.0),)))
    problem = PlacementProblem((Device("a"), Device("b")), units, (tensor,), (Link("a-b", 0, 1),))
    program = build_program(problem)
    assert run_solver(program.lp, SolverOptions()) / program.scale == pytest.approx(latency_s)
    assert oracle.best(problem) == pytest.approx(latency_s)
