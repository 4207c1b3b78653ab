import copy
import json

import pytest
from repository import ROOT

from planner.cli.commands import main
from planner.errors import ProblemError
from planner.problem_io.loader import load_spec
from planner.problem_io.solve_file import SolverChanges, solve_file

ONE = json.loads((ROOT / "scenarios" / "problem.json").read_text())
PARTS = ("units", "ends")


def several(**rates: dict) -> dict:
    """Return the example for several models of the same network, without limits."""
    problem = copy.deepcopy(ONE) | {
        "limits": [],
        "models": [{"name": n, **rate} for n, rate in rates.items()],
    }
    for key in (*PARTS, "tensors"):
        problem[key] = [_renamed(part, name, key) for name in rates for part in copy.deepcopy(ONE[key])]
    return problem


def _renamed(part: dict, model: str, key: str) -> dict:
    part["name"] += f" {model}"
    if key in PARTS:
        return part | {"model": model}
    part["from"] += f" {model}"
    for row in ("to", "quantized_by"):
        part[row] = [f"{name} {model}" for name in part.get(row, [])]
    return part


@pytest.fixture
def solved(tmp_path):
    def call(problem: dict):
        path = tmp_path / "p.json"
        path.write_text(json.dumps(problem))
        return solve_file(path, SolverChanges())

    return call


def test_two_copies_of_a_model_cost_what_one_does_where_nothing_is_short(solved):
    one = solved(copy.deepcopy(ONE) | {"limits": []})
    two = solved(several(a={"weight": 3}, b={}))
    assert two.status == "optimal"
    assert two.costs.latency_s == pytest.approx(one.costs.latency_s)
    assert two.costs.energy_j == pytest.approx(one.costs.energy_j)
    assert two.costs.period_s == pytest.approx(one.costs.period_s)
    assert [row.share for row in two.models] == [0.75, 0.25]
    for row in two.models:
        assert row.latency_s == pytest.approx(one.costs.latency_s)
        assert row.stages == one.stages
        assert sorted(
            (p.unit.split()[0], p.device) for p in two.assignments if p.model == row.model
        ) == sorted((p.unit, p.device) for p in one.assignments)
    assert sum(two.costs.memory_bytes.values()) == 2 * sum(one.costs.memory_bytes.values())


def test_cuts_are_those_of_a_models_own_request(solved):
    one = solved(copy.deepcopy(ONE) | {"limits": []})
    two = solved(several(a={}, b={}))
    assert [cut.size_bytes for cut in two.cuts] == [cut.size_bytes for cut in one.cuts] * 2
    assert [cut.seconds for cut in two.cuts] == pytest.approx([cut.seconds for cut in one.cuts] * 2)


def test_a_device_is_asked_for_no_more_than_it_can_do(solved):
    free = solved(several(a={"requests_per_s": 1.0}, b={"requests_per_s": 3.0}))
    assert free.costs.utilisation == pytest.approx(4 * free.costs.period_s)
    most = 1 / free.costs.period_s
    busier = several(a={"requests_per_s": 0.3 * most}, b={"requests_per_s": 0.9 * most})
    busy = solved(busier)
    # The plan of least latency cannot serve them; another one can, or none.
    if busy.is_infeasible:
        assert [binding.measure for binding in busy.conflict] == ["period"]
    else:
        assert busy.costs.utilisation <= 1 + 1e-6
        assert busy.costs.latency_s > free.costs.latency_s
    never = solved(several(a={"requests_per_s": 1e6}, b={"requests_per_s": 1e6}))
    assert never.is_infeasible


