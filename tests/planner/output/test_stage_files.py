import hashlib
import zlib

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, parser

from planner.deployment.stage_tasks import StageModel
from planner.errors import OutputError
from planner.output.file_hash import sha256_of
from planner.output.stage_files import (
    check_model_file,
    ports_of,
    save_stage,
    stays_inside,
    with_compressed_size,
)
from planner.plan.manifest import STAGES, DataFile, Port
from profiling.graph.any_model import inputs_of, outputs_of
from profiling.precision import Precision

MODEL = parser.parse_model(
    '<ir_version: 8, opset_import: ["" : 17]> '
    "g (float[1, 3, 8, 6] x, int64 k) => (float16[1, 3, 8, 6] y, int64 s) "
    "{ y = Cast <to = 10> (x) s = Abs (k) }"
)
MIX = (Precision.FP32, Precision.INT8, Precision.INT8, Precision.INT16)


@pytest.fixture
def saved(tmp_path):
    (tmp_path / STAGES).mkdir()
    entry = save_stage(tmp_path, "07-camera", StageModel("camera", (1, 2, 3), MODEL), MIX, 2, ("x",))
    return tmp_path, entry


def test_a_stage_is_written_under_its_number_and_device_with_what_it_is(saved):
    folder, entry = saved
    content = (folder / "stages" / "07-camera.onnx").read_bytes()
    assert (entry.number, entry.device, entry.file) == (2, "camera", "stages/07-camera.onnx")
    assert entry.sha256 == hashlib.sha256(content).hexdigest()
    assert (entry.size_bytes, entry.data, entry.compressed_bytes) == (len(content), None, None)
    assert (entry.units, entry.precisions) == (3, {"int8": 2, "int16": 1})
    assert entry.inputs == (
        Port(name="x", dtype="float32", shape=(1, 3, 8, 6), channels_last=True),
        Port(name="k", dtype="int64", shape=()),
    )
    assert entry.outputs == (
        Port(name="y", dtype="float16", shape=(1, 3, 8, 6)),
        Port(name="s", dtype="int64", shape=()),
    )
    assert onnx.load_from_string(content).graph == MODEL.graph


def test_the_compressed_size_is_what_the_files_weigh_packed(saved):
    folder, entry = saved
    rng = np.random.default_rng(0)
    (folder / "w.data").write_bytes(bytes(40_000) + rng.bytes(20_000))
    sizes = [len(zlib.compress((folder / file).read_bytes(), 6)) for file in (entry.file, "w.data")]
    assert with_compressed_size(entry, folder).compressed_bytes == sizes[0]
    both = msgspec.structs.replace(entry, data=DataFile(file="w.data", sha256=""))
    assert with_compressed_size(both, folder).compressed_bytes == sum(sizes)


@pytest.mark.parametrize(
    ("file", "inside"),
    [
        ("a.onnx", True),
        ("stages/00-a.onnx", True),
        ("stages/../a.onnx", True),
        ("../a.onnx", False),
        ("stages/../../a.onnx", False),
        ("/etc/passwd", False),
        ("link/a.onnx", False),
        ("circle", False),
        ("a\0b", False),
    ],
)
def test_a_path_is_inside_if_it_is_so_behind_all_links(tmp_path, file, inside):
    folder = tmp_path / "plan"
    (folder / "stages").mkdir(parents=True)
    (folder / "link").symlink_to(tmp_path)
    (folder / "circle").symlink_to(folder / "circle")
    assert stays_inside(folder, file) is inside


PORTS = (ports_of(inputs_of(MODEL)), ports_of(outputs_of(MODEL)))


def test_a_file_as_the_manifest_says_is_taken_wherever_channels_stand(saved):
    folder, entry = saved
    check_model_file(folder / entry.file, None, PORTS, "it")
    check_model_file(folder / entry.file, None, (entry.inputs, entry.outputs), "it")


@pytest.mark.parametrize(
    ("ports", "what"),
    [
        ((PORTS[0][:1], PORTS[1]), "inputs"),
        ((PORTS[0][::-1], PORTS[1]), "inputs"),
        ((PORTS[0], (Port(name="y", dtype="float32", shape=(1, 3, 8, 6)), PORTS[1][1])), "outputs"),
        ((PORTS[0], (Port(name="y", dtype="float16", shape=(1, 3, 6, 8)), PORTS[1][1])), "outputs"),
    ],
)
def test_other_ends_than_the_manifest_has_are_refused(saved, ports, what):
    folder, entry = saved
    with pytest.raises(OutputError, match=f"07-camera.onnx: its {what} are not those that the list has"):
        check_model_file(folder / entry.file, None, ports, "the list")


@pytest.mark.parametrize("content", [b"", b"no model", b"\x00" * 100])
def test_what_is_no_model_is_refused(tmp_path, content):
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(OutputError, match="m.onnx: "):
        check_model_file(tmp_path / "m.onnx", None, PORTS, "it")


def outside(name: str, file: str) -> TensorProto:
    tensor = TensorProto(name=name, data_type=1, dims=[2], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=file)
    return tensor


def in_a_branch(tensor: TensorProto) -> onnx.NodeProto:
    end = helper.make_tensor_value_info("o", 1, [2])
    constant = helper.make_node("Constant", [], ["o"], value=tensor)
    graph = helper.make_graph([constant], "b", [], [end])
    return helper.make_node("If", ["f"], ["o2"], then_branch=graph, else_branch=graph)


@pytest.mark.parametrize("place", ["weight", "constant", "branch", "function"])
def test_weights_in_files_that_the_manifest_does_not_list_are_refused_wherever_they_are(tmp_path, place):
    model = onnx.ModelProto.FromString(MODEL.SerializeToString())
    tensor = outside("w", "secret.bin")
    if place == "weight":
        model.graph.initializer.append(tensor)
    elif place == "constant":
        model.graph.node.append(helper.make_node("Constant", [], ["c"], value=tensor))
    elif place == "branch":
        model.graph.node.append(in_a_branch(tensor))
    else:
        function = model.functions.add(name="f", domain="d")
        function.node.append(in_a_branch(tensor))
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(OutputError, match="reads weights from 'secret.bin', which the manifest"):
        check_model_file(path, None, PORTS, "it")
    check_model_file(path, DataFile(file="stages/secret.bin", sha256=""), PORTS, "it")
    with pytest.raises(OutputError, match=r"secret\.bin"):
        check_model_file(path, DataFile(file="stages/other.bin", sha256=""), PORTS, "it")


def test_a_hash_is_that_of_the_whole_file(tmp_path):
    content = np.random.default_rng(0).bytes(3_000_001)
    (tmp_path / "f").write_bytes(content)
    assert sha256_of(tmp_path / "f") == hashlib.sha256(content).hexdigest()
