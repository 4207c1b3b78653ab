import importlib.util
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
pytest.importorskip("litert_quantizer", reason="the extra litert is not installed")
from ai_edge_litert.interpreter import Interpreter
from repository import ROOT
from tflite_models import feeds
from tflite_units import cut_units, load_graph

from profiling.litert.calibration import calibrate_litert
from profiling.litert.cut import whole_stage
from profiling.litert.interpreter import run_chain
from profiling.litert.mode_search import find_modes, relative_error
from profiling.litert.modes import FP32, INT8, MODES
from profiling.litert.quantize import quantize_units

FLOAT = ("float", "two_ends", "attention", "lstm", "loop", "several")
QUANTIZED = ("dynamic", "float16", "int8", "int8_only", "int16")


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("TensorFlow is not installed")
    folder = tmp_path_factory.mktemp("tflite")
    script = ROOT / "tests" / "support" / "tflite_samples.py"
    done = subprocess.run([sys.executable, script, folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def by_the_runtime(path, sample):
    """Return what the file gives when nothing of ours is between."""
    interpreter = Interpreter(model_path=str(path), num_threads=1)
    return interpreter.get_signature_runner(next(iter(interpreter.get_signature_list())))(**sample)


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for key, value in one.items():
        assert np.array_equal(value, other[key]), key


@pytest.mark.parametrize("name", [*FLOAT, *QUANTIZED, "step"])
def test_a_converted_model_is_bit_equal_at_every_cut(converted, name):
    path = converted / f"{name}.tflite"
    graph = load_graph(path)
    sample, count = feeds(graph.model), len(graph.units)
    expected = by_the_runtime(path, sample)
    for stages in [[range(k), range(k, count)] for k in range(1, count)] + [[[k] for k in range(count)]]:
        found = run_chain(graph.model, cut_units(graph, stages), sample)
        assert_equal(expected, found)


@pytest.mark.parametrize("name", FLOAT)
def test_a_float_model_takes_modes_unit_by_unit(converted, name):
    path = converted / f"{name}.tflite"
    graph = load_graph(path)
    samples = [feeds(graph.model, seed) for seed in range(3)]
    ranges = calibrate_litert(graph.model, samples)
    possible = find_modes(graph, ranges, samples[:1])
    rng = np.random.default_rng(0)
    asked = {
        unit: found.possible[int(rng.integers(len(found.possible)))] for unit, found in enumerate(possible)
    }
    for recipe in (asked, dict.fromkeys(asked, INT8)):
        quantized = quantize_units(graph, recipe, ranges)
        wanted = [mode if mode in possible[unit].possible else FP32 for unit, mode in recipe.items()]
        assert list(quantized.modes) == wanted
        whole = run_chain(graph.model, [whole_stage(quantized.model)], samples[0])
        assert relative_error(by_the_runtime(path, samples[0]), whole) < 0.2
        stages = cut_units(quantized, [[unit] for unit in range(len(graph.units))])
        assert_equal(whole, run_chain(graph.model, stages, samples[0]))


@pytest.mark.parametrize("name", QUANTIZED)
def test_what_came_quantized_is_left_and_the_rest_says_why(converted, name):
    graph = load_graph(converted / f"{name}.tflite")
    samples = [feeds(graph.model)]
    modes = find_modes(graph, calibrate_litert(graph.model, samples), samples, MODES)
    for unit, found in zip(graph.units, modes, strict=True):
        assert not unit.obstacle or found.possible == (FP32,)
    if name in ("int8", "int8_only", "int16"):
        assert {unit.obstacle for unit in graph.units} == {"is quantized already"}


def test_layers_name_units(converted):
    graph = load_graph(converted / "float.tflite")
    assert graph.inputs == ("image",)
    assert any("stem" in unit.name for unit in graph.units)
