import json
from dataclasses import replace
from math import inf

import pytest
from made_records import SCENARIO

from planner.costs.device_costs import DeviceCosts
from planner.costs.tensor_flows import TensorFlows, routes_of
from planner.costs.tensor_formats import TensorFormats
from planner.problem.tensors import Flow
from planner.scenario.loader import parse_scenario
from profiling.precision import Precision, Wire

FP32, INT8, INT16 = Precision.FP32, Precision.INT8, Precision.INT16
EVERY = ["fp32", "int8", "int16"]
# 8 Mbit/s are 1 MB/s.
LINKS = [
    {"from": "camera", "to": "gateway", "bandwidth_mbit_per_s": 8, "latency_ms": 1},
    {"from": "gateway", "to": "server", "bandwidth_mbit_per_s": 16, "latency_ms": 2},
    {"from": "server", "to": "camera", "bandwidth_mbit_per_s": 4},
]


def costs_of(graph, start: float, *, symmetric: bool = False) -> DeviceCosts:
    """Return costs of which each tensor and conversion has its own."""
    tensors = {name: start + 100 * number for number, name in enumerate(graph.boundary_tensors())}
    steps = {(FP32, INT8): 1, (INT8, FP32): 2, (FP32, INT16): 3, (INT16, FP32): 4}
    return DeviceCosts(
        {},
        {(name, *ends): s + step for name, s in tensors.items() for ends, step in steps.items()},
        {},
        {
            (name, precision): s / 1e3 + part
            for name, s in tensors.items()
            for precision, part in ((INT8, 0.5), (INT16, 0.25))
        },
        symmetric=symmetric,
        leave_s={(name, p): s + 10 + n for name, s in tensors.items() for n, p in enumerate(Precision)},
        enter_s={(name, p): s + 20 + n for name, s in tensors.items() for n, p in enumerate(Precision)},
        wires={
            (Wire.FLOAT16, "encode"): (start, 1.0),
            (Wire.FLOAT16, "decode"): (start, 2.0),
            (Wire.UINT8, "encode"): (start, 3.0),
            (Wire.UINT8, "decode"): (start, 4.0),
        },
        float16_noise={name: s / 1e6 for name, s in tensors.items()},
    )


def scenario_of(**changes):
    devices = [
        {"name": "camera"},
        {"name": "gateway", "scaled_from": "camera"},
        {"name": "server", "scaled_from": "camera"},
    ]
    content = SCENARIO | {"precisions": EVERY, "devices": devices, "links": LINKS, "sink": "server"}
    return parse_scenario(json.dumps(content | changes).encode())


def flows_of(graph, costs=None, **changes) -> dict[str, Flow]:
    scenario = scenario_of(**changes)
    costs = costs or {
        "camera": costs_of(graph, 1),
        "gateway": costs_of(graph, 2, symmetric=True),
        "server": costs_of(graph, 3),
    }
    flows = TensorFlows(scenario, graph, costs, TensorFormats.of(scenario, costs)).flows()
    assert len({flow.name for flow in flows}) == len(flows)
    return {flow.name: flow for flow in flows}


def test_each_tensor_between_units_flows_from_its_maker_to_all_that_read_it(branches):
    graph = branches.graph
    source, sink = len(graph.units), len(graph.units) + 1
    flows = flows_of(graph)
    makers = {name: unit.index for unit in graph.units for name in unit.outputs}
    readers = {
        name: [unit.index for unit in graph.units if name in unit.inputs] + [sink] * (name in graph.outputs)
        for name in (*graph.inputs, *makers)
    }
    assert {name: (flow.producer, list(flow.consumers)) for name, flow in flows.items()} == {
        name: (makers.get(name, source), read) for name, read in readers.items() if read
    }
    assert max(len(read) for read in readers.values()) > 1
    assert any(sink in read for read in readers.values())


def test_a_tensor_crosses_in_each_format_with_its_bytes_by_the_quickest_route(residual):
    name = residual.graph.units[0].outputs[0]
    count = residual.graph.tensors[name].elements
    flow = flows_of(residual.graph)[name]
    assert [(form.name, form.format, form.size_bytes) for form in flow.forms[:5]] == [
        ("float", 0, 4 * count),
        ("uint8", 1, count),
        ("int8", 2, count),
        ("uint16", 3, 2 * count),
        ("int16", 4, 2 * count),
    ]
    for form in flow.forms:
        assert form.link_s == pytest.approx(
            (0.001 + form.size_bytes / 1e6, 0.002 + form.size_bytes / 2e6, form.size_bytes / 5e5)
        )
        # The links make a ring: camera, gateway, server.
        assert form.routes == (((), (0,), (0, 1)), ((1, 2), (), (1,)), ((2,), (2, 0), ()))


