import copy
import json
from itertools import pairwise

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.problem_io.cross_references import crosscheck
from planner.problem_io.schema import check_problem

UNITS = ("u", "v", "w", "x")
OPTION = {"device": "a", "seconds": 1}
GOOD = {
    "devices": [{"name": "a"}, {"name": "b"}],
    "links": [{"from": "a", "to": "b"}, {"from": "b", "to": "a", "name": "back"}],
    "ends": [{"name": "in", "device": "a"}, {"name": "out", "device": "b"}],
    "units": [{"name": name, "options": [dict(OPTION)]} for name in UNITS],
    "tensors": [
        {"name": "image", "from": "in", "to": ["u"], "bytes": 8},
        {
            "name": "t",
            "from": "u",
            "to": ["v", "out"],
            "bytes": 8,
            "quantized_by": ["u", "v"],
            "formats": {"uint8": {"bytes": 2, "quantize_s": {"a": 1}}},
            "wires": [{"name": "half", "bytes": 4, "encode_s": {"b": 1}}],
        },
    ],
}


def told(content: dict) -> dict[str, str]:
    """Return key -> text of the faults between keys."""
    spec, faults = check_problem(json.dumps(content).encode())
    assert spec is not None, faults
    return {".".join(map(str, fault.key_path)): fault.text for fault in crosscheck(spec)}


def changed(path: str, value: object) -> dict:
    """Return the good problem with another value at a place; a number one past the end of a list appends."""
    content = copy.deepcopy(GOOD)
    *way, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    part = content
    for key in way:
        part = part[key]
    if isinstance(part, list) and last == len(part):
        part.append(value)
    else:
        part[last] = value
    return content


def test_a_problem_without_faults_has_none():
    assert told(GOOD) == {}


@pytest.mark.parametrize(
    ("path", "value", "key", "text"),
    [
        ("links.0.from", "z", "links.0.from", "names no device: 'z'"),
        ("links.0.to", "u", "links.0.to", "names no device: 'u'"),
        ("ends.1.device", "z", "ends.1.device", "names no device: 'z'"),
        ("units.0.options.0.device", "z", "units.0.options.0.device", "names no device: 'z'"),
        ("units.0.options.0.precision", "int4", "units.0.options.0.precision", "names no precision: 'int4'"),
        ("together", [["u", "in"]], "together.0", "names no unit: 'in'"),
        ("apart", [["u", "z"]], "apart.0", "names no unit: 'z'"),
        ("apart", [["u", "v"], ["w", "w"]], "apart.1", "'w' cannot be apart from itself"),
        ("tensors.0.from", "z", "tensors.0.from", "names no unit or end: 'z'"),
        ("tensors.0.to", ["u", "t"], "tensors.0.to", "names no unit or end: 't'"),
        ("tensors.0.quantized_by", ["in"], "tensors.0.quantized_by", "names no unit: 'in'"),
        ("tensors.0.quantized_by", ["v"], "tensors.0.quantized_by", "'v' neither writes nor reads it"),
        ("tensors.0.inherits", True, "tensors.0.inherits", "needs the unit that writes it in quantized_by"),
        ("tensors.1.to", ["u", "v"], "tensors.1.to", "'u' would read what it writes itself"),
        (
            "tensors.1.formats",
            {"int4": {"bytes": 1}},
            "tensors.1.formats",
            "names no quantized format: 'int4'",
        ),
        (
            "tensors.1.formats",
            {"float": {"bytes": 1}},
            "tensors.1.formats",
            "names no quantized format: 'float'",
        ),
        (
            "tensors.1.formats.uint8.quantize_s",
            {"z": 1},
            "tensors.1.formats.uint8.quantize_s",
            "names no device: 'z'",
        ),
        (
            "tensors.1.formats.uint8.dequantize_s",
            {"z": 1},
            "tensors.1.formats.uint8.dequantize_s",
            "names no device: 'z'",
        ),
        ("tensors.1.wires.0.encode_s", {"z": 1}, "tensors.1.wires.0.encode_s", "names no device: 'z'"),
        ("tensors.1.wires.0.decode_s", {"z": 1}, "tensors.1.wires.0.decode_s", "names no device: 'z'"),
        (
            "tensors.1.wires.1",
            {"name": "half", "bytes": 1},
            "tensors.1.wires.1.name",
            "the name 'half' is already taken",
        ),
        ("tensors.1.wires.0.name", "uint8", "tensors.1.wires.0.name", "the name 'uint8' is already taken"),
        ("tensors.1.wires.0.name", "float", "tensors.1.wires.0.name", "the name 'float' is already taken"),
        ("tensors.1.leave_s", {"z": 1}, "tensors.1.leave_s", "names no device: 'z'"),
        ("tensors.1.enter_s", {"z": 1}, "tensors.1.enter_s", "names no device: 'z'"),
        (
            "formats",
            [{"name": "uint8"}, {"name": "uint16", "suits": ["q"]}],
            "formats.1.suits",
            "names no quantized format: 'q'",
        ),
        ("precisions", {"fp32": "float", "int8": "q"}, "precisions.int8", "names no format: 'q'"),
        (
            "limits",
            [{"measure": "memory", "of": "back", "at_most": 1}],
            "limits.0.of",
            "names no device: 'back'",
        ),
        (
            "limits",
            [{"measure": "traffic", "of": "b-a", "at_most": 1}],
            "limits.0.of",
            "names no link: 'b-a'",
        ),
        ("limits", [{"measure": "memory", "at_most": 1}], "limits.0.of", "is required: memory is a device's"),
        (
            "objective",
            [{"measure": "period", "of": "a"}],
            "objective.0.of",
            "period is of the whole plan, not of a part",
        ),
        ("objective", [{"measure": "latency", "model": "m"}], "objective.0.model", "names no model: 'm'"),
        ("units.0.model", "m", "units.0.model", "names no model: 'm'"),
        ("devices.2", {"name": "a"}, "devices.2.name", "the name 'a' is already taken"),
        ("links.2", {"from": "a", "to": "b"}, "links.2.name", "the name 'a-b' is already taken"),
        ("ends.2", {"name": "in", "device": "a"}, "ends.2.name", "the name 'in' is already taken"),
        ("ends.2", {"name": "u", "device": "a"}, "ends.2.name", "is the name of a unit, too"),
        ("units.4", {"name": "u", "options": [OPTION]}, "units.4.name", "the name 'u' is already taken"),
        (
            "tensors.2",
            {"name": "t", "from": "w", "to": ["x"], "bytes": 1},
            "tensors.2.name",
            "the name 't' is already taken",
        ),
    ],
)
def test_a_name_that_does_not_fit_is_told_with_its_place(path, value, key, text):
    found = told(changed(path, value))
    assert found[key] == text
    assert len(found) == 1


