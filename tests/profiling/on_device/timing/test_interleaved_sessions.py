from profiling.latency.stage_cuts import stage_models
from profiling.on_device.clock.run_clock import clock_of
from profiling.on_device.timing.interleaved_sessions import InterleavedTimer, median_ratio, time_chain
from profiling.runtime.open_session import Runtime, open_session


def test_a_ratio_compares_runs_of_one_round():
    # The machine slows down by ten on the way; the session always takes twice as long.
    reference_s = [1.0, 2.0, 5.0, 10.0]
    assert median_ratio([2 * s for s in reference_s], reference_s) == 2.0


def test_sessions_are_timed_as_often_as_their_reference(residual):
    reference, session = (open_session(residual.graph.model, Runtime()) for _ in range(2))
    runs = InterleavedTimer(reference, residual.samples[0], 3, clock_of(1))(session)
    assert [len(runs.reference), len(runs.session)] == [3, 3]
    assert all(run.seconds > 0 for run in (*runs.reference, *runs.session))


def test_stages_are_fed_what_stages_before_them_give(residual):
    graph = residual.graph
    models = stage_models(graph.model, graph, [[unit.index] for unit in graph.units])
    stages = [open_session(model, Runtime()) for model in models]
    whole = open_session(graph.model, Runtime())
    ratios = time_chain(whole, stages, residual.samples[0], 2, clock_of(1)).ratios
    assert len(ratios) == len(graph.units)
    assert all(ratio > 0 for ratio in ratios)
