import copy
import json

import pytest
from repository import ROOT

from planner.problem_io.schema import ProblemSpec, check_problem, problem_schema

LEAST = {"devices": [{"name": "a"}], "units": [{"name": "u", "options": [{"device": "a", "seconds": 1}]}]}


def told(**changes) -> list[tuple[str, str]]:
    spec, faults = check_problem(json.dumps(copy.deepcopy(LEAST) | changes).encode())
    assert (spec is None) == bool(faults)
    return [(".".join(map(str, fault.key_path)), fault.text) for fault in faults]


def read(**changes) -> ProblemSpec:
    spec, faults = check_problem(json.dumps(copy.deepcopy(LEAST) | changes).encode())
    assert faults == ()
    return spec


def test_the_least_problem_has_the_defaults_that_the_schema_tells():
    spec = read()
    assert [(term.measure, term.weight) for term in spec.objective] == [("latency", 1.0)]
    assert [(one.name, one.suits) for one in spec.formats] == [("uint8", ()), ("uint16", ("uint8",))]
    assert spec.precisions["fp32"] == spec.units[0].options[0].precision.replace("fp32", "float")
    assert (spec.links, spec.ends, spec.tensors, spec.limits, spec.models) == ((), (), (), (), ())


def test_what_is_read_is_what_is_written_again():
    spec, _ = check_problem((ROOT / "scenarios" / "problem.json").read_bytes())
    text = spec.model_dump_json(by_alias=True, exclude_unset=True)
    assert json.loads(text) == json.loads((ROOT / "scenarios" / "problem.json").read_text())
    assert check_problem(text.encode()) == (spec, ())


def test_a_link_without_a_name_is_called_after_its_ends():
    links = [{"from": "a", "to": "b"}, {"from": "a", "to": "b", "name": "radio"}]
    assert [link.label for link in read(links=links).links] == ["a-b", "radio"]


@pytest.mark.parametrize(
    ("models", "shares", "requests_per_s"),
    [
        ([], (), None),
        ([{}], (1.0,), None),
        ([{}, {"weight": 3}], (0.25, 0.75), None),
        ([{"requests_per_s": 1}, {"requests_per_s": 4}], (0.2, 0.8), 5.0),
        ([{"requests_per_s": 1e-9}, {"requests_per_s": 1e15}], (1e-24, 1.0), 1e15),
    ],
)
def test_each_model_has_its_share_of_the_requests(models, shares, requests_per_s):
    spec = read(models=[{"name": f"m{i}"} | row for i, row in enumerate(models)])
    assert spec.shares == pytest.approx(shares, rel=1e-9)
    assert spec.requests_per_s == requests_per_s
    assert not models or sum(spec.shares) == pytest.approx(1.0)


def option(**keys) -> list[dict]:
    return [{"name": "u", "options": [{"device": "a", "seconds": 1} | keys]}]


@pytest.mark.parametrize(
    ("changes", "faults"),
    [
        ({"devices": []}, [("devices", "needs at least 1 entry")]),
        ({"units": option(seconds=-1)}, [("units.0.options.0.seconds", "must be >= 0, got -1")]),
        (
            {"units": option(seconds=2e15)},
            [("units.0.options.0.seconds", "must be <= 1e+15, got 2000000000000000.0")],
        ),
        ({"units": option(seconds=None)}, [("units.0.options.0.seconds", "must be a number, got None")]),
        ({"units": option(seconds=True)}, [("units.0.options.0.seconds", "must be a number, got True")]),
        ({"units": option(device="")}, [("units.0.options.0.device", "must not be empty")]),
        (
            {"units": option(sceonds=1)},
            [("units.0.options.0.sceonds", "is not a known key; did you mean seconds?")],
        ),
        ({"units": [{"name": "u", "options": []}]}, [("units.0.options", "needs at least 1 entry")]),
        ({"devices": [{"name": "a", "visits": 9}]}, [("devices.0.visits", "must be <= 8, got 9")]),
        ({"devices": [{"name": "a", "idle_w": 1}]}, [("devices.0", "idle_w must not exceed active_w")]),
        (
            {"links": [{"from": "a", "to": "a", "bytes_per_s": 0}]},
            [("links.0.bytes_per_s", "must be > 0, got 0")],
        ),
        (
            {"models": [{"name": "m", "weight": 1, "requests_per_s": 1}]},
            [("models.0", "give either requests_per_s or weight, not both")],
        ),
        ({"models": [{"name": "m", "weight": 0}]}, [("models.0.weight", "must be > 0, got 0")]),
        ({"objective": []}, [("objective", "needs at least 1 entry")]),
        ({"apart": [["u"]]}, [("apart.0.1", "is required")]),
        (
            {"tensors": [{"name": "t", "from": "u", "to": [], "bytes": 1}]},
            [("tensors.0.to", "needs at least 1 entry")],
        ),
        ({"version": 2}, [("version", "must be 1, got 2")]),
        ({"solver": {"gap": -1}}, [("solver.gap", "must be >= 0, got -1")]),
        ({"solver": {"gap": 1.5}}, [("solver.gap", "must be < 1, got 1.5")]),
    ],
)
def test_a_value_that_cannot_be_is_told_with_its_place(changes, faults):
    assert told(**changes) == faults


def test_all_faults_are_told_at_once():
    found = told(devices=[{"name": "a", "start_s": -1}, {}], units=option(joules="1"), limit=[])
    assert [key for key, _ in found] == [
        "devices.0.start_s",
        "devices.1.name",
        "units.0.options.0.joules",
        "limit",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "Invalid JSON: EOF while parsing"),
        (b"{", "Invalid JSON"),
        (b"\xff\xfe{}", "Invalid JSON"),
        (b"[]", "must be a mapping of keys, got []"),
        (b"null", "must be a mapping of keys, got None"),
        (b'{"a": 1,}', "Invalid JSON"),
    ],
)
def test_what_is_no_problem_has_one_fault_of_the_whole(text, message):
    spec, (fault,) = check_problem(text)
    assert spec is None
    assert fault.key_path == ()
    assert fault.text.startswith(message)


def test_a_key_that_is_there_twice_is_told_and_not_overwritten():
    text = json.dumps(LEAST).replace('"seconds": 1', '"seconds": 1, "seconds": 2, "seconds": 3')
    spec, faults = check_problem(text.encode())
    assert spec is None
    assert [fault.text for fault in faults] == ["'seconds' is there 3 times in one mapping"]


def test_equal_keys_of_different_mappings_are_fine():
    assert read(devices=[{"name": "a"}, {"name": "b"}]).devices[1].name == "b"


def test_the_schema_knows_every_key_as_it_is_written():
    schema = problem_schema()
    assert set(schema["properties"]) == set(ProblemSpec.model_fields)
    assert {"from", "to"} <= set(schema["$defs"]["ProblemLink"]["properties"])
    assert {"from", "to"} <= set(schema["$defs"]["TensorSpec"]["properties"])
    assert not any(
        part.get("additionalProperties", True)
        for part in (schema, *schema["$defs"].values())
        if "properties" in part
    )
