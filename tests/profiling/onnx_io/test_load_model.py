import models
import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser
from text_models import make

from profiling.errors import ModelError
from profiling.onnx_io.input_shapes import dimensions, set_shape
from profiling.onnx_io.load_model import default_opset, load_model, model_hash
from profiling.preparation.rewrite_steps import prepare_model
from profiling.runtime.open_session import Runtime, open_session, run_session


def save(model: onnx.ModelProto, folder) -> object:
    path = folder / "m.onnx"
    onnx.save(model, path)
    return path


def test_a_symbolic_batch_becomes_one(tmp_path):
    model = load_model(save(models.residual(), tmp_path), {})
    assert [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == [1, 2, 8, 8]
    prepared = prepare_model(model)
    assert [d.dim_value for d in prepared.graph.output[0].type.tensor_type.shape.dim] == [1, 4]


def test_other_dynamic_dimensions_must_be_declared(tmp_path):
    text = models._RESIDUAL.replace("float[N, 2, 8, 8]", "float[N, 2, H, W]")
    path = save(models.with_weights(text), tmp_path)
    with pytest.raises(ModelError, match=r"input 'x' has dynamic shape \[\?, 2, \?, \?\]; declare it"):
        load_model(path, {})
    assert load_model(path, {"x": (1, 2, 8, 8)})


def test_all_inputs_with_open_dimensions_are_named_at_once_as_they_are_to_be_declared(tmp_path):
    inputs = "int64[N, tokens] ids, float[N, 4] given, float[N, 4, H] rest"
    model = make(f"({inputs}) => (float[N, 4] y) {{ y = Relu (given) }}", {})
    model.graph.input[2].name = "a b"
    with pytest.raises(ModelError) as refusal:
        load_model(save(model, tmp_path), {})
    message = str(refusal.value)
    assert 'input_shapes: {"ids": [1, tokens], "a b": [1, 4, H]}' in message
    assert "--shape ids=1,tokens --shape 'a b=1,4,H'" in message
    assert "'given'" not in message
    assert load_model(save(model, tmp_path), {"ids": (1, 5), "a b": (1, 4, 3)})


def test_a_declared_shape_that_does_not_fit_is_refused(tmp_path):
    path = save(models.residual(), tmp_path)
    with pytest.raises(ModelError, match="input_shapes.x"):
        load_model(path, {"x": (1, 3, 8, 8)})
    with pytest.raises(ModelError, match="input_shapes.z: .* has no such input; it has x"):
        load_model(path, {"z": (1, 3, 8, 8)})


def test_preparing_keeps_the_outputs(residual):
    feeds = residual.samples[0]
    before = run_session(open_session(residual.source, Runtime()), feeds)
    after = run_session(open_session(residual.graph.model, Runtime()), feeds)
    np.testing.assert_allclose(after["y"], before["y"], atol=1e-6)


def test_names_become_unique_and_nothing_else_does(tmp_path):
    model = models.residual()
    for node in model.graph.node:
        node.name = "same" if node.op_type == "Conv" else ""
    prepared = prepare_model(load_model(save(model, tmp_path), {}))
    names = [node.name for node in prepared.graph.node]
    assert len(set(names)) == len(names)
    assert all(names)
    assert [o.domain for o in prepared.opset_import] == [""]


def test_a_weight_shared_by_two_nodes_is_given_to_each(tmp_path):
    model = models.branches()
    model.graph.node[1].input[1] = "w1"  # left reads the stem's weights
    prepared = prepare_model(load_model(save(model, tmp_path), {}))
    readers = [name for node in prepared.graph.node for name in node.input if name.startswith("w1")]
    assert len(readers) == len(set(readers)) == 2
    weights = {i.name: numpy_helper.to_array(i) for i in prepared.graph.initializer}
    np.testing.assert_array_equal(weights[readers[0]], weights[readers[1]])


def test_a_weight_read_twice_by_one_node_is_copied_once(tmp_path):
    text = (
        '<ir_version: 8, opset_import: ["" : 17]> g (float[2, 2] x) => (float[6, 2] y) '
        "<float[2, 2] w> { a = MatMul (x, w) y = Concat <axis = 0> (a, w, w) }"
    )
    prepared = prepare_model(load_model(save(models.with_weights(text), tmp_path), {}))
    names = [init.name for init in prepared.graph.initializer]
    assert len(names) == len(set(names)) == 2


def test_an_initializer_listed_as_input_is_a_constant(tmp_path):
    model = models.silu()
    weight = next(i for i in model.graph.initializer if i.name == "w1")
    model.graph.input.append(onnx.helper.make_tensor_value_info("w1", 1, list(weight.dims)))
    prepared = prepare_model(load_model(save(model, tmp_path), {}))
    assert [value.name for value in prepared.graph.input] == ["x"]


def test_an_old_opset_is_converted(tmp_path):
    model = models.silu()
    model.opset_import[0].version = 11
    prepared = prepare_model(load_model(save(model, tmp_path), {}))
    assert prepared.opset_import[0].version == 17


def test_files_that_are_no_models_are_refused(tmp_path):
    with pytest.raises(ModelError, match="does not exist"):
        load_model(tmp_path / "none.onnx", {})
    with pytest.raises(ModelError, match="is not a file"):
        load_model(tmp_path, {})
    text = tmp_path / "text.onnx"
    text.write_text("hello, this is no model at all")
    with pytest.raises(ModelError, match="is not an ONNX"):
        load_model(text, {})
    text.write_bytes(b"")
    with pytest.raises(ModelError, match="is not an ONNX"):
        load_model(text, {})


@pytest.mark.filterwarnings("ignore:The onnxtxt format is experimental")
@pytest.mark.parametrize("suffix", ["onnx", "pb", "json", "onnxjson", "textproto", "pbtxt", "onnxtxt"])
@pytest.mark.parametrize("content", [b'{"devices": []}', b"hello\nworld", b"[" * 10_000, bytes(range(256))])
def test_what_is_no_model_is_refused_in_one_line_whatever_its_name_says(content, suffix, tmp_path):
    """ONNX chooses one of four parsers by the end of the name, and each has an error of its own."""
    file = tmp_path / f"m.{suffix}"
    file.write_bytes(content)
    with pytest.raises(ModelError, match=r"m\.\w+ is not an ONNX file( \(.+\))?$") as refusal:
        load_model(file, {})
    assert "\n" not in str(refusal.value)


def test_weights_may_lie_in_a_file_beside_the_model(tmp_path):
    model = models.residual()
    whole = load_model(save(model, tmp_path), {})
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    assert (tmp_path / "w.bin").stat().st_size > 0
    beside = load_model(tmp_path / "m.onnx", {})
    feeds = {"x": np.ones((1, 2, 8, 8), np.float32)}
    outputs = [run_session(open_session(prepare_model(m), Runtime()), feeds) for m in (whole, beside)]
    np.testing.assert_array_equal(outputs[0]["y"], outputs[1]["y"])


def test_a_model_that_the_checker_refuses_is_refused(tmp_path):
    model = models.residual()
    model.graph.node[0].input[0] = "nowhere"
    whole_sentence = "is not valid ONNX: .* input 'nowhere' of node: .* is not output of any previous nodes"
    with pytest.raises(ModelError, match=whole_sentence):
        load_model(save(model, tmp_path), {})


def test_names_that_are_no_text_are_refused(tmp_path):
    content = models.residual().SerializeToString().replace(b"Flatten", b"Flat\x80en")
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(ModelError, match="is not valid ONNX"):
        load_model(tmp_path / "m.onnx", {})


def test_an_operator_that_the_runtime_lacks_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17, "my.ops" : 1]> '
        "g (float[1, 4] x) => (float[1, 4] y) { y = my.ops.Strange (x) }"
    )
    with pytest.raises(ModelError, match="Strange"):
        prepare_model(load_model(save(model, tmp_path), {}))
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


