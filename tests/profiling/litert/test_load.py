import random
import struct

import flatbuffers
import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
import tflite_models
from ai_edge_litert import schema_py_generated as schema
from tflite_models import OPS, Model

from profiling.errors import ModelError
from profiling.litert.cut import whole_stage
from profiling.litert.load import load_litert, parse_litert, why_an_output_is_lost


def small():
    model = Model()
    image = model.input("image", (1, 4, 4, 4))
    return model.give(model.conv(image, "conv", 4))


def behind(model, offset=0):
    """Return a file whose weights lie behind the flatbuffer."""
    tables = model.tables()
    pieces = [buffer.data for buffer in tables.buffers]
    for buffer in tables.buffers[1:]:
        buffer.data, buffer.offset, buffer.size = None, 2, 2
    place = len(tflite_models.packed(tables))
    content = b""
    for buffer, piece in list(zip(tables.buffers, pieces, strict=True))[1:]:
        buffer.offset, buffer.size = place + len(content) + offset, len(piece)
        content += piece.tobytes()
    return tflite_models.packed(tables) + content


def test_weights_behind_the_flatbuffer_are_read_in():
    model = small()
    expected = parse_litert(model.content(), "m")
    found = parse_litert(behind(small()), "m")
    for tensor in range(len(found.names)):
        one, other = expected.data(tensor), found.data(tensor)
        assert (one is None and other is None) or np.array_equal(one, other)
    assert any(found.data(tensor) is not None for tensor in range(len(found.names)))


def test_what_is_written_is_aligned_as_the_schema_asks_for():
    content = whole_stage(parse_litert(small().content(), "m")).content
    model = schema.Model.GetRootAs(content, 0)
    places = []
    for number in range(model.BuffersLength()):
        buffer = model.Buffers(number)
        if buffer.DataLength():
            places.append(
                buffer._tab.Vector(flatbuffers.number_types.UOffsetTFlags.py_type(buffer._tab.Offset(4)))
            )
    assert len(places) == 2
    assert not any(place % 16 for place in places)


def test_keys_of_the_signature_name_inputs_and_outputs():
    found = parse_litert(tflite_models.oddly_named().content(), "m")
    assert dict(found.inputs) == {"a": 0}
    assert list(found.outputs) == ["a"]
    assert found.names[0] == "a"
    assert len(set(found.names)) == len(found.names)


@pytest.mark.parametrize("length", [0, 3, 8, 100, 500])
def test_a_truncated_file_is_refused(length, tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(small().content()[:length])
    with pytest.raises(ModelError, match="no .tflite file|damaged or truncated"):
        load_litert(path)


def test_weights_outside_the_file_are_refused():
    with pytest.raises(ModelError, match="damaged or truncated: bytes .* hold weights"):
        parse_litert(behind(small(), 50), "m")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match="cannot read the model .*none.tflite"):
        load_litert(tmp_path / "none.tflite")


def damaged(change):
    model = small()
    change(model)
    return model.content()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: setattr(m.graph.operators[0], "inputs", [0, 1, 77]), "names tensor 77 of 4"),
        (lambda m: setattr(m.graph.operators[0], "inputs", [0, -2, 2]), "names tensor -2 of 4"),
        (lambda m: setattr(m.graph.operators[0], "opcodeIndex", 9), "names type 9 of 1"),
        (lambda m: setattr(m.graph.tensors[1], "buffer", 9), "names buffer 9 of 3"),
        (lambda m: setattr(m.graph, "outputs", [9]), "names tensor 9 of 4 as an end"),
        (
            lambda m: setattr(m.graph.tensors[1], "shape", [4, 1, 1, 5]),
            "has 64 bytes where its shape needs 80",
        ),
        (lambda m: setattr(m.graph.tensors[1], "shape", [-4, 1, 1, 4]), "negative dimension"),
        (lambda m: setattr(m.graph.tensors[0], "type", 99), "unknown element type, 99"),
        (lambda m: setattr(m.graph, "inputs", []), "'image' is read, but nothing writes it"),
        (lambda m: m.graph.operators.append(m.graph.operators[0]), "'conv' is written twice"),
        (lambda m: m.sign({"image": 2}, {"conv": 3}), "which is no such end"),
        (lambda m: m.sign({"image": 0}, {"conv": 3}, graph=4), "names graph 4 of 1"),
        (
            lambda m: m.op(OPS.IF, [0], [m.tensor("y", [1])], schema.IfOptionsT(thenSubgraphIndex=7)),
            "not there",
        ),
    ],
)
def test_indices_and_sizes_that_do_not_fit_are_refused(change, said):
    with pytest.raises(ModelError, match=said) as raised:
        parse_litert(damaged(change), "m.tflite")
    assert "\n" not in str(raised.value)
    assert "m.tflite" in str(raised.value)


