"""`plan solve`: what people write, what they get, and what they are told."""

import copy
import io
import json
import os
import pty

import pytest
from repository import ROOT

from planner.cli.commands import main
from planner.errors import ProblemError
from planner.problem_io.loader import load_problem, load_spec, read_spec
from planner.solver.solve import solve

EXAMPLE = ROOT / "scenarios" / "problem.json"
GOOD = json.loads(EXAMPLE.read_text())


@pytest.fixture
def ask(tmp_path, capsys):
    """Call `plan solve` on a problem: (exit code, stdout, stderr)."""

    def call(problem: object, *options: str) -> tuple[int, str, str]:
        path = tmp_path / "p.json"
        path.write_text(problem if isinstance(problem, str) else json.dumps(problem))
        with pytest.raises(SystemExit) as done:
            main(["solve", str(path), *options])
        out, err = capsys.readouterr()
        return done.value.code, out, err.replace(str(tmp_path) + "/", "")

    return call


def changed(**keys) -> dict:
    return copy.deepcopy(GOOD) | keys


def answer(ask, problem) -> dict:
    code, out, err = ask(problem, "--json")
    assert (code, err) == (0, ""), err
    return json.loads(out)


def places(found) -> dict[str, tuple[str, str]]:
    return {row["unit"]: (row["device"], row["precision"]) for row in found["assignments"]}


def test_the_example_is_solved_to_the_optimum(ask):
    found = answer(ask, GOOD)
    assert found["status"] == "optimal"
    assert places(found)["classes"] == ("server", "fp32")
    assert [cut["path"] for cut in found["cuts"]] == [["camera", "gateway", "server"]]
    assert found["objective"]["value"] == pytest.approx(found["costs"]["latency_s"])
    assert found["costs"]["memory_bytes"]["camera"] <= 262144
    assert found["stages"] == ["camera", "server"]
    assert found["solver"]["peak_mib"] > 0


def test_a_key_that_is_there_twice_is_refused_wherever_it_is(ask):
    text = json.dumps(GOOD)
    twice = text.replace('"objective"', '"limits": [], "objective"', 1).replace(
        '"to": ', '"to": 1, "to": ', 1
    )
    code, out, err = ask(twice)
    assert (code, out) == (1, "")
    assert set(err.splitlines()) == {
        "p.json: 'limits' is there 2 times in one mapping",
        "p.json: 'to' is there 2 times in one mapping",
    }


def test_a_person_gets_a_table(ask):
    code, out, _ = ask(GOOD)
    assert code == 0
    for word in ("optimal answer", "camera", "pooled", "proved bound", "constraints"):
        assert word in out


def test_a_private_tensor_stays_where_it_arises(ask):
    problem = changed()
    for tensor in problem["tensors"]:
        tensor["private"] = tensor["name"] == "pooled"
    problem["limits"] = []
    found = answer(ask, problem)
    assert "pooled" not in [cut["tensor"] for cut in found["cuts"]]


def test_pins_groups_and_precisions_are_options(ask):
    assert (
        len(
            set(
                map(
                    tuple, (places(answer(ask, changed(limits=[], together=[["conv1", "conv2", "classes"]]))))
                )
            )
        )
        == 3
    )
    apart = places(answer(ask, changed(limits=[], apart=[["conv1", "conv2"]])))
    assert apart["conv1"][0] != apart["conv2"][0]


def test_a_float_tensor_may_cross_in_another_form(ask):
    problem = changed(limits=[{"measure": "noise", "at_most": 1e-8}])
    problem["units"][0]["options"] = problem["units"][0]["options"][:1]
    problem["units"][1]["options"] = problem["units"][1]["options"][:1]
    problem["units"][2]["options"] = problem["units"][2]["options"][1:]
    found = answer(ask, problem)
    assert [cut["wire"] for cut in found["cuts"]] == ["float16"]
    assert found["costs"]["noise_power"] == pytest.approx(1e-9)


