import pytest

pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
import tflite_models
from fake_run_clock import FakeRunClock
from tflite_models import feeds

from profiling.litert.latency import time_in_place
from profiling.litert.latency.time_in_place import time_units
from profiling.litert.load import parse_litert
from profiling.litert.unit_graph import build_litert_graph
from profiling.on_device.clock.run_clock import CPU


@pytest.fixture
def machine(monkeypatch):
    """Stand a machine in for the runtime on which a unit takes as many seconds as its number, and one."""
    machine = FakeRunClock(CPU)

    class Timed:
        def __init__(self, stage, values, _threads=1):
            self.seconds = sum(number + 1 for number in stage.operators)
            assert set(stage.inputs) <= values.keys()

        def __call__(self):
            machine.compute(self.seconds)

    monkeypatch.setattr(time_in_place, "TimedInterpreter", Timed)
    return machine.clock


@pytest.mark.parametrize("seed", range(3))
def test_differences_give_each_unit_its_seconds(machine, seed):
    graph = build_litert_graph(parse_litert(tflite_models.random_graph(seed).content(), "m"))
    times = time_units(graph, feeds(graph.model), rounds=3, clock=machine)
    assert times.seconds == tuple(float(unit + 1) for unit in range(len(graph.units)))
    assert times.whole_s == sum(times.seconds)
    assert (times.adds_up_to, times.whole_spread) == (1.0, 0.0)


def test_more_units_than_the_context_holds(machine, monkeypatch):
    monkeypatch.setattr(time_in_place, "_CONTEXT", 2)
    graph = build_litert_graph(parse_litert(tflite_models.branching().content(), "m"))
    times = time_units(graph, feeds(graph.model), rounds=2, clock=machine)
    assert times.seconds == tuple(float(unit + 1) for unit in range(len(graph.units)))


def test_the_runtime_is_timed_on_real_stages():
    graph = build_litert_graph(parse_litert(tflite_models.branching().content(), "m"))
    times = time_units(graph, feeds(graph.model), rounds=3)
    assert len(times.seconds) == len(graph.units)
    assert times.whole_s > 0
    assert all(second >= 0 for second in times.seconds)
