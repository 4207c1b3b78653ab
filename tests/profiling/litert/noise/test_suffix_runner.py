import weakref

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
import tflite_models
from tflite_models import feeds

from profiling.litert.cut import cut
from profiling.litert.interpreter import StageRunner, model_outputs, run_model
from profiling.litert.load import parse_litert
from profiling.litert.noise import suffix_runner
from profiling.litert.noise.suffix_runner import LitertSuffixRunner
from profiling.litert.unit_graph import build_litert_graph
from profiling.noise.noise_pair import NO_NOISE
from profiling.noise.noise_power import noise_power


def coarse(values):
    return np.asarray(np.rint(values * 8) / 8, np.float32)


@pytest.fixture(params=["branching", 0, 1, 2, 3])
def graph(request):
    if request.param == "branching":
        model = tflite_models.branching()
    else:
        model = tflite_models.random_graph(request.param)
    return build_litert_graph(parse_litert(model.content(), "m"))


def samples_of(graph):
    return [feeds(graph.model, seed) for seed in range(3)]


def run_changed(graph, place, sample, name, changed):
    """Return a model's outputs with one tensor changed in front of a unit."""
    numbers = range(len(graph.units))
    parts = [graph.operators_of(numbers[:place]), graph.operators_of(numbers[place:])]
    values = dict(sample)
    for index, stage in enumerate(cut(graph.model, parts) if place < len(graph.units) else [None]):
        if index == 1:
            values[name] = changed(values[name])
        if stage is not None and stage.outputs:
            values.update(StageRunner(stage.content)(values))
    return model_outputs(graph.model, values)


def test_noise_of_a_tensor_is_that_of_the_whole_model_with_it_changed(graph):
    samples = samples_of(graph)
    exact = [run_model(graph.model, sample) for sample in samples]
    runner = LitertSuffixRunner(graph, samples)
    for place in range(1, len(graph.units)):
        runner.advance()
        for name in graph.units[place - 1].outputs:
            noisy = [run_changed(graph, place, sample, name, coarse) for sample in samples]
            # By tensors, each once.
            keys = {graph.model.names[tensor]: key for key, tensor in graph.model.outputs.items()}
            expected = noise_power(
                *([{name: row[key] for name, key in keys.items()} for row in rows] for rows in (noisy, exact))
            )
            assert runner.tensor_noise(name, coarse).output == pytest.approx(expected, rel=1e-6)


def test_what_changes_nothing_is_no_noise(graph):
    runner = LitertSuffixRunner(graph, samples_of(graph))
    for name in graph.inputs:
        assert runner.tensor_noise(name, np.copy) is NO_NOISE
    for unit in graph.units:
        runner.advance()
        for name in unit.outputs:
            assert runner.tensor_noise(name, np.copy) is NO_NOISE
        for name in unit.inputs:
            if name in graph.tensors and graph.tensors[name].is_float:
                assert runner.read_noise(name, np.copy) is NO_NOISE


def test_a_tensor_with_one_reader_makes_the_noise_of_that(graph):
    runner = LitertSuffixRunner(graph, samples_of(graph))
    for index, unit in enumerate(graph.units):
        before = {
            name: runner.tensor_noise(name, coarse)
            for name in unit.inputs
            if (index and name in graph.units[index - 1].outputs) or (not index and name in graph.inputs)
        }
        runner.advance()
        for name, noise in before.items():
            if len(readers(graph, name)) == 1 and name not in graph.outputs:
                assert runner.read_noise(name, coarse) == noise


def readers(graph, name):
    return [unit for unit in graph.units if name in unit.inputs]


def test_only_what_later_units_read_is_kept(graph):
    runner = LitertSuffixRunner(graph, samples_of(graph))
    for place, unit in enumerate(graph.units):
        runner.advance()
        later = {name for other in graph.units[place + 1 :] for name in other.inputs}
        assert all(set(live) <= later | set(unit.outputs) for live in runner._live)


def test_interpreters_do_not_pile_up(graph, monkeypatch):
    alive, most, made = weakref.WeakSet(), [0], [0]

    class Counted(StageRunner):
        def __init__(self, content):
            super().__init__(content)
            alive.add(self)
            made[0] += 1
            most[0] = max(most[0], len(alive))

    monkeypatch.setattr(suffix_runner, "StageRunner", Counted)
    runner = LitertSuffixRunner(graph, samples_of(graph))
    for unit in graph.units:
        runner.advance()
        for name in unit.outputs:
            for _ in range(3):
                runner.tensor_noise(name, coarse)
    assert most[0] <= 3  # the unit before, the unit, the rest
    assert made[0] <= 1 + 2 * len(graph.units)