def test_a_limit_and_a_term_of_one_model_speak_of_its_own_requests(solved):
    problem = several(a={"weight": 9}, b={})
    free = solved(problem)
    problem["objective"] = [{"measure": "latency", "model": "b"}]
    assert solved(problem).objective.value == pytest.approx(free.models[1].latency_s)
    problem["objective"] = [{"measure": "noise"}]
    problem["limits"] = [{"measure": "latency", "model": "a", "at_most": free.models[0].latency_s * 1.0001}]
    found = solved(problem)
    assert found.models[0].latency_s == pytest.approx(free.models[0].latency_s, rel=1e-3)
    problem["limits"][0]["at_most"] /= 10
    none = solved(problem)
    assert [(row.measure, row.model) for row in none.conflict] == [("latency", "a")]
    assert none.conflict[0].least == pytest.approx(free.models[0].latency_s)


def test_units_of_two_models_may_be_kept_on_one_device(solved):
    problem = several(a={}, b={})
    problem["apart"] = [["classes a", "classes b"]]
    found = solved(problem)
    at = {placed.unit: placed.device for placed in found.assignments}
    assert at["classes a"] != at["classes b"]
    problem["apart"], problem["together"] = [], [["conv1 a", "classes b"]]
    at = {placed.unit: placed.device for placed in solved(problem).assignments}
    assert at["conv1 a"] == at["classes b"]


def test_a_person_sees_each_model(tmp_path, capsys):
    path = tmp_path / "p.json"
    path.write_text(json.dumps(several(faces={"requests_per_s": 2}, plates={"requests_per_s": 1})))
    with pytest.raises(SystemExit) as done:
        main(["solve", str(path)])
    out = capsys.readouterr().out
    assert done.value.code == 0
    for word in ("faces", "plates", "2 per s", "of the time"):
        assert word in out


def without_model(problem: dict) -> None:
    del problem["units"][0]["model"]


def of_two(problem: dict) -> None:
    problem["tensors"][1]["to"].append("conv1 b")


def unknown(problem: dict) -> None:
    problem["units"][0]["model"] = "c"


def both(problem: dict) -> None:
    problem["models"][0]["requests_per_s"] = 1.0


def half(problem: dict) -> None:
    problem["models"][0] = {"name": "a", "requests_per_s": 1.0}


def none_per_s(problem: dict) -> None:
    problem["models"][0] = {"name": "a", "requests_per_s": 0}


def twice(problem: dict) -> None:
    problem["models"].append({"name": "a"})


def without_units(problem: dict) -> None:
    problem["models"].append({"name": "c", "weight": 1.0})


def memory_of_one(problem: dict) -> None:
    problem["limits"] = [{"measure": "memory", "of": "camera", "model": "a", "at_most": 1}]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without_model, "units.0.model is required"),
        (of_two, "leads from a part of model 'a' to another's"),
        (unknown, "names no model: 'c'"),
        (both, "either requests_per_s or weight"),
        (half, "models.1.requests_per_s is required"),
        (none_per_s, "models.0.requests_per_s must be > 0"),
        (twice, "'a' is already taken"),
        (without_units, "models.2 no unit is of model 'c'"),
        (memory_of_one, "memory is of all models"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path, change, words):
    problem = several(a={"weight": 1.0}, b={"weight": 1.0})
    change(problem)
    path = tmp_path / "p.json"
    path.write_text(json.dumps(problem))
    with pytest.raises(ProblemError, match=words):
        load_spec(path)


@pytest.mark.parametrize("change", [without_model, unknown])
def test_a_part_without_a_model_does_not_make_its_tensors_wrong(tmp_path, change):
    problem = several(a={"weight": 1.0}, b={"weight": 1.0})
    change(problem)
    path = tmp_path / "p.json"
    path.write_text(json.dumps(problem))
    with pytest.raises(ProblemError) as told:
        load_spec(path)
    assert len(str(told.value).splitlines()) == 1


def test_a_model_named_where_there_are_none_is_one_fault(tmp_path):
    problem = copy.deepcopy(ONE)
    problem["units"][0]["model"] = "a"
    path = tmp_path / "p.json"
    path.write_text(json.dumps(problem))
    with pytest.raises(ProblemError) as told:
        load_spec(path)
    assert str(told.value).endswith("units.0.model names no model: 'a' (unit 'conv1')")
