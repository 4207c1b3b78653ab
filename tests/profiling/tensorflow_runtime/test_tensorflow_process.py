"""The process with TensorFlow: its answers are those of the calls, whatever happens to it or to them."""

import gc
import signal
import subprocess
import sys
from pathlib import Path
from threading import Timer, main_thread

import numpy as np
import pytest
from repository import ROOT
from tensorflow_extra import needs_tensorflow

from profiling.errors import ModelError
from profiling.graph.any_model import inputs_of, outputs_of
from profiling.tensorflow_runtime.saved_model_graph import (
    Cut,
    SavedModelGraph,
    load_saved_model,
    merged,
    read_saved_model_stage,
)
from profiling.tensorflow_runtime.tensorflow_process import tensorflow_process
from profiling.tensorflow_runtime.tensorflow_session import TensorFlowSession

pytestmark = needs_tensorflow
ORDERED = ("z", "größe:π", "a/b", "m 1", "k", "Ä", "serving_default", "b:0", "x")
FEEDS = {name: np.full((1, size + 1), size, np.float32) for size, name in enumerate(ORDERED)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    found = tmp_path_factory.mktemp("saved")
    script = ROOT / "tests" / "support" / "saved_models.py"
    subprocess.run([sys.executable, script, found, *ORDERED], check=True, timeout=600, cwd=ROOT)
    return found


@pytest.fixture(scope="module")
def content(folder) -> bytes:
    return (folder / "doubled.pb").read_bytes()


def is_doubled(answers: list[np.ndarray]) -> bool:
    wanted = [FEEDS[name] * 2 for name in reversed(ORDERED)]
    return all(np.array_equal(a, b) for a, b in zip(answers, wanted, strict=True))


def test_inputs_and_outputs_keep_their_order_in_files_and_in_parts(content):
    whole = read_saved_model_stage(content)
    assert [tensor.name for tensor in inputs_of(whole)] == list(ORDERED)
    assert [tensor.name for tensor in outputs_of(whole)] == [f"{name}!" for name in reversed(ORDERED)]
    session = TensorFlowSession(content, 1)
    assert [end.name for end in session.get_inputs()] == list(ORDERED)
    assert is_doubled(session.run(None, FEEDS))


@pytest.fixture
def own_interrupt():
    """Answer interrupts as Python does: a command of an earlier test notes them for all later ones."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("own_interrupt")
def test_an_interrupted_call_leaves_no_answer_to_the_next_one(content):
    process = tensorflow_process(1)
    number = process.ask("open", content)
    Timer(0.5, signal.pthread_kill, (main_thread().ident, signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        process.ask("time", [(number, FEEDS)], 100_000)
    assert process.has_ended
    assert tensorflow_process(1).ask("version").startswith("tensorflow ")
    assert is_doubled(TensorFlowSession(content, 1).run(None, FEEDS))


def test_a_process_that_was_killed_is_started_again(content):
    graph, session = load_saved_model(content), TensorFlowSession(content, 1)
    graph.values([FEEDS])
    process = tensorflow_process(1)
    process.ask("version")
    process._process.kill()
    with pytest.raises(ModelError, match=f"ended with code -{int(signal.SIGKILL)}"):
        session.run(None, FEEDS)
    assert is_doubled(TensorFlowSession(content, 1).run(None, FEEDS))
    [found] = graph.values([FEEDS])["z"]
    assert np.array_equal(found, FEEDS["z"])


def test_an_interrupt_that_only_tensorflows_process_gets_does_not_end_it():
    process = tensorflow_process(1)
    process.ask("version")
    process._process.send_signal(signal.SIGINT)
    assert process.ask("version").startswith("tensorflow ")


class _InTheMiddle:
    """Lets a session go while what holds it is on its way to the process."""

    def __init__(self, session: TensorFlowSession) -> None:
        self.session: TensorFlowSession | None = session

    def __reduce__(self) -> tuple[object, ...]:
        self.session = None
        gc.collect()
        return str, ("sent",)


def test_a_session_may_go_in_the_middle_of_a_call(content):
    session = TensorFlowSession(content, 1)
    number, process = session._number, tensorflow_process(1)
    middle = _InTheMiddle(session)
    del session
    with pytest.raises(ModelError, match="TensorFlow: "):
        process.ask("run", -1, middle)
    with pytest.raises(ModelError, match=f"KeyError: {number}"):
        process.ask("run", number, FEEDS)


def test_parts_begin_and_end_at_single_outputs_of_an_operator(folder):
    graph = load_saved_model((folder / "parted.pb").read_bytes())
    feeds = {"fed": np.asarray([[1, -2, 3, 4, -5, 6]], np.float32)}
    numbers = {unit.name: unit.index for unit in graph.units}
    for around in (["Relu", "parted", "early"], ["late"], ["late", "given"], ["parted", "halved"]):
        inside = [numbers[name] for name in around]
        rest = [unit.index for unit in graph.units if unit.index not in inside]
        joined = merged(graph, [inside, *([number] for number in rest)])
        values = {name: runs[0] for name, runs in joined.values([feeds]).items()}
        part = joined.units[0]
        ends = [[cut_at(joined, name) for name in side] for side in (part.inputs, part.outputs)]
        session = TensorFlowSession(joined.cut(*ends).content, 1)
        found = session.run(None, {name: values[name] for name in part.inputs})
        for name, own in zip(part.outputs, found, strict=True):
            assert np.array_equal(own, values[name])
        assert len(tensorflow_process(1).ask("time_parts", *timed(joined), feeds, 2)) == 1 + len(joined.units)


def cut_at(graph: SavedModelGraph, name: str) -> Cut:
    tensor = graph.tensors[name]
    return Cut(name, graph.tensor_of[name], tuple(range(len(tensor.shape))), tensor.shape, tensor.elem_type)


def timed(graph: SavedModelGraph) -> tuple[int, list[tuple[list[str], list[str]]]]:
    return tensorflow_process(1).number_of(graph.content), graph.parts()
