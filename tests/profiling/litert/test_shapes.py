import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
from tflite_models import OPS, TYPES, Model, feeds, run_file

from profiling.errors import ModelError
from profiling.litert.cut import cut
from profiling.litert.interpreter import run_chain
from profiling.litert.load import parse_litert
from profiling.litert.shapes import with_shapes
from profiling.litert.unit_graph import build_litert_graph


def dynamic(shape=(1, 1, 1, 4), signature=(-1, -1, -1, 4)):
    model = Model()
    image = model.input("image", shape, shapeSignature=list(signature))
    conv = model.conv(image, "conv", 4)
    model.graph.tensors[conv].shapeSignature = list(signature)
    return model.give(model.dense(model.mean(conv, "pooled"), "y", 3))


def test_a_batch_counts_as_one():
    found = with_shapes(parse_litert(dynamic((1, 6, 6, 4), (-1, 6, 6, 4)).content(), "m"), {})
    assert build_litert_graph(found).tensors["conv"].shape == (1, 6, 6, 4)


def test_other_dimensions_are_to_be_declared():
    model = parse_litert(dynamic().content(), "m.tflite")
    with pytest.raises(ModelError, match=r"'image' has dynamic shape \[\?, \?, \?, 4\]; declare it"):
        with_shapes(model, {})
    with pytest.raises(ModelError, match=r"input 'image' is \?,\?,\?,4, not 1,6,6,3"):
        with_shapes(model, {"image": (1, 6, 6, 3)})
    with pytest.raises(ModelError, match="has no input 'picture'; it has 'image'"):
        with_shapes(model, {"picture": (1, 6, 6, 4)})


def test_declared_shapes_reach_every_tensor_and_stage():
    content = dynamic().content()
    model = with_shapes(parse_litert(content, "m"), {"image": (1, 6, 7, 4)})
    graph = build_litert_graph(model)
    assert graph.tensors["conv"].shape == (1, 6, 7, 4)
    assert graph.tensors["y"].shape == (1, 3)
    assert not any(unit.obstacle for unit in graph.units)
    sample = feeds(model)
    assert sample["image"].shape == (1, 6, 7, 4)
    fixed = dynamic((1, 6, 7, 4), (1, 6, 7, 4)).content()
    expected = run_file(fixed, [sample["image"]])[0]
    assert np.array_equal(run_chain(model, cut(model, [[0], [1], [2]]), sample)["y"], expected)


def test_a_shape_that_depends_on_numbers_is_an_obstacle():
    model = Model()
    image = model.input("image", (1, 4), shapeSignature=[-1, 4])
    chances = model.softmax(image, "chances")
    zeros = model.tensor("zeros", (1, 4), np.zeros((1, 4), np.float32))
    positive = model.op(OPS.GREATER, [image, zeros], [model.tensor("positive", (1, 4), dtype=TYPES.BOOL)])
    places = model.op(OPS.WHERE, [positive], [model.tensor("places", (1, 2), dtype=TYPES.INT64)])
    found = with_shapes(parse_litert(model.give(chances, places).content(), "m"), {})
    reasons = {unit.name: unit.obstacle for unit in build_litert_graph(found).units}
    assert reasons == {
        "chances": "",
        "positive": "",
        "places": "'places' changes its shape from sample to sample",
    }