@pytest.mark.parametrize("seed", range(3))
def test_nodes_in_any_order_are_sorted_to_the_same_numbers(tmp_path, seed):
    model = models.residual()
    feeds = {"x": np.random.default_rng(0).normal(size=(1, 2, 8, 8)).astype(np.float32)}
    expected = run_session(open_session(load_model(save(model, tmp_path), {}), Runtime()), feeds)["y"]
    nodes = [model.graph.node[i] for i in np.random.default_rng(seed).permutation(len(model.graph.node))]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    loaded = load_model(save(model, tmp_path), {})
    written: set[str] = {"x"} | {init.name for init in loaded.graph.initializer}
    for node in loaded.graph.node:
        assert written.issuperset(filter(None, node.input))
        written |= set(node.output)
    assert run_session(open_session(loaded, Runtime()), feeds)["y"].tobytes() == expected.tobytes()


def test_sorted_nodes_keep_their_order(tmp_path):
    model = models.branches()
    loaded = load_model(save(model, tmp_path), {})
    assert [n.output[0] for n in loaded.graph.node] == [n.output[0] for n in model.graph.node]


SPARSE = {
    "flat": (np.array([1, 5]), [[0, 7, 0], [0, 0, 8]]),
    "by coordinates": (np.array([[0, 1], [1, 2]]), [[0, 7, 0], [0, 0, 8]]),
}


