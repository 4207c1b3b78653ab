"""Plans over bandwidths and budgets: breakpoints against a dense sweep, rows, files and mistakes."""

import csv
import json
from dataclasses import replace
from types import SimpleNamespace

import models
import numpy as np
import pytest
from conftest import scenario_around

import planner.kept
from planner.basis import Basis, measure_basis
from planner.cli import main
from planner.compare import compare
from planner.comparison import Comparison
from planner.ilp import solve
from planner.points import Sweep, with_budgets
from planner.solvers import SolverOptions
from planner.sweep import parse_bandwidths
from planner.tighten import Tightened
from profiling.profile import load_json

THREE = {
    "devices": [
        {"name": "camera", "scaled_from": "server", "speedup": 0.01},
        {"name": "gateway", "scaled_from": "server", "speedup": 0.1},
        {"name": "server"},
    ],
    "links": [
        {"from": a, "to": b, "bandwidth_mbit_per_s": speed, "latency_ms": 0.01}
        for one, other, speed in (("camera", "gateway", 1), ("gateway", "server", 50))
        for a, b in ((one, other), (other, one))
    ],
    "source": "camera",
    "sink": "gateway",
}


def samples() -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(0).standard_normal((8, 1, 2, 8, 8)).astype(np.float32)}


@pytest.fixture(scope="module")
def basis(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    return measure_basis(scenario_around(folder, models.residual(), samples(), **THREE))


def sweep_of(basis, text: str, *links: str, **budgets) -> Sweep:
    return Sweep(parse_bandwidths(text, links, basis.scenario), budgets)


@pytest.mark.parametrize("links", [(), ("camera-gateway",), ("all",)])
def test_breakpoints_are_those_of_a_dense_sweep(basis, links):
    sweep = sweep_of(basis, "0.01,1000", *links)
    found = compare(basis, sweep)
    assert len(found.pieces) > 1
    assert found.pieces[0].low == pytest.approx(0.01)
    assert found.pieces[-1].high == pytest.approx(1000)
    assert found.solves <= 2 + 3 * (len(found.pieces) - 1)
    question = basis.ask(basis.latency)
    for bandwidth in np.geomspace(0.01, 1000, 60):
        scenario = sweep.bandwidths.scenario_at(basis.scenario, float(bandwidth))
        best = solve(replace(question, scenario=scenario).formulate(), SolverOptions(gap=1e-7)).objective
        piece = next(one for one in found.pieces if bandwidth <= one.high * (1 + 1e-9))
        plan = found.plans[piece.plan]
        assert plan.fixed_s + plan.link_s / bandwidth == pytest.approx(best, rel=3e-6)


def test_no_row_is_worse_than_any_simpler_way(basis):
    found = compare(basis, sweep_of(basis, "0.1,10"))
    assert [row.bandwidth for row in found.rows] == [0.1, 10]
    for row in found.rows:
        assert row.status == "optimal"
        known = [value for value in row.baselines.values() if value is not None]
        assert len(row.baselines) > 8
        assert row.objective <= min(known) * (1 + 1e-6)
        assert row.joint_gain == pytest.approx(1 - row.objective / min(known))


def test_two_sweeps_make_a_grid_with_infeasible_rows(basis):
    weights = sum(unit.weight_bytes for unit in basis.prepared.models.graph.units) / 2**20
    key = "memory_mib.camera"
    found = compare(basis, sweep_of(basis, "1,10", **{key: (weights / 1e6, weights * 100)}))
    assert len(found.rows) == 4
    assert {row.budgets[key] for row in found.rows} == {weights / 1e6, weights * 100}
    assert all(row.status == "optimal" for row in found.rows if row.budgets[key] > 1)


def test_a_budget_that_nothing_keeps_is_a_row_not_a_failure(basis):
    tight = replace(basis.prepared, scenario=with_budgets(basis.scenario, {"memory_mib.camera": 1e-4}))
    pinned = tight.scenario.model_copy(
        update={"placement": tight.scenario.placement.model_copy(update={"pin": {"*": "camera"}})}
    )
    found = compare(replace(basis, prepared=replace(tight, scenario=pinned)), sweep_of(basis, "1,10"))
    assert [row.status for row in found.rows] == ["infeasible"] * 2
    assert found.pieces == ()
    assert all(row.reason and row.plan is None for row in found.rows)


def test_a_latency_budget_cuts_off_slow_bandwidths(basis):
    plain = compare(basis, sweep_of(basis, "0.1,100"))
    between = (plain.rows[0].objective + plain.rows[1].objective) / 2
    scenario = with_budgets(basis.scenario, {"latency_ms": between * 1e3})
    own = replace(basis, prepared=replace(basis.prepared, scenario=scenario))
    assert [row.status for row in compare(own, sweep_of(basis, "0.1,100")).rows] == ["infeasible", "optimal"]


def test_another_objective_has_rows_but_no_ranges(basis):
    scenario = basis.scenario.model_copy(update={"objective": "traffic"})
    own = replace(basis, prepared=replace(basis.prepared, scenario=scenario))
    found = compare(own, sweep_of(basis, "0.1,100"))
    assert found.pieces == ()
    assert found.objective == "traffic"
    assert all(row.objective is not None for row in found.rows)


def test_budgets_alone_can_vary(basis):
    found = compare(basis, Sweep(None, {"noise_relative_rms": (1e-6, 1.0)}))
    first, second = (row.objective for row in found.rows)
    assert first >= second * (1 - 1e-9)
    assert [row.bandwidth for row in found.rows] == [None, None]


def test_what_an_interrupted_comparison_solved_is_not_solved_again(basis, monkeypatch):
    sweep = sweep_of(basis, "0.05,0.7,20")
    solved = []
    honest = planner.kept.solve

    def until_interrupted(problem, options, known):
        if len(solved) == 2:
            raise KeyboardInterrupt
        solved.append(problem)
        return honest(problem, options, known)

    monkeypatch.setattr(planner.kept, "solve", until_interrupted)
    with pytest.raises(KeyboardInterrupt):
        compare(basis, sweep)
    monkeypatch.setattr(planner.kept, "solve", lambda *a: solved.append(a[0]) or honest(*a))
    whole = compare(basis, sweep)
    assert len({repr(problem) for problem in solved}) == len(solved)
    before = len(solved)
    again = compare(basis, sweep)
    assert len(solved) == before
    assert (again.rows, again.pieces, again.plans) == (whole.rows, whole.pieces, whole.plans)


def test_error_budgets_that_even_fp32_breaks_are_rows(basis, monkeypatch):
    found = replace(
        Tightened(basis.ask(basis.latency).formulate(), None, ()), unmet=("top1 0.5 instead of 1",)
    )
    monkeypatch.setattr(Basis, "tightening", lambda *_: SimpleNamespace(solve=lambda _: found))
    strict = with_budgets(basis.scenario, {"top1_agreement": 0.987654})
    own = replace(basis, prepared=replace(basis.prepared, scenario=strict))
    for row in compare(own, sweep_of(basis, "1,10")).rows:
        assert (row.status, row.plan, row.baselines) == ("infeasible", None, {})
        assert row.reason == "even without quantization noise: top1 0.5 instead of 1"


def test_several_processes_find_the_same(basis):
    one, two = (compare(basis, sweep_of(basis, "0.1,10"), jobs) for jobs in (1, 2))
    assert one.rows == two.rows


@pytest.fixture
def told(tmp_path, capsys):
    scenario_around(tmp_path, models.residual(), samples())
    data = {"npz": str(tmp_path / "d.npz")}
    content = THREE | {
        "model": str(tmp_path / "m.onnx"),
        "data": {"calibration": data, "evaluation": data},
        "profiling": {"rounds": 3, "noise_samples": 2},
    }
    (tmp_path / "s.yaml").write_text(json.dumps(content))

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as done:
            main(["compare", str(tmp_path / "s.yaml"), "--out", str(tmp_path / "o"), *arguments])
        captured = capsys.readouterr()
        return done.value.code, captured.out, captured.err

    return run


def test_the_folder_holds_the_comparison_twice(told, tmp_path):
    code, out, _ = told("--bandwidth", "0.1,10")
    assert code == 0
    assert "best plan per range" in out
    found = load_json(tmp_path / "o" / "compare.json", Comparison)
    rows = list(csv.DictReader((tmp_path / "o" / "compare.csv").read_text().splitlines()))
    assert [float(row["objective"]) for row in rows] == [row.objective for row in found.rows]
    assert [int(row["plan"]) for row in rows] == [row.plan for row in found.rows]


def test_one_document_and_nothing_else(told):
    code, out, _ = told("--bandwidth", "1,2", "--json")
    assert code == 0
    assert json.loads(out)["format"] == 2


MISTAKES = {
    (): (2, "nothing to compare"),
    ("--bandwidth", "2,1"): (1, "--bandwidth 2,1: 1 comes after 2; write them ascending"),
    ("--bandwidth", "1", "--link", "x"): (1, "--link x: no such link"),
    ("--memory", "x=1"): (1, "--memory x=1: write DEVICE=1,2,4"),
    ("--memory", "camera=one"): (1, "'one' is not a number"),
    ("--noise", "0"): (1, "--noise 0: 0 is not a number above 0"),
}


@pytest.mark.parametrize("arguments", MISTAKES)
def test_a_mistake_is_told_in_one_line(told, tmp_path, arguments):
    code, out, err = told(*arguments)
    expected, text = MISTAKES[arguments]
    assert (code, out) == (expected, "")
    assert text in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "o").exists()