def test_a_format_may_not_be_called_as_the_one_that_is_always_there():
    content = changed("formats", [{"name": "uint8"}, {"name": "float"}])
    content["precisions"] = {"fp32": "float", "int8": "uint8"}
    assert told(content) == {"formats.1.name": "'float' is the format that is always there"}


def test_memory_of_all_devices_may_be_minimised_and_a_makespan_wants_a_stage_for_each_start():
    assert told(changed("objective", [{"measure": "memory"}])) == {}
    content = changed("objective", [{"measure": "makespan"}])
    assert told(content) == {}
    content["devices"][1] |= {"visits": None, "start_s": 0.0}
    assert told(content) == {}
    content["devices"][1]["start_s"] = 0.5
    assert told(content) == {"objective.0.measure": "needs a start_s of 0 where visits is null"}


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(*[st.sampled_from((*UNITS, "in", "out"))] * 2).filter(lambda pair: pair[0] != pair[1]))
)
def test_tensors_that_lead_back_to_a_unit_are_told_as_a_path_of_tensors(pairs):
    content = changed(
        "tensors", [{"name": f"t{i}", "from": a, "to": [b], "bytes": 1} for i, (a, b) in enumerate(pairs)]
    )
    graph = nx.DiGraph(pair for pair in pairs if set(pair) <= set(UNITS))
    found = told(content)
    assert bool(found) == (not nx.is_directed_acyclic_graph(graph))
    if found:
        path = found.pop("tensors").removeprefix("run in a circle: ").split(" > ")
        assert path[0] == path[-1]
        assert all(pair in pairs for pair in pairwise(path))
        assert not found


def of_models(**models: dict) -> dict:
    """Return a problem of units u, v of model m, and w of model n, with an end each."""
    return {
        "devices": [{"name": "a"}],
        "models": [{"name": name} | more for name, more in models.items()],
        "units": [
            {"name": n, "model": m, "options": [OPTION]} for n, m in (("u", "m"), ("v", "m"), ("w", "n"))
        ],
        "ends": [
            {"name": "in_m", "device": "a", "model": "m"},
            {"name": "in_n", "device": "a", "model": "n"},
        ],
        "tensors": [
            {"name": "x", "from": "in_m", "to": ["u", "v"], "bytes": 1},
            {"name": "y", "from": "in_n", "to": ["w"], "bytes": 1},
        ],
    }


def test_two_models_without_faults_have_none():
    assert told(of_models(m={}, n={"weight": 2})) == {}
    assert told(of_models(m={"requests_per_s": 1}, n={"requests_per_s": 2})) == {}


def test_what_goes_together_ill_between_models_is_told():
    assert told(of_models(m={"requests_per_s": 1}, n={})) == {
        "models.1.requests_per_s": "is required, since other models have one"
    }
    assert told(of_models(m={}, n={}, o={})) == {"models.2": "no unit is of model 'o'"}
    content = of_models(m={}, n={})
    content["tensors"][0]["to"] = ["u", "w"]
    content["units"][1].pop("model")
    content["limits"] = [{"measure": "energy", "at_most": 1, "model": "m"}]
    assert told(content) == {
        "tensors.0.to": "leads from a part of model 'm' to another's",
        "units.1.model": "is required, since there are several: which of `models`",
        "limits.0.model": "energy is of all models, not of one",
    }
