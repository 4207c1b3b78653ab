import pytest

pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
pytest.importorskip("litert_quantizer", reason="the extra litert is not installed")
import tflite_models
from fake_run_clock import FakeRunClock
from tflite_models import feeds

from profiling.latency.measure_latency import Setup
from profiling.litert.calibration import calibrate_litert
from profiling.litert.latency import litert_variants
from profiling.litert.latency.litert_latency import measure_litert_latency
from profiling.litert.load import parse_litert
from profiling.litert.unit_graph import build_litert_graph
from profiling.on_device import stage_overheads
from profiling.on_device.clock.run_clock import CPU
from profiling.on_device.litert import measuring_litert
from profiling.on_device.timing import interleaved_rounds
from profiling.precision import Precision
from profiling.runtime.open_session import Runtime

_MODELS = 1e-6  # seconds of any model when the machine is at its quickest


@pytest.fixture
def slowing(monkeypatch):
    """Stand in a machine on which every session takes as long, and each run a little longer than the last."""
    machine = FakeRunClock(CPU)
    runs = iter(range(1, 10_000_000))

    class Session:
        def __init__(self, _content, _threads):
            pass

        def get_inputs(self):
            return []

        def get_outputs(self):
            return []

        def run(self, _outputs, _feeds):
            machine.compute(_MODELS * (1 + next(runs) / 1000))
            return []

    monkeypatch.setattr(litert_variants, "OpenedStage", Session)
    for module in (measuring_litert, stage_overheads):
        monkeypatch.setattr(module, "clock_of", lambda _threads, _provider: machine.clock)
    return runs


def test_all_precisions_are_at_one_pace_though_the_machine_gets_slower(slowing):
    graph = build_litert_graph(parse_litert(tflite_models.branching().content(), "m"))
    samples = [feeds(graph.model, seed) for seed in range(2)]
    ranges = calibrate_litert(graph.model, samples)
    setup = Setup(Runtime(), 300, (Precision.FP32, Precision.INT8))
    found = measure_litert_latency(graph, "scheme", ranges, samples[0], setup)
    assert next(slowing) > 3000  # the last run took four times as long as the first
    assert list(found.wall_s.values()) == pytest.approx([found.wall_s[Precision.FP32]] * 2, rel=0.01)


def test_no_unit_has_negative_seconds_where_a_start_seems_longer_than_a_run(slowing, monkeypatch):
    """The start is timed at another moment: on a busy machine it may seem longer than a tiny model."""
    monkeypatch.setattr(interleaved_rounds, "time_interleaved", lambda *_: {0: [1e3], 1: [1e3]})
    graph = build_litert_graph(parse_litert(tflite_models.branching().content(), "m"))
    samples = [feeds(graph.model, seed) for seed in range(2)]
    ranges = calibrate_litert(graph.model, samples)
    setup = Setup(Runtime(), 3, (Precision.FP32, Precision.INT8))
    found = measure_litert_latency(graph, "scheme", ranges, samples[0], setup)
    assert all(row.seconds >= 0 for row in found.units)
