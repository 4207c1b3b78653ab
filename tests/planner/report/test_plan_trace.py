import json

import msgspec
import pytest
from made_records import CUT, MEASURED, PREDICTED, SCENARIO, made_plan

from planner.report.plan_trace import PlacedStage, plan_trace

replaced = msgspec.structs.replace


def spans(trace, process: str) -> list[tuple[str, str, float, float]]:
    """Return (lane, name, begin, duration) of a group's spans, in milliseconds."""
    events = json.loads(msgspec.json.encode(trace))["traceEvents"]
    groups = {e["args"]["name"]: e["pid"] for e in events if e["name"] == "process_name"}
    lanes = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    return [
        (lanes[e["pid"], e["tid"]], e["name"], e["ts"] / 1e3, e["dur"] / 1e3)
        for e in events
        if e["ph"] == "X" and e["pid"] == groups[process]
    ]


def plan_of(graph, scenario=None, **changes):
    names = tuple(unit.name for unit in graph.units)
    sent = replaced(CUT, tensor=graph.units[1].outputs[0])
    answer = replaced(
        CUT,
        tensor=graph.outputs[0],
        source="server",
        target="camera",
        path=("server", "camera"),
        seconds=0.002,
    )
    return made_plan(names, scenario, cuts=(answer, sent), **changes)


STAGES = [PlacedStage("camera", (0, 1)), PlacedStage("server", (2, 3, 4))]


def test_a_request_is_one_thing_after_another_as_long_as_it_computes_and_moves(residual):
    graph = residual.graph
    found = spans(plan_trace(plan_of(graph), graph, STAGES), "predicted")
    moved, answer = graph.units[1].outputs[0], graph.outputs[0]
    assert [(lane, name) for lane, name, _, _ in found] == [
        ("camera", "stage 0"), ("camera > server", moved), ("server", "stage 1"), ("server > camera", answer),
    ]  # fmt: skip
    assert [duration for *_, duration in found] == pytest.approx([9.19, 201.1, 3.16, 2.0])
    ends = [0.0, *(begin + duration for _, _, begin, duration in found)]
    assert [begin for _, _, begin, _ in found] == pytest.approx(ends[:-1])


def test_a_devices_seconds_are_shared_out_to_its_stages_by_their_units(residual):
    graph = residual.graph
    stages = [PlacedStage("camera", (0,)), PlacedStage("server", (1, 2, 3)), PlacedStage("camera", (4,))]
    plan = plan_of(graph)
    found = spans(plan_trace(plan, graph, stages), "predicted")
    own = {name: duration for lane, name, _, duration in found if lane == "camera"}
    units = [plan.assignments[n].compute_s for n in (0, 4)]
    assert sum(own.values()) == pytest.approx(9.19)
    assert own["stage 0"] / own["stage 2"] == pytest.approx(units[0] / units[1])


def test_a_stage_without_units_takes_what_its_device_computes(residual):
    stages = [*STAGES[:1], PlacedStage("server", ())]
    found = spans(plan_trace(plan_of(residual.graph), residual.graph, stages), "predicted")
    assert [duration for lane, _, _, duration in found if lane == "server"] == pytest.approx([3.16])


def test_a_tensor_over_two_links_is_shared_out_by_their_speeds(residual):
    scenario = SCENARIO | {
        "devices": [*SCENARIO["devices"], {"name": "hub", "scaled_from": "camera", "speedup": 2}],
        "links": [
            {"from": "camera", "to": "hub", "bandwidth_mbit_per_s": 8},
            {"from": "hub", "to": "server", "bandwidth_mbit_per_s": 24},
        ],
    }
    graph = residual.graph
    sent = replaced(CUT, tensor=graph.units[1].outputs[0], path=("camera", "hub", "server"), seconds=0.4)
    plan = replaced(plan_of(graph, scenario), cuts=(sent,))
    found = spans(plan_trace(plan, graph, STAGES), "predicted")
    assert [(lane, pytest.approx(duration)) for lane, _, _, duration in found if " > " in lane] == [
        ("camera > hub", 300.0), ("hub > server", 100.0),
    ]  # fmt: skip


def test_measured_stages_begin_where_predicted_ones_do_and_take_their_share_of_the_fp32_model(residual):
    graph = residual.graph
    plan = plan_of(
        graph,
        predicted=replaced(PREDICTED, fp32_s={"camera": 0.02, "server": 0.004}),
        measured=replaced(MEASURED, stage_ratios_to_fp32=(0.6, 0.7)),
    )
    trace = plan_trace(plan, graph, STAGES)
    measured, predicted = spans(trace, "measured"), spans(trace, "predicted")
    assert [(lane, duration) for lane, _, _, duration in measured] == [
        ("camera", pytest.approx(12.0)), ("server", pytest.approx(2.8)),
    ]  # fmt: skip
    begins = {name: begin for _, name, begin, _ in predicted}
    assert all(begin == begins[name] for _, name, begin, _ in measured)


def test_what_was_not_measured_stage_by_stage_has_no_measured_span(residual):
    graph = residual.graph
    for changes in ({}, {"measured": None}, {"measured": replaced(MEASURED, stage_ratios_to_fp32=(0.6,))}):
        predicted = replaced(PREDICTED, fp32_s={"camera": 0.02, "server": 0.004})
        plan = plan_of(graph, **({"predicted": predicted} | changes))
        assert spans(plan_trace(plan, graph, STAGES), "measured") == []


def test_viewers_are_told_to_show_predicted_above_measured_and_devices_as_a_request_meets_them(residual):
    graph = residual.graph
    trace = plan_trace(plan_of(graph), graph, STAGES)
    events = json.loads(msgspec.json.encode(trace))["traceEvents"]

    def ranked(what):
        names = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == f"{what}_name"}
        ranks = {
            (e["pid"], e["tid"]): e["args"]["sort_index"] for e in events if e["name"] == f"{what}_sort_index"
        }
        assert names.keys() == ranks.keys()
        return [(key[0], names[key]) for key in sorted(ranks, key=lambda key: (key[0], ranks[key]))]

    assert [name for _, name in ranked("process")] == ["predicted", "measured"]
    lanes = ["camera", "camera > server", "server", "server > camera"]
    groups = dict(ranked("process"))
    for group in groups:
        assert [name for pid, name in ranked("thread") if pid == group] == lanes
    ranks = {e["pid"]: e["args"]["sort_index"] for e in events if e["name"] == "process_sort_index"}
    assert [groups[pid] for pid in sorted(ranks, key=ranks.get)] == ["predicted", "measured"]
