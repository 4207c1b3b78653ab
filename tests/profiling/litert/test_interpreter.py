import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
import tflite_models
from tflite_models import OPS, Model, feeds, run_file

from profiling.errors import ModelError
from profiling.litert.cut import whole_stage
from profiling.litert.interpreter import StageRunner, run_model, tensor_values
from profiling.litert.load import parse_litert


@pytest.fixture(scope="module")
def branching():
    return parse_litert(tflite_models.branching().content(), "m")


def test_every_tensor_is_what_the_stage_that_ends_there_gives(branching):
    sample = feeds(branching)
    (values,) = tensor_values(branching, [sample])
    computed = sorted(branching.writers)
    stage = whole_stage(branching, also=computed)
    found = StageRunner(stage.content)(sample)
    for tensor in computed:
        assert np.allclose(values[tensor], found[branching.names[tensor]], rtol=1e-5, atol=1e-6)


def test_results_are_the_callers_own(branching):
    runner = StageRunner(whole_stage(branching).content)
    first = runner(feeds(branching, 1))
    kept = {name: value.copy() for name, value in first.items()}
    runner(feeds(branching, 2))
    assert all(np.array_equal(first[name], kept[name]) for name in kept)


def test_a_missing_input_or_another_type_is_named(branching):
    sample = feeds(branching)
    with pytest.raises(ModelError, match="the input 'meta' is missing; given are 'image'"):
        run_model(branching, {"image": sample["image"]})
    with pytest.raises(ModelError, match="the input 'meta' is float64, the model wants float32"):
        run_model(branching, {**sample, "meta": sample["meta"].astype(np.float64)})


def test_an_operator_that_the_runtime_lacks_is_one_line():
    model = Model()
    image = model.input("image", (1, 4))
    model.op(OPS.CUSTOM, [image], [model.tensor("y", (1, 4))], custom=b"Mine")
    found = parse_litert(model.give(1).content(), "m")
    with pytest.raises(ModelError, match="has no operator Mine, a custom one that") as raised:
        run_model(found, feeds(found))
    assert "\n" not in str(raised.value)


def test_scalars_stay_scalars():
    model = Model()
    one = model.input("one", ())
    content = model.give(model.op(OPS.ABS, [one], [model.tensor("y", ())])).content()
    found = parse_litert(content, "m")
    value = run_model(found, {"one": np.float32(-2)})["y"]
    assert (value.shape, float(value)) == ((), 2.0)
    assert run_file(content, [np.float32(-2)])[0] == value
