"""Large weights lie outside the model: nothing else may change, and they are written for others."""

import subprocess
import sys

import models
import numpy as np
import onnx
import pytest
from npz_archives import arrays_of
from onnx import TensorProto, numpy_helper
from planned_models import plan_model

from planner.output.plan_folder import write_outcome
from planner.output.run_exported import run_folder
from planner.output.saved_plan import read_manifest
from profiling.errors import ModelError
from profiling.graph.unit_graph import build_graph
from profiling.on_device.create_session import Optimization
from profiling.onnx_io import external_weights as weights
from profiling.onnx_io.load_model import load_model, model_hash
from profiling.precision import Precision
from profiling.preparation.rewrite_steps import prepare_model
from profiling.quantization.calibration import Calibration, calibrate
from profiling.quantization.qdq_model import INT8, INT8_REDUCED, quantize
from profiling.runtime.open_session import Runtime, open_session, run_session

HEAD = '<ir_version: 8, opset_import: ["" : 17]>'
LAYERS = {
    "matmul": f"{HEAD} g (float[1, 6] x) => (float[1, 5] y) <float[6, 5] w> {{ y = MatMul (x, w) }}",
    "constant on the left": f"{HEAD} g (float[1, 6, 4] x) => (float[1, 5, 4] y) <float[5, 6] w> "
    "{ y = MatMul (w, x) }",
    "gemm": f"{HEAD} g (float[1, 6] x) => (float[1, 5] y) <float[6, 5] w, float[5] b> "
    "{ y = Gemm (x, w, b) }",
    "gemm transposed": f"{HEAD} g (float[1, 6] x) => (float[1, 5] y) <float[5, 6] w, float[5] b> "
    "{ y = Gemm <transB = 1> (x, w, b) }",
    "conv": f"{HEAD} g (float[1, 3, 5, 5] x) => (float[1, 4, 3, 3] y) <float[4, 3, 3, 3] w, float[4] b> "
    "{ y = Conv <kernel_shape = [3, 3]> (x, w, b) }",
    "depthwise": f"{HEAD} g (float[1, 4, 5, 5] x) => (float[1, 4, 3, 3] y) <float[4, 1, 3, 3] w> "
    "{ y = Conv <kernel_shape = [3, 3], group = 4> (x, w) }",
    "transposed conv": f"{HEAD} g (float[1, 3, 5, 5] x) => (float[1, 4, 7, 7] y) <float[3, 4, 3, 3] w> "
    "{ y = ConvTranspose <kernel_shape = [3, 3]> (x, w) }",
    "added constant": f"{HEAD} g (float[1, 6, 5] x) => (float[1, 6, 5] y) <float[6, 5] w> "
    "{ y = Add (x, w) }",
}


@pytest.fixture
def _all_large(monkeypatch):
    monkeypatch.setattr(weights, "LARGE_BYTES", 64)
    monkeypatch.setattr(weights, "_CHUNK_BYTES", 100)  # so that even tiny weights come in pieces


def save(model: onnx.ModelProto, folder, name="m.onnx"):
    onnx.save(model, folder / name)
    return folder / name


