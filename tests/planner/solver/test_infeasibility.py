import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from scenario_texts import LIMITED
from small_problems import LATENCY, NOISE, small_problem
from strategies import problems

import planner.solver.infeasibility as explaining
from planner.costs.noise_saturation import NoiseModel
from planner.costs.resource_budgets import limits_of, unit_of
from planner.problem.quantities import CostMetric, Limit, Quantity
from planner.problem_io.loader import parse_spec
from planner.problem_io.solve_file import SolverChanges, solve_spec
from planner.refinement.infeasibility_text import conflict_text
from planner.scenario.loader import load_scenario
from planner.solver.infeasibility import find_conflict
from planner.solver.result import SolveStatus
from planner.solver.solve import solve
from planner.solver.solver_options import SolverOptions
from planner.solver.structural_conflict import structural_causes

FREE = replace(small_problem(), limits=(), together=(), apart=())


@settings(max_examples=30, deadline=None)
@given(problems(max_units=4))
def test_a_conflict_is_minimal_and_each_way_out_of_it_is_one(problem):
    if solve(problem).status is not SolveStatus.INFEASIBLE:
        return
    conflict = find_conflict(problem, SolverOptions())
    limits = [one.limit for one in conflict.relaxations]
    assert conflict.minimal
    assert solve(replace(problem, limits=tuple(limits))).status is SolveStatus.INFEASIBLE
    for one in conflict.relaxations:
        fewer = tuple(limit for limit in limits if limit is not one.limit)
        assert solve(replace(problem, limits=fewer, objective=())).choice is not None
        if one.least is not None:
            quantity = one.limit.quantity
            assert solve(problem.with_limit(quantity, one.least * 1.0001 + 1e-9)).choice is not None
            assert one.least > one.limit.at_most


def test_budgets_that_bind_together_are_named_together():
    tight = replace(
        FREE, limits=(Limit(NOISE, 0.0), Limit(LATENCY, 1.0), Limit(Quantity(CostMetric.MEMORY, 0), 20))
    )
    inside = [replace(v, options=tuple(o for o in v.options if o.device == 0)) for v in tight.vertices]
    tight = replace(tight, vertices=tuple(inside))
    conflict = find_conflict(tight, SolverOptions())
    assert [one.limit.quantity for one in conflict.relaxations] == [NOISE, Quantity(CostMetric.MEMORY, 0)]
    assert [one.least for one in conflict.relaxations] == pytest.approx([0.02 + 0.003 + 0.002, 30.0], rel=0.5)


def test_a_conflict_is_told_in_the_scenarios_keys_and_units(tmp_path):
    (tmp_path / "s.yaml").write_text(LIMITED.replace("{INPUTS}", "{}"))
    scenario = load_scenario(tmp_path / "s.yaml")
    limits = (Limit(Quantity(CostMetric.MEMORY, 0), 3 * 2**20), Limit(LATENCY, 0.001), Limit(NOISE, 1e-4))
    conflict = find_conflict(replace(FREE, limits=(Limit(LATENCY, 1e-6),)), SolverOptions())
    text = conflict_text(scenario, conflict, NoiseModel().predict)
    assert text.startswith("infeasible at the measured costs: budget.latency_ms: 0.001 ms cannot be kept; ")
    assert text.endswith(" ms would do")
    both = replace(
        conflict, relaxations=tuple(replace(conflict.relaxations[0], limit=x, least=None) for x in limits)
    )
    assert conflict_text(scenario, both, NoiseModel().predict) == (
        "infeasible at the measured costs: budget.memory_mib.camera: 3 MiB, budget.latency_ms: 1 ms and "
        "noise_relative_rms: 0.01 cannot be kept together"
    )


def test_a_limit_that_error_budgets_left_names_them_and_no_way_out(tmp_path):
    text = LIMITED.replace("{INPUTS}", "{}").replace(
        "latency_ms: 100", "max_abs_error: 0.1, noise_relative_rms: 0.2"
    )
    (tmp_path / "s.yaml").write_text(text)
    scenario = load_scenario(tmp_path / "s.yaml")
    conflict = find_conflict(replace(FREE, limits=(Limit(LATENCY, 1e-6),)), SolverOptions())
    (one,) = conflict.relaxations
    derived = replace(conflict, relaxations=(replace(one, limit=Limit(NOISE, 1e-4), least=0.002),))
    assert conflict_text(scenario, derived, NoiseModel().predict) == (
        "infeasible at the measured costs: noise_relative_rms and max_abs_error (which leave 0.01 of noise "
        "on held-back data) cannot be kept"
    )
    own = replace(conflict, relaxations=(replace(one, limit=Limit(NOISE, 0.04), least=0.09),))
    assert conflict_text(scenario, own, NoiseModel().predict).endswith("noise_relative_rms: 0.3 would do")