def test_a_device_may_be_visited_again(ask):
    problem = changed(limits=[], apart=[["conv1", "conv2"], ["conv2", "classes"]])
    problem["links"] += [{"from": "server", "to": "camera"}]
    problem["units"][0]["options"] = problem["units"][0]["options"][:1]
    code, _, err = ask(problem)
    assert code == 3, err
    problem["devices"][0]["visits"] = 2
    assert places(answer(ask, problem))["classes"][0] == "camera again"
    problem["devices"][0]["visits"] = None
    assert places(answer(ask, problem))["classes"][0] == "camera"


def test_every_measure_can_be_the_objective(ask):
    whole = ("latency", "makespan", "period", "energy", "traffic", "noise", "money")
    rows = [{"measure": measure} for measure in whole]
    rows += [{"measure": "memory", "of": "camera"}, {"measure": "traffic", "of": "camera-gateway"}]
    for row in rows:
        assert answer(ask, changed(limits=[], objective=[row]))["status"] == "optimal"


def test_a_conflict_is_told_and_loosening_it_helps(ask):
    limits = [{"measure": "noise", "at_most": 1e-9}, {"measure": "latency", "at_most": 0.02}]
    code, out, err = ask(changed(limits=limits), "--json")
    assert code == 3
    found = json.loads(out)
    assert found["status"] == "infeasible"
    assert err == "infeasible: latency <= 0.02 s cannot be kept; latency <= 0.041176 s would do\n"
    for one in found["conflict"]:
        loosened = [
            row | {"at_most": one["least"] * 1.0001} if row["measure"] == one["measure"] else row
            for row in limits
        ]
        assert answer(ask, changed(limits=loosened))["status"] == "optimal"


