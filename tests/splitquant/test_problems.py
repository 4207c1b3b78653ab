import json

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from repository import ROOT

import splitquant as sq
from planner.cli.commands import main
from planner.problem_io import schema
from planner.problem_io.solve_file import SolverChanges, solve_file
from planner.scenario.schema import SolverSpec

EXAMPLE = ROOT / "scenarios" / "problem.json"
PARTS = {
    sq.Device: schema.ProblemDevice,
    sq.Link: schema.ProblemLink,
    sq.End: schema.EndSpec,
    sq.Option: schema.OptionSpec,
    sq.Unit: schema.UnitSpec,
    sq.QuantizedTensor: schema.QuantizedSpec,
    sq.Wire: schema.WireSpec,
    sq.Tensor: schema.TensorSpec,
    sq.Format: schema.FormatSpec,
    sq.ModelRate: schema.ModelRate,
    sq.Limit: schema.LimitSpec,
    sq.Term: schema.TermSpec,
    sq.SolverOptions: SolverSpec,
    sq.Problem: schema.ProblemSpec,
}


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_a_part_has_the_keys_and_defaults_of_the_file(part):
    fields = PARTS[part].model_fields
    mine = {field.encode_name: field for field in msgspec.structs.fields(part)}
    theirs = {field.alias or name: field for name, field in fields.items()}
    assert mine.keys() == theirs.keys()
    for name, field in theirs.items():
        assert mine[name].required == field.is_required(), name
        if not field.is_required():
            assert defaults(mine[name]) == plain(field.get_default(call_default_factory=True)), name


def defaults(field: msgspec.structs.FieldInfo) -> object:
    value = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    return json.loads(json.dumps(msgspec.to_builtins(value)))


def plain(value: object) -> object:
    """Return a default of the schema as JSON has it, parts without their own defaults."""
    if hasattr(value, "model_dump"):
        value = value.model_dump(mode="json", exclude_unset=True)
    if isinstance(value, tuple):
        return [plain(one) for one in value]
    return json.loads(json.dumps(value))


def problem(**changes) -> sq.Problem:
    parts = {
        "devices": [sq.Device("camera"), sq.Device("server")],
        "links": [sq.Link("camera", "server", bytes_per_s=1e6), sq.Link("server", "camera")],
        "ends": [sq.End("lens", "camera"), sq.End("screen", "camera")],
        "units": [
            sq.Unit("features", [sq.Option("camera", 0.004), sq.Option("server", 0.001)]),
            sq.Unit("classes", (sq.Option("camera", 0.020), sq.Option("server", 0.002))),
        ],
        "tensors": [
            sq.Tensor("picture", "lens", ["features"], bytes=60_000),
            sq.Tensor("map", "features", ["classes"], bytes=3_000),
            sq.Tensor("answer", "classes", ["screen"], bytes=40),
        ],
    }
    return sq.Problem(**parts | changes)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(1e-4, 1), min_size=4, max_size=4),
    st.floats(1e3, 1e9),
    st.integers(0, 10**6),
)
def test_the_best_of_all_placements_is_found(seconds, bytes_per_s, size):
    units = [
        sq.Unit(f"u{n}", [sq.Option("a", seconds[2 * n]), sq.Option("b", seconds[2 * n + 1])]) for n in (0, 1)
    ]
    made = sq.Problem(
        devices=[sq.Device("a"), sq.Device("b")],
        links=[sq.Link("a", "b", bytes_per_s=bytes_per_s), sq.Link("b", "a", bytes_per_s=bytes_per_s)],
        units=units,
        tensors=[sq.Tensor("t", "u0", ["u1"], bytes=size)],
    )
    best = min(
        seconds[first] + seconds[2 + second] + (size / bytes_per_s if first != second else 0)
        for first in (0, 1)
        for second in (0, 1)
    )
    assert sq.solve(made).latency_s == pytest.approx(best, rel=1e-4)


def test_a_file_its_mapping_and_the_problem_built_of_it_have_one_answer(tmp_path):
    expected = solve_file(EXAMPLE, SolverChanges())
    content = json.loads(EXAMPLE.read_text())
    loaded = sq.load_problem(EXAMPLE)
    saved = loaded.save(tmp_path / "p.json")
    for source in (EXAMPLE, str(EXAMPLE), content, loaded, sq.load_problem(content), saved):
        answer = sq.solve(source).answer
        assert answer.assignments == expected.assignments
        assert answer.cuts == expected.cuts
        assert answer.costs == expected.costs
        assert answer.objective == expected.objective
    assert sq.load_problem(saved) == loaded