WRITTEN = {
    "latency_ms: 100": "budget.latency_ms: 100 ms",
    "makespan_ms: 50": "budget.makespan_ms: 50 ms",
    "throughput_per_s: 20": "budget.throughput_per_s: 20 per s",
    "energy_j: {camera: 0.5}": "budget.energy_j.camera: 0.5 J",
    "total_energy_j: 2": "budget.total_energy_j: 2 J",
    "memory_mib: {camera: 1.5}": "budget.memory_mib.camera: 1.5 MiB",
    "traffic_kib: {camera-server: 3}": "budget.traffic_kib.camera-server: 3 KiB",
    "money_per_request: 0.2": "budget.money_per_request: 0.2",
    "money_per_month: 100": "budget.money_per_month: 100",
}


@pytest.mark.parametrize("written", WRITTEN)
def test_each_budget_is_told_as_it_was_written_with_its_unit(tmp_path, written):
    text = LIMITED.replace("{INPUTS}", "{}").replace("memory_mib: {camera: 1}, latency_ms: 100", written)
    text = text.replace("{name: camera", "{name: camera, active_watt: 1, price_per_hour: 1")
    text = text.replace("{name: server", "{name: server, active_watt: 1") + "requests_per_month: 1000\n"
    (tmp_path / "s.yaml").write_text(text)
    scenario = load_scenario(tmp_path / "s.yaml")
    (limit,) = limits_of(scenario)
    unit = unit_of(scenario, limit.quantity)
    assert unit.text(f"{unit.in_unit(limit.at_most):.4g}") == WRITTEN[written]


def test_no_solve_begins_that_may_run_over_as_far_as_an_earlier_one(monkeypatch):
    now, begun = [0.0], []

    def slow(problem, options, clock):
        begun.append(options.time_limit_s)
        now[0] += 40.0
        return solve(problem)

    problem = small_problem().with_limit(Quantity(CostMetric.LATENCY), 1e-12)
    monkeypatch.setattr(explaining, "solve", slow)
    conflict = find_conflict(problem, SolverOptions(time_limit_s=60.0), clock=lambda: now[0])
    assert len(begun) == 1
    assert begun[0] < 60.0
    assert not conflict.minimal


@settings(max_examples=60, deadline=None)
@given(problems(max_units=4))
def test_what_is_named_as_a_cause_rules_out_every_placement(problem):
    free = replace(problem, limits=(), objective=())
    if structural_causes(free):
        assert solve(free).status is SolveStatus.INFEASIBLE


def causes_of(**changes):
    content = {
        "devices": [{"name": "a"}, {"name": "b"}],
        "units": [
            {"name": "u", "options": [{"device": "a", "seconds": 1}]},
            {"name": "v", "options": [{"device": "b", "seconds": 1}]},
        ],
        "tensors": [{"name": "t", "from": "u", "to": ["v"], "bytes": 1}],
        "links": [{"from": "a", "to": "b"}],
    }
    spec = parse_spec(json.dumps(content | changes).encode(), "problem")
    answer = solve_spec(spec, SolverChanges())
    assert answer.is_infeasible == bool(answer.conflict_causes)
    return answer.conflict_causes


def test_a_cause_names_units_tensors_and_devices():
    assert causes_of() == ()
    way = "tensor 't' cannot get from 'u' (on a) to 'v' (on b): no link leads there, or the tensor is private"
    assert causes_of(links=[]) == (way,)
    assert causes_of(links=[{"from": "b", "to": "a"}]) == (way,)
    on_both = [{"device": "a", "seconds": 1}, {"device": "b", "seconds": 1}]
    units = [{"name": name, "options": on_both} for name in "uv"]
    assert causes_of(units=units, together=[["u", "v"]], apart=[["u", "v"]]) == (
        "units 'u', 'v' are to be together and apart",
    )
    assert causes_of(together=[["u", "v"]]) == (
        "units 'u', 'v' are to be together, but no device can run all of them",
    )
    on_a = [{"name": name, "options": on_both[:1]} for name in "uv"]
    assert causes_of(units=on_a, apart=[["u", "v"]]) == (
        "units 'u', 'v' are to be apart, but both can run on a only",
    )


def test_a_precision_between_integers_of_which_the_runtime_makes_another_is_a_cause():
    def units(*precisions: tuple[str, ...]):
        return [
            {"name": name, "options": [{"device": "a", "seconds": 1, "precision": one} for one in own]}
            for name, own in zip("uvw", precisions, strict=True)
        ]

    both = {"uint8": {"bytes": 1}, "uint16": {"bytes": 2}}
    tensors = [
        {"name": f"t{a}", "from": a, "to": [b], "bytes": 4, "formats": both, "quantized_by": [a, b]}
        for a, b in ("uv", "vw")
    ]

    def causes(*precisions: tuple[str, ...]):
        return causes_of(devices=[{"name": "a"}], links=[], tensors=tensors, units=units(*precisions))

    assert causes(("int8",), ("int16",), ("int8",)) == (
        "unit 'v' is to be in int16, but all its tensors are uint8 for 'u', 'w': the runtime would compute "
        "it in these integers",
    )
    assert causes(("int8",), ("int16", "int8"), ("int8",)) == ()
    assert causes(("int8",), ("int16",), ("int8", "fp32")) == ()
    assert causes(("int16",), ("int16",), ("int16",)) == ()
    assert len(causes(("int16",), ("int8",), ("int16",))) == 2  # at the ends, too