def save_beside(model: onnx.ModelProto, folder):
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    onnx.save(copy, folder / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    return folder / "m.onnx"


def large(model: onnx.ModelProto) -> list[str]:
    return [tensor.name for tensor in model.graph.initializer if weights.is_large(tensor)]


def quantized(path, folder, scheme):
    """Return the float and the int8 model of a file, and the outputs of both on one sample."""
    graph = build_graph(prepare_model(load_model(path, {})))
    feeds = {
        name: np.random.default_rng(3).normal(size=graph.tensors[name].shape).astype(np.float32)
        for name in graph.inputs
    }
    calibration = Calibration(scheme, folder / "ranges.json")
    calibrate(graph.model, graph.quantizable_nodes, [feeds], calibration.ranges)
    int8 = quantize(graph.model, calibration.of(graph.quantizable_nodes), calibration.ranges)
    outputs = [
        run_session(open_session(model, Runtime(), optimization), feeds)
        for model in (graph.model, int8)
        for optimization in Optimization
    ]
    return graph.model, int8, outputs


def contents(model: onnx.ModelProto) -> dict[str, bytes]:
    return {
        tensor.name: numpy_helper.to_array(weights.inline(tensor)).tobytes()
        for tensor in model.graph.initializer
    }


@pytest.mark.parametrize("scheme", [INT8, INT8_REDUCED], ids=["8bit", "7bit"])
@pytest.mark.parametrize("layer", LAYERS)
def test_every_kind_of_weight_is_quantized_as_if_it_were_inside(layer, scheme, tmp_path, monkeypatch):
    path = save(models.with_weights(LAYERS[layer]), tmp_path)
    _, inside, outputs = quantized(path, tmp_path, scheme)
    assert not large(inside)
    monkeypatch.setattr(weights, "LARGE_BYTES", 64)
    monkeypatch.setattr(weights, "_CHUNK_BYTES", 30)
    source, outside, others = quantized(path, tmp_path, scheme)
    assert large(source) == ["w"]
    assert large(outside) == ["w_quantized"]
    assert contents(outside) == contents(inside)
    for one, other in zip(outputs, others, strict=True):
        assert one["y"].tobytes() == other["y"].tobytes()


def test_a_stack_of_matrices_stays_in_float(tmp_path):
    text = f"{HEAD} g (float[3, 2, 6] x) => (float[3, 2, 5] y) <float[3, 6, 5] w> {{ y = MatMul (x, w) }}"
    graph = build_graph(prepare_model(load_model(save(models.with_weights(text), tmp_path), {})))
    assert "stack of matrices" in graph.units[0].why_not(Precision.INT8)


@pytest.mark.usefixtures("_all_large")
def test_pieces_are_the_whole(tmp_path):
    array = np.arange(7 * 5 * 3, dtype=np.float32).reshape(7, 5, 3)
    weight = weights.write_external(array.shape, TensorProto.FLOAT, [array[:2], array[2:]])
    pieces = list(weight.iter_chunks())
    assert len(pieces) == 7
    assert np.concatenate(pieces).tobytes() == array.tobytes()
    assert weights.LargeWeight.of(weight.reference("w")) == weight
    for axis in (0, 1):
        low_high = np.moveaxis(weights.per_channel_min_max(weight, axis), 1 - axis, 0)
        others = tuple(i for i in range(3) if i != axis)
        np.testing.assert_array_equal(low_high[0].ravel(), array.min(axis=others))
        np.testing.assert_array_equal(low_high[1].ravel(), array.max(axis=others))


def test_a_plan_does_not_depend_on_where_weights_lie(tmp_path, monkeypatch):
    arrays = {"x": np.random.default_rng(0).normal(size=(8, 1, 2, 8, 8)).astype(np.float32)}
    model = models.residual()
    inside = plan_model(tmp_path, model, arrays, precisions=["int8"])
    monkeypatch.setattr(weights, "LARGE_BYTES", 64)
    outside = plan_model(tmp_path, model, arrays, precisions=["int8"])
    assert large(outside.built.mixed)
    assert any(name.endswith("_quantized") for name in large(outside.built.mixed))
    for name in ("noise_relative_rms", "max_abs_error"):
        assert getattr(outside.plan.measured, name) == getattr(inside.plan.measured, name)
    assert outside.plan.predicted.noise_relative_rms == inside.plan.predicted.noise_relative_rms
    assert outside.plan.measured.chain.basic_bit_equal


@pytest.mark.usefixtures("_all_large")
def test_a_model_that_is_too_large_for_one_file_gets_two(tmp_path, monkeypatch):
    arrays = {"x": np.random.default_rng(0).normal(size=(8, 1, 2, 8, 8)).astype(np.float32)}
    outcome = plan_model(tmp_path, models.residual(), arrays)
    write_outcome(outcome, tmp_path / "one")
    monkeypatch.setattr(weights, "_MAX_INLINE_BYTES", 1)
    write_outcome(outcome, tmp_path / "two")
    write_outcome(outcome, tmp_path / "two")  # a plan may replace a plan of two files
    manifest = read_manifest(tmp_path / "two")
    assert read_manifest(tmp_path / "one").model_data is None
    assert manifest.model_data.file == "model.onnx.data"
    for file in ("model.onnx", *(stage.file for stage in manifest.stages)):
        onnx.checker.check_model(tmp_path / "two" / file)
    moved = (tmp_path / "two").rename(tmp_path / "moved")
    np.savez(tmp_path / "x.npz", x=arrays["x"])
    answers = []
    for folder in (tmp_path / "one", moved):
        run_folder(folder, tmp_path / "x.npz", tmp_path / "y.npz", None)
        answers.append(arrays_of(tmp_path / "y.npz")["y"])
    assert answers[0].tobytes() == answers[1].tobytes()
    data = moved / manifest.stages[0].data.file
    data.write_bytes(data.read_bytes() + b"?")
    with pytest.raises(Exception, match=r"00-a.onnx.data: has changed since it was exported"):
        read_manifest(moved)


@pytest.mark.usefixtures("_all_large")
def test_the_hash_tells_content_not_place(tmp_path):
    model = models.residual()
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    beside = load_model(save_beside(model, tmp_path / "a"), {})
    inside = load_model(save(model, tmp_path / "b"), {})
    assert large(beside) == large(inside) == ["w1", "w2", "w3", "w4"]
    assert model_hash(beside) == model_hash(inside)
    weight = model.graph.initializer[0]
    changed = numpy_helper.to_array(weight).copy()
    changed.flat[-1] += 1
    weight.CopyFrom(numpy_helper.from_array(changed, weight.name))
    assert model_hash(load_model(save(model, tmp_path), {})) != model_hash(inside)


def test_weights_beside_the_model_are_read_where_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "LARGE_BYTES", 64)
    model = load_model(save_beside(models.residual(), tmp_path), {})
    first = next(tensor for tensor in model.graph.initializer if tensor.name == "w1")
    assert weights.LargeWeight.of(first).file == tmp_path / "w.bin"
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == "b1")
    assert not weights.is_large(bias)