BAD = {
    "not json": ("{", "Invalid JSON"),
    "empty": ({}, "devices is required"),
    "unknown key": (changed(limit=[]), "limit is not a known key; did you mean limits?"),
    "another unknown key": (changed(zzz=[]), "zzz is not a known key; see `plan schema --problem`"),
    "a link to itself": (
        changed(links=[{"from": "camera", "to": "camera"}]),
        "links.0 joins device 'camera' to itself",
    ),
    "no weight": (
        changed(objective=[{"measure": "latency", "weight": 0}]),
        "objective needs a weight above 0",
    ),
    "a notebook": (
        {"cells": [], "metadata": {}},
        "holds no table of costs: none of its keys is one of devices",
    ),
    "no units": (changed(units=[]), "units needs at least 1 entry"),
    "negative": (
        changed(limits=[{"measure": "noise", "at_most": -1}]),
        "limits.0.at_most must be >= 0, got -1",
    ),
    "nan": (json.dumps(changed(limits=[{"measure": "noise", "at_most": float("nan")}])), "limits.0.at_most"),
    "infinite": (
        json.dumps(changed(limits=[{"measure": "noise", "at_most": float("inf")}])),
        "limits.0.at_most",
    ),
    "overflow": (
        changed(limits=[{"measure": "noise", "at_most": 1e300}]),
        "limits.0.at_most must be <= 1e+15",
    ),
    "text": (
        changed(limits=[{"measure": "noise", "at_most": "1"}]),
        "limits.0.at_most must be a number, got '1'",
    ),
    "measure": (changed(limits=[{"measure": "nois", "at_most": 1}]), "limits.0.measure must be 'latency'"),
    "of whole": (
        changed(objective=[{"measure": "noise", "of": "camera"}]),
        "objective.0.of noise is of the whole",
    ),
    "memory of none": (changed(limits=[{"measure": "memory", "at_most": 1}]), "limits.0.of is required"),
    "no device": (
        changed(limits=[{"measure": "memory", "of": "cam", "at_most": 1}]),
        "limits.0.of names no device: 'cam'",
    ),
    "no link": (
        changed(limits=[{"measure": "traffic", "of": "cam", "at_most": 1}]),
        "limits.0.of names no link: 'cam'",
    ),
    "no unit": (changed(together=[["conv1", "conv9"]]), "together.0 names no unit: 'conv9'"),
    "twice": (
        changed(devices=GOOD["devices"] + [{"name": "camera"}]),
        "devices.3.name the name 'camera' is already",
    ),
    "end like unit": (
        changed(ends=GOOD["ends"] + [{"name": "conv1", "device": "camera"}]),
        "ends.2.name is the name of a unit, too",
    ),
    "idle above active": (
        changed(devices=[{"name": "camera", "idle_w": 2}]),
        "idle_w must not exceed active_w",
    ),
    "format": (
        changed(precisions={"fp32": "float", "int8": "int9"}),
        "precisions.int8 names no format: 'int9'",
    ),
    "precision": (changed(precisions={"fp32": "float"}), "options.1.precision names no precision: 'int8'"),
    "makespan": (
        changed(
            devices=[d | {"visits": None, "start_s": 1.0} for d in GOOD["devices"]],
            objective=[{"measure": "makespan"}],
        ),
        "objective.0.measure needs a start_s of 0 where visits is null",
    ),
    "solver": (changed(solver={"name": "glpk"}), "solver.name must be"),
    "circle": (
        changed(tensors=[*GOOD["tensors"], {"name": "back", "from": "classes", "to": ["conv1"], "bytes": 4}]),
        "tensors run in a circle: ",
    ),
    "zero visits": (changed(devices=[{"name": "camera", "visits": 0}]), "devices.0.visits must be >= 1"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_is_told_with_its_place(name, ask):
    problem, message = BAD[name]
    code, out, err = ask(problem)
    assert message in err
    assert (code, out) == (1, "")
    assert "Traceback" not in err


def test_a_fault_names_the_part_it_is_in(ask):
    units = changed()["units"]
    units[1]["options"][0]["seconds"] = -1
    name = units[1]["name"]
    assert f"units.1.options.0.seconds must be >= 0, got -1 (unit {name!r})" in ask(changed(units=units))[2]
    units[1]["name"] = units[0]["name"]
    units[1]["options"][0]["seconds"] = 1
    assert f"units.1.name the name {units[0]['name']!r} is already taken\n" in ask(changed(units=units))[2]


def test_a_missing_file_is_told(capsys, tmp_path):
    with pytest.raises(SystemExit) as done:
        main(["solve", str(tmp_path / "no.json")])
    assert done.value.code == 1
    assert "No such file" in capsys.readouterr().err


def typed_in(monkeypatch, text: bytes, *options: str) -> int:
    """Call `plan solve` with a text at its standard input, and return its exit code."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
    with pytest.raises(SystemExit) as done:
        main(["solve", *options])
    return done.value.code


@pytest.mark.parametrize("options", [("-", "--json"), ("--json", "-"), ("--json", "--", "-")])
def test_a_problem_from_the_standard_input_is_answered_as_its_file_is(monkeypatch, capsys, ask, options):
    text = json.dumps(GOOD)
    in_file = json.loads(ask(text, "--json")[1])
    assert typed_in(monkeypatch, text.encode(), *options) == 0
    piped = json.loads(capsys.readouterr().out)
    for key in ("assignments", "cuts", "costs", "objective"):
        assert piped[key] == in_file[key]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "standard input is empty: pipe the text of PROBLEM.json into `plan solve -`\n"),
        (b"{", "standard input: "),
        (b" " * (16 * 2**20 + 1), "standard input is larger than 16 MiB, the most that is read here\n"),
    ],
)
def test_a_standard_input_that_holds_no_problem_is_told(monkeypatch, capsys, text, message):
    assert typed_in(monkeypatch, text, "-") == 1
    assert capsys.readouterr().err.startswith(message)


def test_a_closed_standard_input_is_an_empty_one(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(SystemExit):
        main(["solve", "-"])
    assert capsys.readouterr().err.startswith("standard input is empty")


def test_a_terminal_is_not_waited_for():
    """The command's process is none of the terminal's foreground: reading from there would stop it."""
    own, theirs = pty.openpty()
    told = pytest.raises(ProblemError, match="standard input is a terminal: give PROBLEM.json, or pipe")
    with os.fdopen(own, "wb"), os.fdopen(theirs, "rb") as terminal, told:
        read_spec(terminal)


def test_an_option_that_does_not_exist_is_no_file(ask):
    assert ask(GOOD, "-", "--jsn")[:2] == (2, "")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("d.yaml", "devices: []\nunits: []\n", "is YAML: a table of costs is JSON, with the same keys"),
        ("s.yaml", "model: m.onnx\n", "is a scenario, not a table of costs: give PROBLEM.json, or `plan "),
        ("c.csv", "unit,seconds\nu,1\n", "is a CSV table: give PROBLEM.json"),
    ],
)
def test_a_file_of_another_kind_is_told(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ProblemError, match=message):
        load_spec(tmp_path / name)


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("quantized_by", ["classes"], "tensors.1.quantized_by 'classes' neither writes nor reads it"),
        ("inherits", True, None),
        ("to", ["conv1"], "tensors.1.to 'conv1' would read what it writes itself"),
        ("from", "conv9", "tensors.1.from names no unit or end: 'conv9'"),
        ("bytes", -1, "tensors.1.bytes must be >= 0, got -1"),
        ("leave_s", {"cam": 1.0}, "tensors.1.leave_s names no device: 'cam'"),
        ("formats", {"int4": {"bytes": 1}}, "tensors.1.formats names no quantized format: 'int4'"),
    ],
)
def test_a_mistake_in_a_tensor_is_told(part, change, message, ask):
    problem = changed()
    problem["tensors"][1][part] = change
    code, _, err = ask(problem)
    assert code == (0 if message is None else 1)
    assert (message or "") in err


BOUNDS = {
    "units": (
        [{"name": f"u{n}", "options": [{"device": "a", "seconds": 1}]} for n in range(10_001)],
        "10000",
    ),
    "devices": ([{"name": f"d{n}"} for n in range(65)], "64"),
}


@pytest.mark.parametrize("key", BOUNDS)
def test_a_problem_has_bounds_and_tells_them(key, capsys, tmp_path):
    rows, most = BOUNDS[key]
    (tmp_path / "p.json").write_text(json.dumps(changed(**{key: rows})))
    with pytest.raises(SystemExit) as done:
        main(["solve", str(tmp_path / "p.json")])
    assert done.value.code == 1
    assert f"{key} may have at most {most} entries" in capsys.readouterr().err


@pytest.mark.parametrize("text", [" " * (16 * 2**20 + 1), "[" * 100_000, '{"version": ' + "9" * 5000 + "}"])
def test_what_is_too_large_to_read_costs_a_line(text, capsys, tmp_path):
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(SystemExit) as done:
        main(["solve", str(tmp_path / "p.json")])
    assert done.value.code == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_schema_of_the_problem_is_printed(capsys):
    with pytest.raises(SystemExit):
        main(["schema", "--problem"])
    printed = json.loads(capsys.readouterr().out)
    assert printed["title"] == "ProblemSpec"
    assert set(printed["required"]) == {"devices", "units"}


def test_solving_by_file_and_by_hand_is_the_same():
    problem, options = load_problem(EXAMPLE)
    assert solve(problem, options).objective == pytest.approx(0.0256212)


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ({"measure": "latency", "at_most": 1e-9}, "latency <= 1e-09 s cannot be kept; latency <= "),
        ({"measure": "energy", "at_most": 1e-9}, "energy <= 1e-09 J"),
        ({"measure": "memory", "of": "camera", "at_most": 1}, "memory of camera <= 1 bytes"),
        ({"measure": "traffic", "at_most": 1}, "traffic <= 1 bytes"),
    ],
)
def test_a_limit_that_cannot_be_kept_has_its_unit(ask, limit, words):
    problem = changed(limits=[limit])
    problem["units"][0]["options"] = problem["units"][0]["options"][:1]
    for one in problem["devices"]:
        one["active_w"] = 1.0
    code, _, err = ask(problem)
    assert (code, words in err) == (3, True), err