@pytest.mark.parametrize("indices_are", SPARSE)
def test_sparse_constants_become_dense(tmp_path, indices_are):
    indices, expected = SPARSE[indices_are]
    sparse = onnx.helper.make_sparse_tensor(
        numpy_helper.from_array(np.float32([7, 8]), "w"),
        numpy_helper.from_array(indices, "w_indices"),
        [2, 3],
    )
    text = (
        '<ir_version: 8, opset_import: ["" : 17]> g (float[2, 3] x) => (float[2, 3] y) '
        "{ s = Add (x, w) y = Add (s, c) }"
    )
    model = parser.parse_model(text)
    model.graph.sparse_initializer.append(sparse)
    model.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["c"], sparse_value=sparse))
    loaded = load_model(save(model, tmp_path), {})
    assert not loaded.graph.sparse_initializer
    answer = run_session(open_session(loaded, Runtime()), {"x": np.ones((2, 3), np.float32)})["y"]
    np.testing.assert_array_equal(answer, 1 + 2 * np.float32(expected))


def test_a_model_that_lists_an_output_twice_is_refused(tmp_path):
    model = models.residual()
    model.graph.output.append(model.graph.output[0])
    with pytest.raises(ModelError):
        load_model(save(model, tmp_path), {})


def test_a_shape_may_be_that_of_a_scalar_or_open():
    value = onnx.helper.make_tensor_value_info("x", 1, ["N", 3, None])
    assert dimensions(value) == (None, 3, None)
    set_shape(value, (2, 3, 4))
    assert dimensions(value) == (2, 3, 4)
    set_shape(value, ())
    assert dimensions(value) == ()
    assert value.type.tensor_type.HasField("shape")


def test_the_hash_depends_on_every_weight_and_attribute(tmp_path):
    model = load_model(save(models.residual(), tmp_path), {})
    hashes = {model_hash(model)}
    assert model_hash(load_model(save(models.residual(), tmp_path), {})) in hashes
    model.graph.node[0].attribute[0].doc_string = "x"
    hashes.add(model_hash(model))
    model.graph.initializer[0].raw_data = b"\0" + model.graph.initializer[0].raw_data[1:]
    hashes.add(model_hash(model))
    assert len(hashes) == 3


def test_a_model_without_the_standard_operators_has_their_first_version():
    model = models.residual()
    assert default_opset(model) == 17
    model.opset_import[0].domain = "ai.onnx"
    assert default_opset(model) == 17
    model.opset_import[0].domain = "my.ops"
    assert default_opset(model) == 1