SPOILT = {
    "outside": ({"location": "../w.bin"}, "weight 'w1': '../w.bin' points outside the model's folder"),
    "absolute": ({"location": "/etc/passwd"}, "points outside"),
    "absent": ({"location": "none.bin"}, "its file 'none.bin' does not exist"),
    "a folder": ({"location": ""}, "does not exist"),
    "cut off": ({"offset": "100000"}, "ends before it does"),
    "another length": ({"length": "12"}, "its shape takes 288 bytes, but it has 12"),
    "no number": ({"offset": "-4"}, "offset is '-4', not a number of bytes"),
}


@pytest.mark.usefixtures("_all_large")
@pytest.mark.parametrize("name", SPOILT)
def test_a_large_weight_that_is_not_there_is_refused(name, tmp_path):
    entries, message = SPOILT[name]
    model = onnx.load(save_beside(models.residual(), tmp_path), load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        entry.value = entries.get(entry.key, entry.value)
    with pytest.raises(ModelError, match=message):
        load_model(save(model, tmp_path), {})


def test_a_link_out_of_the_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "LARGE_BYTES", 64)
    (tmp_path / "in").mkdir()
    path = save_beside(models.residual(), tmp_path / "in")
    (tmp_path / "in" / "w.bin").rename(tmp_path / "w.bin")
    (tmp_path / "in" / "w.bin").symlink_to(tmp_path / "w.bin")
    with pytest.raises(ModelError, match="points outside"):
        load_model(path, {})


@pytest.mark.usefixtures("_all_large")
def test_a_model_gets_back_the_weights_that_a_tool_did_not_drop():
    model = models.residual()
    weights.externalize(model)
    before = model.SerializeToString(deterministic=True)
    small = weights.without_large_weights(model)
    assert not large(small)
    assert [value.name for value in small.graph.input] == ["x", "w1", "w2", "w3", "w4"]
    onnx.checker.check_model(small)
    assert model.SerializeToString(deterministic=True) == before
    dropped = next(value for value in small.graph.input if value.name == "w3")
    small.graph.input.remove(dropped)
    back = weights.reattach_weights(small, model)
    assert [value.name for value in back.graph.input] == ["x"]
    assert large(back) == ["w1", "w2", "w4"]
    assert {name: bits for name, bits in contents(model).items() if name != "w3"} == contents(back)


@pytest.mark.usefixtures("_all_large")
def test_a_substitute_stays_a_constant_and_gives_way_to_the_weight_again():
    model = models.residual()
    weights.externalize(model)
    substitute = numpy_helper.from_array(np.zeros((1, 1), np.float32), "w2")
    small = weights.without_large_weights(model, {"w2": substitute})
    assert contents(small)["w2"] == substitute.raw_data
    assert "w2" not in {value.name for value in small.graph.input}
    back = weights.reattach_weights(small, model)
    assert len(back.graph.initializer) == len(model.graph.initializer)
    assert contents(back) == contents(model)


