import pytest

pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
pytest.importorskip("litert_quantizer", reason="the extra litert is not installed")
import numpy as np
import tflite_models
import twin_models

from planner.deployment.stage_tasks import Placement
from planner.plan.configuration import Configuration
from profiling.graph.any_model import inputs_of
from profiling.on_device.create_session import Optimization
from profiling.precision import Precision
from profiling.runtime.open_session import Runtime, run_session
from profiling.stage_session import open_stage

RUNTIMES = {"phone": "litert", "board": "litert", "server": "onnxruntime"}
DEVICES = list(RUNTIMES)


def run_chain(models, feeds):
    values = dict(feeds)
    for model in models:
        given = {tensor.name: values[tensor.name] for tensor in inputs_of(model)}
        values |= run_session(open_stage(model, Runtime(), Optimization.BASIC), given)
    return values


def random_plan(graph, rng, *, fp32=False):
    """Return a configuration and a placement: devices in runs of random length, some blocks in int8."""
    share, changes = rng.uniform(0.1, 1), rng.uniform(0.1, 0.9)
    able = [unit.index for unit in graph.units if unit.quantizable and not fp32]
    mix = graph.resolve_precisions({u: Precision.INT8 for u in able if rng.random() < share})
    devices, current = [], str(rng.choice(DEVICES))
    for _ in graph.units:
        current = str(rng.choice(DEVICES)) if rng.random() < changes else current
        devices.append(current)
    chosen = Configuration(tuple(devices), tuple(mix.get(u.index, Precision.FP32) for u in graph.units))
    ends = rng.choice(DEVICES, 2).tolist()
    return chosen, Placement(
        tuple(devices), *ends, frozenset(graph.inputs[:1]) if rng.random() < 0.2 else frozenset()
    )


@pytest.fixture(scope="module", params=["branching", *range(4)])
def net(request, tmp_path_factory):
    made = (
        tflite_models.branching()
        if request.param == "branching"
        else tflite_models.random_graph(request.param)
    )
    return twin_models.joined(made.content(), tmp_path_factory.mktemp("net"))


@pytest.mark.parametrize("seed", range(10))
def test_a_chain_of_any_plan_is_the_whole_bit_for_bit(net, seed):
    chosen, placement = random_plan(net.graph, np.random.default_rng(seed))
    built = net.built(chosen, placement, RUNTIMES)
    assert [stage.device for stage in built.stages if stage.units]
    assert sorted(u for stage in built.stages for u in stage.units) == list(range(len(net.graph.units)))
    models = [stage.model for stage in built.stages]
    crossing = {name for stage in built.stages for name in (*stage.inputs, *stage.outputs)}
    assert all(any(name.startswith(tensor) for tensor in net.graph.tensors) for name in crossing)
    for feeds in net.samples[:2]:
        chain, whole = run_chain(models, feeds), run_chain(built.whole, feeds)
        for name in net.graph.outputs:
            assert chain[name].tobytes() == whole[name].tobytes(), name


@pytest.mark.parametrize("seed", range(3))
def test_a_chain_in_fp32_computes_what_the_source_does(net, seed):
    chosen, placement = random_plan(net.graph, np.random.default_rng(seed), fp32=True)
    models = [stage.model for stage in net.built(chosen, placement, RUNTIMES).stages]
    for feeds in net.samples[:2]:
        chain = run_chain(models, feeds)
        exact = run_session(open_stage(net.source, Runtime()), feeds)
        for name in net.graph.outputs:
            np.testing.assert_allclose(chain[name], exact[name], rtol=1e-5, atol=1e-5)


def test_an_output_that_comes_back_at_the_sink_is_given_where_the_whole_has_no_cut(net):
    graph = net.graph
    due = [
        (unit.index, reader)
        for unit in graph.units
        for name in unit.outputs
        if name in graph.outputs
        for reader in graph.consumers(name)
        if graph.units[reader].quantizable
    ]
    for producer, reader in due:
        mix = graph.resolve_precisions({reader: Precision.INT8})
        devices = tuple("phone" if unit.index == producer else "board" for unit in graph.units)
        chosen = Configuration(devices, tuple(mix.get(u.index, Precision.FP32) for u in graph.units))
        built = net.built(chosen, Placement(devices, "phone", "board"), RUNTIMES)
        chain, whole = (
            run_chain([s.model for s in built.stages], net.samples[0]),
            run_chain(built.whole, net.samples[0]),
        )
        assert all(chain[name].tobytes() == whole[name].tobytes() for name in graph.outputs)
