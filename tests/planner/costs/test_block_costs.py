import json

import pytest

pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
pytest.importorskip("litert_quantizer", reason="the extra litert is not installed")
import numpy as np
import tflite_models
import twin_models
from made_records import SCENARIO

from planner.costs.block_costs import costs_of_graph
from planner.costs.device_costs import DeviceCosts
from planner.scenario.loader import parse_scenario
from profiling.precision import Precision

FP32, I8 = Precision.FP32, Precision.INT8
DEVICES = [{"name": "board", "runtime": "litert"}, {"name": "server", "runtime": "onnxruntime"}]
LINKS = [
    {"from": a, "to": b, "bandwidth_mbit_per_s": 8} for a, b in (("board", "server"), ("server", "board"))
]
SCENE = parse_scenario(
    json.dumps(SCENARIO | {"devices": DEVICES, "links": LINKS, "source": "board", "sink": "board"})
)


@pytest.fixture(scope="module", params=["branching", 1, 3])
def graph(request, tmp_path_factory):
    seed = request.param
    made = tflite_models.branching() if seed == "branching" else tflite_models.random_graph(seed)
    return twin_models.joined(made.content(), tmp_path_factory.mktemp("net")).graph


def own_costs(part, rng):
    """Return costs by a runtime's own names, all of them different."""
    floats = [name for name in part.graph.boundary_tensors() if part.graph.tensors[name].is_float]
    units = [unit.name for unit in part.graph.units]
    both = [(a, b) for a in (FP32, I8) for b in (FP32, I8) if a is not b]
    return DeviceCosts(
        units={(name, p): rng.uniform() for name in units for p in (FP32, I8)},
        switches={(name, a, b): rng.uniform() for name in floats for a, b in both},
        unit_noise={(name, I8): rng.uniform() for name in units},
        tensor_noise={(name, I8): rng.uniform() for name in floats},
        leave_s={(name, p): rng.uniform() for name in floats for p in (FP32, I8)},
        enter_s={(name, p): rng.uniform() for name in floats for p in (FP32, I8)},
        start_s=0.5,
        fp32_s=9.0,
    )


@pytest.fixture(scope="module")
def costs(graph):
    """Return device -> its part of the graph, its own costs, and those of blocks."""
    rng = np.random.default_rng(0)
    parts = {device["name"]: graph.parts[device["runtime"]] for device in DEVICES}
    own = {name: own_costs(part, rng) for name, part in parts.items()}
    blocks = costs_of_graph(own, graph, SCENE)
    return {name: (part, own[name], blocks[name]) for name, part in parts.items()}


def test_blocks_take_in_fp32_what_all_units_take(graph, costs):
    for part, own, blocks in costs.values():
        whole = sum(own.units[unit.name, FP32] for unit in part.graph.units)
        assert sum(blocks.units[unit.name, FP32] for unit in graph.units) == pytest.approx(whole)
        assert (blocks.start_s, blocks.fp32_s) == (0.5, 9.0)


def test_a_block_in_int8_takes_its_units_and_the_switches_between_them(graph, costs):
    for part, own, blocks in costs.values():
        for block in graph.units:
            mix = part.mix({block.index: I8})
            seconds = sum(
                own.units[part.graph.units[unit].name, mix.get(unit, FP32)]
                for unit in part.units[block.index]
            )
            for name in part.inner_tensors(block.index):
                reading = {reader in mix for reader in part.graph.consumers(name)}
                written = part.graph.producer(name) in mix
                if not written and True in reading:
                    seconds += own.switches[name, FP32, I8]
                if written and False in reading:
                    seconds += own.switches[name, I8, FP32]
            if block.quantizable:
                assert blocks.units[block.name, I8] == pytest.approx(seconds)


def test_tensors_between_blocks_cost_what_they_cost_in_their_runtime(graph, costs):
    for part, own, blocks in costs.values():
        floats = {name for name in graph.tensors if graph.tensors[name].is_float}
        assert {name for name, *_ in blocks.switches} == floats
        for name in floats:
            there = part.names[name]
            assert blocks.switches[name, FP32, I8] == own.switches[there, FP32, I8]
            assert blocks.tensor_noise[name, I8] == own.tensor_noise[there, I8]
            assert blocks.leave_s[name, I8] == own.leave_s[there, I8]
            assert blocks.enter_s[name, FP32] == own.enter_s[there, FP32]


def test_a_block_of_one_unit_is_as_noisy_as_the_unit(graph, costs):
    for part, own, blocks in costs.values():
        single = [(b, units[0]) for b, units in enumerate(part.units) if len(units) == 1]
        assert single
        for block, unit in single:
            if graph.units[block].quantizable:
                noise = own.unit_noise[part.graph.units[unit].name, I8]
                assert blocks.unit_noise[graph.units[block].name, I8] == pytest.approx(noise)


def test_costs_of_one_runtime_stay_as_they_are(graph, costs):
    part, own, _ = costs["board"]
    assert costs_of_graph({"board": own}, part.graph, SCENE) == {"board": own}