def test_operators_out_of_order_are_refused():
    model = tflite_models.branching()
    model.graph.operators.reverse()
    with pytest.raises(ModelError, match="read before it is written"):
        parse_litert(model.content(), "m")


def test_no_random_damage_gets_through_as_another_error():
    content = tflite_models.branching().content()
    rng = random.Random(3)
    for _ in range(400):
        broken = bytearray(content)
        for _ in range(rng.choice([1, 4])):
            place = rng.randrange(8, min(len(content), 4000) - 4)
            struct.pack_into(
                "<i", broken, place, rng.choice([-1, 0, 1, 2**31 - 1, rng.randrange(-9999, 9999)])
            )
        try:
            found = parse_litert(bytes(broken), "m")
            whole_stage(found)
        except ModelError as exc:
            assert "\n" not in str(exc)


def two_signatures():
    model = small()
    model.sign({"image": 0}, {"first": 3}, "one").sign({"picture": 0}, {"second": 3}, "two")
    return model.content()


def test_of_several_signatures_one_is_named():
    with pytest.raises(ModelError, match="several signatures; name one of 'one', 'two'"):
        parse_litert(two_signatures(), "m")
    with pytest.raises(ModelError, match="no signature 'three'; it has 'one', 'two'"):
        parse_litert(two_signatures(), "m", "three")
    found = parse_litert(two_signatures(), "m", "two")
    assert (list(found.inputs), list(found.outputs)) == (["picture"], ["second"])


def test_custom_operators_are_named():
    model = small()
    model.op(OPS.CUSTOM, [3], [model.tensor("y", (1,))], custom=b"FlexDet")
    assert parse_litert(model.content(), "m").op_types == ("CONV_2D", "FlexDet")


def test_an_empty_graph_is_a_model():
    model = Model()
    image = model.input("image", (1, 4))
    found = parse_litert(model.give(image).content(), "m")
    assert (found.operators, dict(found.outputs)) == ([], {"image": 0})


def test_an_external_buffer_is_refused():
    model = small()
    tables = model.tables()
    tables.externalBuffers = [schema.ExternalBufferT(group=0, length=4)]
    with pytest.raises(ModelError, match="keeps weights in other files"):
        parse_litert(tflite_models.packed(tables), "m")


def test_names_that_are_no_text_are_shown_escaped():
    model = Model()
    image = model.input(b"im\xffage\x1b", (1, 4))
    found = parse_litert(model.give(model.softmax(image, "y")).content(), "m")
    assert found.names[0].isprintable()


@pytest.mark.parametrize(
    ("outputs", "told"),
    [
        ({"y": "conv", "again": "conv"}, "gives output 'y' under another name as output 'again'"),
        ({"y": "conv", "echo": "image"}, "gives input 'image' under another name as output 'echo'"),
        ({"y": "conv"}, ""),
    ],
)
def test_an_output_that_is_another_end_is_told_by_name(outputs, told):
    """A tensor has one name: the other one would be lost."""
    model = Model()
    ends = {"image": model.input("image", (1, 4, 4, 4))}
    ends["conv"] = model.conv(ends["image"], "conv", 4)
    model.give(*dict.fromkeys(ends[name] for name in outputs.values()))
    model.sign({"image": ends["image"]}, {key: ends[name] for key, name in outputs.items()})
    found = why_an_output_is_lost(parse_litert(model.content(), "m"))
    assert found.startswith(told)
    assert bool(found) == bool(told)
