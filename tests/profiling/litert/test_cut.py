import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
import tflite_models
from ai_edge_litert.interpreter import Interpreter
from tflite_models import OPS, Model, feeds, run_file

from profiling.errors import ModelError
from profiling.litert.cut import cut, cut_out, whole_stage
from profiling.litert.interpreter import run_chain, run_model
from profiling.litert.load import parse_litert


def expect_equal_at_every_cut(content):
    model = parse_litert(content, "m")
    sample = feeds(model)
    expected = run_file(content, [sample[key] for key in model.inputs])
    count = len(model.operators)
    for parts in [[range(k), range(k, count)] for k in range(1, count)] + [[[k] for k in range(count)]]:
        found = run_chain(model, cut(model, parts), sample)
        for key, value in zip(model.outputs, expected, strict=True):
            assert np.array_equal(found[key], value), (parts, key)


def test_a_branching_model_is_bit_equal_at_every_cut():
    expect_equal_at_every_cut(tflite_models.branching().content())


@pytest.mark.parametrize("seed", range(25))
def test_random_graphs_are_bit_equal_at_every_cut(seed):
    expect_equal_at_every_cut(tflite_models.random_graph(seed).content())


def test_names_that_repeat_are_told_apart():
    expect_equal_at_every_cut(tflite_models.oddly_named().content())


def test_a_stage_holds_what_its_operators_use_and_nothing_else():
    model = parse_litert(tflite_models.branching().content(), "m")
    whole = whole_stage(model)
    first, second = cut(model, [range(4), range(4, len(model.operators))])
    assert first.outputs == ("stem", "joined")
    assert second.inputs == ("joined", "stem", "meta")
    parts = [parse_litert(stage.content, "part") for stage in (first, second)]
    data = [
        [one.data(t) for t in range(len(one.names))] for one in (parse_litert(whole.content, "w"), *parts)
    ]
    sizes = [sum(value.nbytes for value in one if value is not None) for one in data]
    assert sizes[0] == sizes[1] + sizes[2]
    assert all(0 < size < sizes[0] for size in sizes[1:])
    assert parts[0].op_types == model.op_types[:4]


def test_a_stage_runs_by_its_signature_and_our_names():
    model = parse_litert(tflite_models.branching().content(), "m")
    (_, stage) = cut(model, [range(4), range(4, len(model.operators))])
    signatures = Interpreter(model_content=stage.content).get_signature_list()
    assert list(signatures) == ["serving_default"]
    assert sorted(signatures["serving_default"]["inputs"]) == ["joined", "meta", "stem"]
    assert sorted(signatures["serving_default"]["outputs"]) == ["chances", "logits"]


def test_weights_that_share_a_buffer_stay_shared():
    model = Model()
    image = model.input("image", (1, 4, 4, 4))
    one = model.weight("one", (4, 1, 1, 4))
    other = model.tensor("other", (4, 1, 1, 4))
    model.graph.tensors[other].buffer = model.graph.tensors[one].buffer
    flow = model.conv(image, "a", 4, weights=one)
    flow = model.conv(flow, "b", 4, weights=one)
    content = model.give(model.conv(flow, "c", 4, weights=other)).content()
    expect_equal_at_every_cut(content)
    stage = parse_litert(whole_stage(parse_litert(content, "m")).content, "s")
    assert len(stage.tables.buffers) == 1 + 1 + 3  # the empty one, the weight, three biases


def test_outputs_that_are_inputs_constants_or_given_twice():
    model = Model()
    image = model.input("image", (1, 4))
    fixed = model.tensor("fixed", (2,), np.array([1.0, 2.0], np.float32))
    chances = model.softmax(image, "chances")
    model.give(chances, image, fixed)
    model.sign({"image": image}, {"fed": image, "fixed": fixed, "one": chances, "two": chances})
    found = parse_litert(model.content(), "m")
    sample = feeds(found)
    outputs = run_model(found, sample)
    assert list(outputs) == ["fed", "fixed", "one", "two"]
    assert np.array_equal(outputs["fed"], sample["image"])
    assert outputs["fixed"].tolist() == [1.0, 2.0]
    assert np.array_equal(outputs["one"], outputs["two"])


def test_an_output_that_is_called_as_an_input():
    model = Model()
    image = model.input("x", (1, 4))
    chances = model.softmax(image, "y")
    model.give(chances).sign({"x": image}, {"x": chances})
    found = parse_litert(model.content(), "m")
    assert float(run_model(found, feeds(found))["x"].sum()) == pytest.approx(1)


def test_an_operator_without_inputs_is_cut_like_any():
    model = Model()
    image = model.input("image", (1, 4))
    total = model.add(image, model.op(OPS.RANGE, _range(model), [model.tensor("numbers", (4,))]), "total")
    expect_equal_at_every_cut(model.give(model.softmax(total, "y")).content())


def _range(model):
    return [model.tensor(f"limit{n}", (), np.float32(n)) for n in (0, 4, 1)]


def test_what_keeps_a_state_is_not_parted():
    content = tflite_models.variables().content()
    model = parse_litert(content, "m")
    sample = feeds(model)
    expected = run_file(content, [sample["x"]])[0]
    assert np.array_equal(run_model(model, sample)["chances"], expected)
    for place in range(1, 5):
        with pytest.raises(ModelError, match="share what cannot leave a stage"):
            cut(model, [range(place), range(place, 6)])
    assert np.array_equal(run_chain(model, cut(model, [range(5), [5]]), sample)["chances"], expected)


def test_stages_out_of_order_are_refused():
    model = parse_litert(tflite_models.branching().content(), "m")
    with pytest.raises(ModelError, match="no earlier stage gives 'joined'"):
        cut(model, [range(4, len(model.operators)), range(4)])


def test_an_operator_in_no_stage_is_missed():
    model = parse_litert(tflite_models.branching().content(), "m")
    with pytest.raises(ModelError, match="no stage computes the output 'chances'|no earlier stage gives"):
        cut(model, [range(len(model.operators) - 1)])


def test_a_part_that_is_cut_out_gives_more_tensors_if_asked():
    model = parse_litert(tflite_models.branching().content(), "m")
    count = len(model.operators)
    tensors = {name: model.names.index(name) for name in ("pooled", "stem")}
    plain, more = (
        cut_out(model, range(4, count), range(4), also=also) for also in ((), tuple(tensors.values()))
    )
    assert set(more.outputs) == {*plain.outputs, "pooled"}  # the stem is another part's
    assert more.inputs == plain.inputs
