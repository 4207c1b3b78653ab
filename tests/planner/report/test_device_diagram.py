"""Every device and link of a scenario is in the picture once, with what the plan does there."""

import re

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from made_records import CUT, PREDICTED, SCENARIO, made_plan

from planner.report.device_diagram import DeviceBox, DeviceDiagram, device_diagram
from planner.report.html_values import FormattedValues
from planner.scenario.loader import parse_scenario


def diagram_of(scenario: dict, **changes) -> DeviceDiagram:
    plan = made_plan(scenario=scenario, **changes)
    return device_diagram(plan, parse_scenario(bytes(plan.scenario)), FormattedValues(plan))


def text_of(markup: str) -> str:
    return re.sub(r"<[^>]*>", "", str(markup))


def with_devices(names: list[str], links: list[tuple[str, str]]) -> dict:
    devices = [SCENARIO["devices"][0]] + [
        {"name": name, "scaled_from": "camera", "speedup": 2} for name in names if name != "camera"
    ]
    ends = [{"from": a, "to": b, "bandwidth_mbit_per_s": 5, "latency_ms": 1.5} for a, b in links]
    return SCENARIO | {"devices": devices, "links": ends, "sink": "camera"}


def test_a_device_says_its_part_what_it_computes_and_what_it_holds():
    camera, links, server = diagram_of(SCENARIO).row
    assert (camera.name, camera.role) == ("camera", "source, sink")
    assert (server.name, server.role) == ("server", "4 times the speed of camera")
    lines = [text_of(line) for line in camera.lines]
    assert re.fullmatch(r"\d units: .*", lines[0])
    assert lines[1] == f"{PREDICTED.compute_s['camera'] * 1e3:.2f} ms per request"
    assert lines[2].endswith("of memory")
    assert camera.colour != server.colour
    assert [link.ends for link in links] == ["camera > server", "server > camera"]


def test_a_link_says_what_crosses_it():
    _, (used, unused), _ = diagram_of(SCENARIO, cuts=(CUT,)).row
    assert [text_of(text) for text in used.tensors] == ["relu2, uint8, 196.0 KiB, 201.10 ms"]
    assert used.speed == "8 Mbit/s"
    assert unused.tensors == ()


def test_of_many_tensors_a_link_shows_some_and_says_how_many_more():
    cuts = tuple(msgspec.structs.replace(CUT, tensor=f"t{n}") for n in range(7))
    _, (used, _), _ = diagram_of(SCENARIO, cuts=cuts).row
    assert len(used.tensors) == 4
    assert used.tensors[-1] == "and 4 more"


def test_a_device_without_units_computes_nothing():
    scenario = with_devices(["camera", "server", "idle"], [("camera", "idle"), ("idle", "server")])
    boxes = {box.name: box for box in diagram_of(scenario).row if isinstance(box, DeviceBox)}
    assert boxes["idle"].lines == ("computes nothing",)


def test_each_link_of_a_way_has_its_own_part_of_the_time():
    links = [("camera", "gateway"), ("gateway", "server"), ("server", "camera")]
    scenario = with_devices(["camera", "gateway", "server"], links)
    scenario["links"][0]["bandwidth_mbit_per_s"] = 2
    scenario["links"][1] = scenario["links"][1] | {"bandwidth_mbit_per_s": 100, "latency_ms": 0.5}
    cut = msgspec.structs.replace(
        CUT, path=("camera", "gateway", "server"), size_bytes=25_000, seconds=0.1015 + 0.0025
    )
    found = diagram_of(scenario, cuts=(cut,))
    boxes = [link for box in found.row if isinstance(box, tuple) for link in box] + list(found.others)
    texts = {link.ends: [text_of(text) for text in link.tensors] for link in boxes}
    assert texts["camera > gateway"] == ["relu2, uint8, 24.4 KiB, 101.50 ms of 104.00 ms"]
    assert texts["gateway > server"] == ["relu2, uint8, 24.4 KiB, 2.50 ms of 104.00 ms"]
    assert texts["server > camera"] == []


def test_a_device_without_units_says_what_its_stage_does():
    scenario = with_devices(["camera", "server", "idle"], [("camera", "idle"), ("idle", "server")])
    predicted = msgspec.structs.replace(PREDICTED, compute_s=PREDICTED.compute_s | {"idle": 0.00025})
    boxes = {
        box.name: box for box in diagram_of(scenario, predicted=predicted).row if isinstance(box, DeviceBox)
    }
    assert [text_of(text) for text in boxes["idle"].lines] == [
        "no units: changes the format of what it sends",
        "250.0 µs per request",
    ]


names = st.lists(st.sampled_from("abcdefg"), unique=True, max_size=6)


@given(names, st.data())
def test_each_device_and_each_link_is_there_once(others, data):
    devices = ["camera", "server", *others]
    pairs = [(a, b) for a in devices for b in devices if a != b]
    links = data.draw(st.lists(st.sampled_from(pairs), unique=True))
    # What the plan uses has to be connected.
    links += [pair for pair in (("camera", "server"), ("server", "camera")) if pair not in links]
    found = diagram_of(with_devices(devices, links), cuts=())
    boxes = [box.name for box in found.row if isinstance(box, DeviceBox)]
    drawn = [link.ends for box in found.row if isinstance(box, tuple) for link in box]
    drawn += [link.ends for link in found.others]
    assert sorted(boxes) == sorted(devices)
    assert boxes[0] == "camera"
    assert sorted(drawn) == sorted(f"{a} > {b}" for a, b in links)


def test_a_device_without_a_speedup_is_as_fast_as_the_one_whose_costs_it_takes():
    devices = [SCENARIO["devices"][0], {"name": "server", "scaled_from": "camera"}]
    _, _, server = diagram_of(SCENARIO | {"devices": devices}).row
    assert server.role == "1 times the speed of camera"