def test_converting_costs_what_each_device_needs_for_the_precision_of_a_format(residual):
    graph = residual.graph
    name = graph.boundary_tensors()[2]
    flow = flows_of(graph)[name]
    zero, bases = (0.0,) * 3, (201.0, 202.0, 203.0)

    def rows(*steps: int):
        return tuple(tuple(base + step for base in bases) for step in steps)

    assert flow.quantize_s == (zero, *rows(1, 1, 3, 3))
    assert flow.dequantize_s == (zero, *rows(2, 2, 4, 4))
    assert flow.leave_s == rows(10, 11, 11, 12, 12)
    assert flow.enter_s == rows(20, 21, 21, 22, 22)
    # Of each format the noise is that of a device which quantizes so: the last one affinely, and the gateway.
    assert flow.noise_power == pytest.approx((0.0, 0.703, 0.702, 0.453, 0.452))


def test_wires_are_the_float_tensor_in_fewer_bytes_for_seconds_on_both_sides(residual):
    name = residual.graph.boundary_tensors()[1]
    count = residual.graph.tensors[name].elements
    half, byte = flows_of(residual.graph, wires=["float16", "uint8"])[name].forms[5:]
    assert (half.name, half.format, half.size_bytes) == ("float16", 0, 2 * count)
    assert half.encode_s == (1.0 + count, 2.0 + count, 3.0 + count)
    assert half.decode_s == (1.0 + 2 * count, 2.0 + 2 * count, 3.0 + 2 * count)
    assert half.noise_power == pytest.approx(103 / 1e6)
    assert (byte.name, byte.format, byte.size_bytes) == ("uint8", 0, count)
    assert byte.encode_s == (1.0 + 3 * count, 2.0 + 3 * count, 3.0 + 3 * count)
    assert byte.noise_power == pytest.approx(0.103 + 0.5)


def test_there_is_no_wire_where_nothing_is_known_of_its_noise_or_it_cannot_be(residual):
    names = residual.graph.boundary_tensors()
    known = costs_of(residual.graph, 1)
    never = dict(known.float16_noise) | {names[1]: None}
    del never[names[2]]
    costs = dict.fromkeys(("camera", "gateway", "server"), replace(known, float16_noise=never))
    flows = flows_of(residual.graph, costs, wires=["float16", "uint8"])
    wires = {name: [form.name for form in flow.forms[3:]] for name, flow in flows.items()}
    assert wires[names[1]] == ["uint8"]
    assert wires[names[2]] == []
    assert wires[names[0]] == ["float16", "uint8"]


def test_what_is_private_crosses_no_link_and_all_else_does(residual):
    name = residual.graph.units[0].outputs[0]
    flows = flows_of(residual.graph, wires=["float16"], placement={"private": [name]})
    assert {form.routes for form in flows[name].forms} == {
        (((), None, None), (None, (), None), (None, None, ()))
    }
    others = [flow for flow in flows.values() if flow.name != name]
    assert all(None not in row for flow in others for form in flow.forms for row in form.routes)


def test_an_input_of_known_bytes_crosses_as_it_came_and_readers_quantize_it(residual):
    (name,) = residual.graph.inputs
    flow = flows_of(residual.graph, wires=["float16"], inputs={name: {"wire_bytes": 77}})[name]
    assert [form.size_bytes for form in flow.forms] == [77] * 5
    assert flow.converts_at_consumer
    assert not flows_of(residual.graph)[name].converts_at_consumer


def test_only_units_whose_precision_decides_on_a_tensor_quantize_it(residual):
    graph = residual.graph
    for name, flow in flows_of(graph).items():
        touching = [v for v in (flow.producer, *flow.consumers) if v < len(graph.units)]
        assert list(flow.quantizers) == [v for v in touching if name in graph.tensors_quantized_with(v)]
    assert any(flow.quantizers for flow in flows_of(graph).values())


def test_only_what_keeps_its_input_s_scale_quantized_adds_no_noise_of_its_own(branches):
    assert [name for name, flow in flows_of(branches.graph).items() if flow.inherits] == ["pool"]


def test_a_message_takes_the_way_that_is_quickest_for_its_size():
    direct = {"from": "camera", "to": "server", "bandwidth_mbit_per_s": 0.8}
    routes = routes_of(scenario_of(links=[*LINKS, direct]))
    # Directly 100 kB/s at once; by the gateway 1 and 2 MB/s after 3 ms: even at 352.9 bytes.
    assert routes.route("camera", "server", 352).path == ("camera", "server")
    assert routes.route("camera", "server", 354).path == ("camera", "gateway", "server")
    assert routes_of(scenario_of(links=LINKS[:2], sink="camera")).route("server", "camera", 1).seconds == inf
