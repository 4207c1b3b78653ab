"""Bytes that nobody meant: an error of ours, or a result, but nothing else."""

import models
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenario_texts import QUICK

from planner.errors import PlannerError
from planner.scenario.loader import load_scenario
from profiling.errors import ModelError
from profiling.graph.unit_graph import build_graph
from profiling.onnx_io.load_model import load_model
from profiling.preparation.rewrite_steps import prepare_model

MODEL = models.residual().SerializeToString()
YAML_WORDS = st.sampled_from(
    ["{", "}", "[", "]", ":", "-", "&a", "*a", "!!", "'", '"', "\t", "|", "~", "${", "#"]
)


@st.composite
def spoiled(draw, content: bytes, words: st.SearchStrategy[bytes]) -> bytes:
    """Return the content with a few places overwritten, cut out or filled in."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = draw(st.integers(start, min(len(content), start + 20)))
        content = content[:start] + draw(words) + content[end:]
    return content


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@settings(max_examples=400, deadline=None)
@given(text=spoiled(QUICK.encode(), st.binary(max_size=4) | YAML_WORDS.map(str.encode)))
def test_a_spoiled_scenario_gives_an_error_of_ours(text, place):
    (place / "s.yaml").write_bytes(text)
    try:
        load_scenario(place / "s.yaml")
    except PlannerError as exc:
        assert str(exc)
        assert all(line.strip() for line in str(exc).splitlines())


@settings(max_examples=400, deadline=None)
@given(content=spoiled(MODEL, st.binary(max_size=20)))
def test_a_spoiled_model_gives_an_error_of_ours(content, place):
    (place / "m.onnx").write_bytes(content)
    try:
        graph = build_graph(prepare_model(load_model(place / "m.onnx", {})))
    except ModelError as exc:
        assert str(exc)
    else:
        assert graph.units