def test_the_command_gives_the_same_answer(tmp_path, capsys):
    path = problem().save(tmp_path / "p.json")
    with pytest.raises(SystemExit):
        main(["solve", str(path), "--json"])
    theirs = json.loads(capsys.readouterr().out)
    mine = msgspec.json.decode(msgspec.json.encode(sq.solve(problem()).answer))
    for key in ("status", "objective", "assignments", "cuts", "stages", "costs"):
        assert mine[key] == theirs[key], key


def test_a_solution_says_what_it_is():
    solution = sq.solve(problem())
    assert (solution.status, solution.reason) == ("optimal", "")
    assert solution.devices == {"features": "camera", "classes": "server"}
    assert solution.precisions == {"features": "fp32", "classes": "fp32"}
    assert solution.objective == solution.latency_s == pytest.approx(0.009)
    assert solution.gap == pytest.approx(0, abs=1e-6)
    assert solution.bound == pytest.approx(0.009)
    assert "optimal" in repr(solution)
    assert "features" in solution._repr_html_()
    assert "2 units on camera, server" in repr(problem())
    assert "minimise latency<" in problem()._repr_html_()


def test_tables_of_a_solution():
    pytest.importorskip("pandas")
    solution = sq.solve(problem())
    assert solution.table().to_dict("list") == {
        "unit": ["features", "classes"],
        "device": ["camera", "server"],
        "precision": ["fp32", "fp32"],
    }
    assert list(solution.cuts_table()["tensor"]) == ["map", "answer"]
    assert sq.solve(problem(limits=[sq.Limit("latency", 1e-9)])).table().empty


def test_the_use_of_each_limit_is_told():
    known = sq.solve(problem(limits=[sq.Limit("latency", 0.5), sq.Limit("energy", 1.0, of="camera")]))
    used = {use.measure: (use.of, use.used, use.at_most) for use in known.answer.limits}
    assert used["latency"] == (None, pytest.approx(known.latency_s), 0.5)
    assert used["energy"] == ("camera", pytest.approx(known.energy_j["camera"]), 1.0)
    table = known.limits_table()
    assert list(table.columns) == ["measure", "of", "model", "used", "at_most"]
    assert list(table["measure"]) == ["latency", "energy"]


def test_a_problem_with_some_parts_changed_is_another_one():
    first = problem()
    second = first.replace(limits=[sq.Limit("latency", 0.5)])
    assert (len(first.limits), len(second.limits)) == (0, 1)
    assert second.to_dict() == problem(limits=[sq.Limit("latency", 0.5)]).to_dict()
    with pytest.raises(sq.ProblemError, match="unit is no field; there are devices, links"):
        first.replace(unit=[])
    with pytest.raises(sq.ProblemError, match="units needs at least 1 entry"):
        first.replace(units=[])


def test_a_problem_whose_lists_were_spoiled_is_not_saved(tmp_path):
    spoiled = problem()
    spoiled.units.append(1)
    with pytest.raises(sq.ProblemError, match="units.2"):
        spoiled.save(tmp_path / "p.json")
    assert not (tmp_path / "p.json").exists()


def test_limits_that_cannot_hold_together_are_told_as_the_command_tells_them(tmp_path, capsys):
    made = problem(limits=[sq.Limit("latency", at_most=1e-9)])
    solution = sq.solve(made)
    assert (solution.status, solution.objective, solution.latency_s) == ("infeasible", None, None)
    assert solution.devices == {}
    with pytest.raises(SystemExit) as done:
        main(["solve", str(made.save(tmp_path / "p.json"))])
    assert done.value.code == 3
    assert capsys.readouterr().err.strip() == solution.reason
    assert solution.reason in repr(solution)
    assert "infeasible" in solution._repr_html_()


def test_a_wrong_problem_is_refused_when_it_is_made_with_every_fault():
    with pytest.raises(sq.ProblemError) as caught:
        problem(
            links=[sq.Link("camera", "sever")],
            tensors=[sq.Tensor("t", "features", ["classes"], bytes=-1)],
        )
    assert str(caught.value) == "problem: tensors.0.bytes must be >= 0, got -1 (tensor 't')"
    with pytest.raises(sq.ProblemError) as caught:
        problem(links=[sq.Link("camera", "sever")], apart=[("features", "nothing")])
    assert str(caught.value).splitlines() == [
        "problem: links.0.to names no device: 'sever'",
        "problem: apart.0 names no unit: 'nothing'",
    ]


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("devices", [{"name": "camera"}], "devices holds a dict: give Device(...); load_problem takes keys"),
        ("units", ["features"], "units holds 'features': give Unit(...)"),
        ("objective", ["latency"], "objective holds 'latency': give Term(...)"),
    ],
)
def test_parts_of_another_kind_are_told_what_to_give(field, value, text):
    with pytest.raises(sq.ProblemError) as caught:
        problem(**{field: value})
    assert text in str(caught.value)


