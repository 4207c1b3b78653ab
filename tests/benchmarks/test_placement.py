"""Published workloads cost what their own code says: worked out by its rules, by hand."""

import json

import pytest
from placement import STATED

from planner.problem.cost_evaluation import evaluate
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem_io.loader import problem_of
from planner.problem_io.schema import check_problem

# 1 feeds 2 and 3, these feed 4; moving what a node makes takes its tenth of a second.
WORKLOAD = {
    "maxSizePerFPGA": 2.0,
    "maxFPGAs": 2,
    "maxCPUs": 8,
    "nodes": [
        {
            "id": n,
            "supportedOnFpga": True,
            "cpuLatency": 10.0 * n,
            "fpgaLatency": 1.0 * n,
            "size": 1.0,
            "isBackwardNode": n > 2,
            "colorClass": n % 2,
        }
        for n in (1, 2, 3, 4)
    ],
    "edges": [
        {"sourceId": a, "destId": b, "cost": a / 10, "size": 1.0} for a, b in ((1, 2), (1, 3), (2, 4), (3, 4))
    ],
}


def stated(word: str, workload: dict) -> PlacementProblem:
    spec, faults = check_problem(json.dumps(STATED[word](workload)).encode())
    assert spec is not None, faults
    return problem_of(spec)


def placed(problem: PlacementProblem, *devices: str) -> Choice:
    names = [device.name for device in problem.devices]
    return Choice(
        tuple(
            [option.device for option in vertex.options].index(names.index(device))
            for vertex, device in zip(problem.vertices, devices, strict=True)
        )
    )


@pytest.mark.parametrize(
    ("devices", "latency_s"),
    [
        # All on the processor: the longest path.
        (("cpu0", "cpu0", "cpu0", "cpu0"), 10.0 + 30.0 + 40.0),
        # Nodes 2 and 4 on an accelerator wait for 3, and take what comes from 1 and 3.
        (("cpu0", "fpga0", "cpu0", "fpga0"), 10.0 + 30.0 + (0.1 + 0.3) + 6.0),
        # 1 and 3 here, 2 and 4 there: each sends and receives beside its work.
        (("fpga1", "fpga0", "fpga1", "fpga0"), (1.0 + 3.0 + 0.1 + 0.3) + (0.1 + 0.3) + 6.0),
    ],
)
def test_a_single_sample_takes_what_the_published_rules_say(devices, latency_s):
    problem = stated("latency", WORKLOAD)
    assert evaluate(problem, placed(problem, *devices)).objective == pytest.approx(latency_s)


def test_passes_that_no_edge_joins_are_each_contiguous_on_a_device():
    apart = [edge for edge in WORKLOAD["edges"] if edge["sourceId"] == 1 and edge["destId"] == 2]
    back = [{"sourceId": 3, "destId": 4, "cost": 0.3, "size": 1.0}]
    colours = {1: 0, 2: 1, 3: 0, 4: 1}
    nodes = [node | {"colorClass": colours[node["id"]]} for node in WORKLOAD["nodes"]]
    problem = stated("training", WORKLOAD | {"edges": apart + back, "nodes": nodes})
    assert len(problem.devices) == 2 + 8
    cost = evaluate(problem, placed(problem, "fpga0", "fpga1", "fpga0", "fpga1"))
    assert cost.order is not None
    assert cost.objective == pytest.approx(max(1.0 + 3.0, 2.0 + 4.0) + 0.1 + 0.3)


def test_devices_that_are_revisited_come_back_for_the_backward_pass():
    problem = stated("revisited", WORKLOAD)
    cost = evaluate(problem, placed(problem, "fpga0", "fpga1", "fpga0 again", "fpga1 again"))
    assert cost.order is not None
    # 1 and 3 work, and send what 2 and 4 read; 2 and 4 work, and receive it.
    assert cost.objective == pytest.approx(max(1.0 + 3.0, 2.0 + 4.0) + 0.1 + 0.3)