@pytest.mark.usefixtures("_all_large")
def test_models_of_one_folder_share_the_files_of_equal_weights(tmp_path):
    model = models.residual()
    expected = contents(model)
    weights.externalize(model)
    weights.save_sharing(model, tmp_path / "a.onnx")
    files = {path: path.stat().st_mtime_ns for path in tmp_path.glob(f"*{weights.DATA_SUFFIX}")}
    assert len(files) == 4
    model.graph.node[0].name = "another"
    weights.save_sharing(model, tmp_path / "b.onnx")
    assert {path: path.stat().st_mtime_ns for path in files} == files
    assert len(list(tmp_path.iterdir())) == 6
    for name in ("a.onnx", "b.onnx"):
        onnx.checker.check_model(tmp_path / name)
        assert contents(onnx.load(tmp_path / name)) == expected


@pytest.mark.usefixtures("_all_large")
def test_a_saved_model_names_data_by_pages_and_without_our_checksum(tmp_path, monkeypatch):
    model = models.residual()
    expected = contents(model)
    weights.externalize(model)
    monkeypatch.setattr(weights, "_MAX_INLINE_BYTES", 1)
    assert weights.save(model, tmp_path / "m.onnx") == tmp_path / "m.onnx.data"
    written = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    outside = [tensor for tensor in written.graph.initializer if weights.is_large(tensor)]
    entries = [{entry.key: entry.value for entry in tensor.external_data} for tensor in outside]
    assert len(entries) == 4
    assert all(one.keys() == {"location", "offset", "length"} for one in entries)
    assert all(int(one["offset"]) % 4096 == 0 for one in entries)
    assert contents(onnx.load(tmp_path / "m.onnx")) == expected


@pytest.mark.usefixtures("_all_large")
def test_only_files_of_large_weights_are_deleted():
    model = models.residual()
    weights.externalize(model)
    file = weights.LargeWeight.of(model.graph.initializer[0]).file
    others = [t for t in model.graph.initializer[1:] if weights.is_large(t)]
    inside = [t for t in model.graph.initializer if not weights.is_large(t)]
    assert inside
    weights.delete_files([model.graph.initializer[0], *inside])
    assert not file.exists()
    assert all(weights.LargeWeight.of(tensor).file.exists() for tensor in others)


@pytest.mark.usefixtures("_all_large")
def test_a_file_that_becomes_shorter_is_an_error_not_other_numbers():
    array = np.arange(60, dtype=np.float32).reshape(10, 6)
    weight = weights.write_external(array.shape, TensorProto.FLOAT, [array])
    weight.file.write_bytes(weight.file.read_bytes()[:-1])
    with pytest.raises(ValueError, match="reshape"):
        weights.read_array(weight.reference("w"))


@pytest.mark.parametrize("shape", [(2**18,), (2**17, 1)], ids=["bias", "below a mebibyte"])
def test_small_weights_and_biases_stay_inside(shape):
    model = models.residual()
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.zeros(shape, np.float32), "w1"))
    weights.externalize(model)
    assert large(model) == []


def test_scratch_files_go_with_their_process(tmp_path):
    code = (
        "import os, sys; from profiling.directories import scratch_folder; "
        "(scratch_folder() / 'w').write_text('x'); print(scratch_folder(), flush=True); "
        "os.kill(os.getpid(), 9) if sys.argv[1] == 'killed' else None"
    )

    def run(how: str) -> str:
        env = {"XDG_CACHE_HOME": str(tmp_path), "PATH": ""}
        done = subprocess.run([sys.executable, "-c", code, how], capture_output=True, text=True, env=env)
        return done.stdout.strip()

    left = run("killed")
    scratch = tmp_path / "splitquant"
    assert [str(path) for path in scratch.iterdir() if path.is_dir()] == [left]
    run("whole")  # clears what the killed one left, and its own
    assert [path.name for path in scratch.iterdir()] == ["lock"]


def test_an_old_opset_is_converted_with_its_weights_outside(tmp_path, monkeypatch):
    model = models.residual()
    model.opset_import[0].version = 11
    path = save(model, tmp_path)
    feeds = {"x": np.random.default_rng(0).normal(size=(1, 2, 8, 8)).astype(np.float32)}
    inside = run_session(open_session(prepare_model(load_model(path, {})), Runtime()), feeds)
    monkeypatch.setattr(weights, "LARGE_BYTES", 64)
    prepared = prepare_model(load_model(path, {}))
    assert large(prepared)
    assert [value.name for value in prepared.graph.input] == ["x"]
    outside = run_session(open_session(prepared, Runtime()), feeds)
    assert outside["y"].tobytes() == inside["y"].tobytes()