@pytest.mark.parametrize(
    "seconds", [float("nan"), float("inf"), -1.0, "fast", None, 1j, object()], ids=lambda x: str(x)[:8]
)
def test_seconds_that_are_none_are_refused(seconds):
    with pytest.raises(sq.ProblemError, match="problem: "):
        problem(units=[sq.Unit("features", [sq.Option("camera", seconds)])], tensors=[])


def test_a_number_of_numpy_is_a_number():
    units = [sq.Unit("u", [sq.Option("camera", np.float32(0.5)), sq.Option("server", np.float64(0.25))])]
    made = problem(units=units, tensors=[sq.Tensor("t", "u", ["screen"], bytes=np.int64(4))])
    assert sq.solve(made).latency_s == pytest.approx(0.25)
    assert sq.load_problem(made.to_dict()) == sq.load_problem(json.loads(json.dumps(made.to_dict())))


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("nowhere.json", "nowhere.json: No such file or directory"),
        ("scenario.yaml", "scenario.yaml is a scenario, not a table of costs"),
        ({}, "problem: devices is required"),
        ({"devices": [{"name": "a"}], "units": [], "colour": 1}, "problem: colour is not a known key"),
        ({"devices": print}, "problem: devices: a builtin_function_or_method is no value here"),
    ],
)
def test_what_is_no_problem_is_refused(here, source, text):
    for call in (sq.load_problem, sq.solve):
        with pytest.raises(sq.ProblemError) as caught:
            call(source)
        assert text in str(caught.value)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"solver": "abacus"}, "solver abacus: must be one of"),
        ({"time_limit_s": 0}, "time_limit_s 0: must be seconds > 0"),
        ({"gap": 2}, "gap 2: must be a fraction"),
        ({"gap": "0.1"}, "gap '0.1': must be a number"),
        ({"time_limit_s": [1]}, r"time_limit_s \[1\]: must be a number"),
        ({"time_limit_s": True}, "time_limit_s True: must be a number"),
    ],
)
def test_options_are_refused_as_those_of_the_command(options, text):
    with pytest.raises(sq.UsageError, match=text):
        sq.solve(problem(), **options)


def test_several_models_are_solved_together():
    made = problem(
        models=[sq.ModelRate("m", weight=3), sq.ModelRate("n")],
        ends=[],
        units=[sq.Unit(name, [sq.Option("camera", 0.1)], model=name) for name in "mn"],
        tensors=[],
    )
    solution = sq.solve(made)
    assert [row.model for row in solution.answer.models] == ["m", "n"]
    assert [row.share for row in solution.answer.models] == [0.75, 0.25]


@pytest.mark.parametrize("place", [".", "none/problem.json"])
def test_a_problem_that_cannot_be_saved_is_told_as_any_error_is(place, tmp_path):
    with pytest.raises(sq.OutputError, match="cannot be written: "):
        problem().save(tmp_path / place)


def test_a_solution_tells_what_its_record_does():
    content = {
        "devices": [{"name": "a", "active_w": 2.0}, {"name": "b"}],
        "links": [{"from": "a", "to": "b", "bytes_per_s": 100}],
        "ends": [{"name": "in", "device": "a"}],
        "units": [
            {"name": "u", "options": [{"device": "a", "seconds": 3, "weight_bytes": 5}]},
            {"name": "v", "options": [{"device": "b", "seconds": 1}]},
        ],
        "tensors": [
            {"name": "x", "from": "in", "to": ["u"], "bytes": 1},
            {"name": "y", "from": "u", "to": ["v"], "bytes": 50},
        ],
    }
    found = sq.solve(content)
    assert found.period_s == 3
    assert found.energy_j == {"a": 6, "b": 0}
    assert found.memory_bytes == {"a": 5, "b": 0}
    assert found.traffic_bytes == {"a-b": 50}
    assert found.stages == ("a", "b")
    none = sq.solve(content | {"limits": [{"measure": "latency", "at_most": 1}]})
    assert (none.period_s, none.energy_j, none.memory_bytes, none.traffic_bytes) == (None, {}, {}, {})
    assert none.stages == ()


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        ([{"measure": "latency"}], "<Solution: optimal, latency 1500 ms>"),
        ([{"measure": "energy"}], "<Solution: optimal, energy 3 J, latency 1500 ms>"),
        ([{"measure": "energy", "weight": 2}], "<Solution: optimal, 2 energy 6, latency 1500 ms>"),
    ],
)
def test_a_solution_has_each_value_once_and_with_its_unit(objective, words):
    device = {"name": "a", "active_w": 2.0}
    unit = {"name": "u", "options": [{"device": "a", "seconds": 1.5}]}
    assert repr(sq.solve({"devices": [device], "units": [unit], "objective": objective})) == words
