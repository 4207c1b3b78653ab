"""The detectors have the size that they are made for, sane numbers, and can be planned."""

import numpy as np
import onnx
import pytest
from detector_network import LARGE, SMALL, TINY, detector, pictures
from large_detector import detector_scenario

from planner.run import plan_scenario
from profiling.graph.multiply_adds import multiplications
from profiling.graph.unit_graph import build_graph
from profiling.onnx_io.load_model import load_model
from profiling.preparation.rewrite_steps import prepare_model
from profiling.runtime.open_session import Runtime, open_session, run_session


def test_the_small_one_has_its_units_and_flops(tmp_path):
    model = detector(SMALL)
    onnx.checker.check_model(model)
    onnx.save(model, tmp_path / "small.onnx")
    graph = build_graph(prepare_model(load_model(tmp_path / "small.onnx", {})))
    assert 165 <= len(graph.units) <= 185
    assert sum(unit.quantizable for unit in graph.units) >= 170
    assert 2 * multiplications(graph) == pytest.approx(1e10, rel=0.1)
    outputs = run_session(open_session(model, Runtime()), {"images": pictures(SMALL, 1)[0]})
    assert outputs["boxes"].shape == (1, 4 + 80 + 32, 8400)
    assert outputs["prototypes"].shape == (1, 32, 160, 160)


def test_numbers_neither_vanish_nor_grow_and_depend_on_the_picture():
    session = open_session(detector(TINY), Runtime())
    one, other = (run_session(session, {"images": picture}) for picture in pictures(TINY, 2))
    for name, values in one.items():
        assert 0.1 < np.std(values) < 10
        assert np.std(values - other[name]) > 0.05 * np.std(values)


def test_the_same_size_is_always_the_same_network():
    assert detector(TINY) == detector(TINY)
    assert max(LARGE.widths) > max(SMALL.widths)


def test_a_tiny_one_is_planned(tmp_path):
    outcome = plan_scenario(detector_scenario(tmp_path, TINY, 8, rounds=3, noise_samples=2))
    assert outcome.built is not None
    assert {row.precision for row in outcome.plan.assignments} <= {"fp32", "int8"}
    assert len(outcome.plan.assignments) > 100
