import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
import tflite_models
from tflite_models import OPS, Model

from profiling.litert.load import parse_litert
from profiling.litert.noise.tap_tensors import taps_of
from profiling.litert.unit_graph import build_litert_graph
from profiling.noise.noise_taps import Tap


def taps(model):
    return taps_of(build_litert_graph(parse_litert(model.content(), "m")))


def test_noise_is_summed_before_a_softmax_and_at_other_outputs():
    assert taps(tflite_models.branching()) == (Tap("logits"), Tap("logits", axis=-1), Tap("joined"))


def reshaped(model, source, name):
    sizes = model.tensor(f"{name}/sizes", (2,), np.array([6, 1], np.int32), "int32")
    return model.op(OPS.RESHAPE, [source, sizes], [model.tensor(name, (6, 1))])


@pytest.mark.parametrize(
    ("ending", "tap"),
    [
        (lambda m, z: m.unary(OPS.LOGISTIC, z, "p"), Tap("z")),
        (lambda m, z: m.unary(OPS.LOG_SOFTMAX, z, "p"), Tap("z", axis=-1)),
        (lambda m, z: reshaped(m, m.softmax(z, "q"), "p"), Tap("z", axis=-1)),
        (lambda m, z: m.softmax(m.softmax(z, "q"), "p"), Tap("z", axis=-1)),
        (lambda m, z: m.add(m.softmax(z, "q"), z, "p"), Tap("p")),
        (lambda m, z: reshaped(m, z, "p"), Tap("p")),
        (lambda m, z: m.split(m.softmax(z, "q"), ("p", "r"))[0], Tap("z", axis=-1)),
    ],
)
def test_noise_is_summed_before_the_last_function_that_squashes(ending, tap):
    model = Model()
    logits = model.dense(model.input("x", (1, 4)), "z", 6)
    assert taps(model.give(ending(model, logits))) == (tap,)


def test_outputs_that_nothing_computes_are_their_own_taps():
    model = Model()
    fed = model.input("x", (1, 4))
    fixed = model.tensor("fixed", (2,), np.ones(2, np.float32))
    assert taps(model.give(model.softmax(fed, "p"), fed, fixed)) == (Tap("p"), Tap("x"), Tap("fixed"))
