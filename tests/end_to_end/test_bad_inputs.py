"""A table of mistakes: each gives one clear line, the right exit code, no traceback and no half result."""

import json
import random
import shutil
from pathlib import Path

import bad_inputs
import models
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from scenario_texts import QUICK
from small_scenarios import write_small_scenario

from planner.cli.commands import main
from profiling.records.profile import FORMAT as PROFILE_FORMAT


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    """A folder with a small scenario that is right, its plan and its profile."""
    folder = tmp_path_factory.mktemp("good")
    write_small_scenario(folder)
    assert run(folder / "s.yaml", "--out", folder / "plan") == 0
    assert run("profile", folder / "s.yaml", "--out", folder / "p.json") == 0
    return folder


@pytest.fixture
def here(good, tmp_path, monkeypatch) -> Path:
    """A copy of that folder to spoil, as working directory."""
    folder = tmp_path / "here"
    shutil.copytree(good, folder)
    monkeypatch.chdir(folder)
    return folder


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as done:
        main([str(a) for a in arguments])
    return done.value.code


def check(capsys, folder: Path, arguments: tuple[str, ...], code: int, message: str) -> None:
    before = sorted(folder.rglob("*"))
    capsys.readouterr()
    got = run(*arguments)
    out, err = capsys.readouterr()
    assert message in err
    assert (got, len(err.splitlines()), out) == (code, 1, ""), err
    assert "Traceback" not in err
    assert "internal error" not in err
    assert [path for path in sorted(folder.rglob("*")) if "__pycache__" not in str(path)] == before


SETTINGS = {
    "model=": "model must be text, got None",
    "model=none.onnx": "none.onnx does not exist",
    "model=.": "is a folder but no SavedModel",
    "model=s.yaml": "is not an ONNX",
    "model=c.npz": "is not an ONNX",
    "input_shapes={z: [1]}": "has no such input; it has x",
    "input_shapes={x: [1, 2, 8]}": "does not fit",
    "input_shapes={x: [1, 3, 8, 8]}": "does not fit",
    "input_shapes={x: [1, -2, 8, 8]}": "input_shapes.x.1 must be > 0, got -2",
    "input_shapes={x: 3}": "input_shapes.x must be a list, got 3",
    "input_shapes=[1]": "input_shapes must be a mapping",
    "inputs={q: {wire_bytes: 3}}": "inputs.q: the model has no such input",
    "inputs={x: {wire_bytes: 0}}": "inputs.x.wire_bytes must be > 0, got 0",
    "inputs={x: {wire_bytes: 1.5}}": "inputs.x.wire_bytes must be a whole number, got 1.5",
    "inputs={x: {}}": "inputs.x.wire_bytes is required",
    "inputs={x: 3}": "inputs.x must be a mapping",
    "data={calibration: {npz: c.npz}}": "data.evaluation is required",
    "data.calibration={}": "needs exactly one of npz, images, reader",
    "data.calibration.npz=none.npz": "none.npz does not exist",
    "data.calibration.npz=.": "is not a readable .npz archive",
    "data.calibration.npz=m.onnx": "is not a readable .npz archive",
    "data.calibration.npz=3": "data.calibration.npz must be text, got 3",
    "data.calibration.labels=z": "labels: must name an array",
    "data.calibration.labels=x": "must hold 12 whole numbers, got float32",
    "data.calibration.labels={file: c.npz}": "labels: must name an array",
    "data.calibration.labels=3": "data.calibration.labels must be text, got 3",
    "data.calibration.label_offset=9": "values run from",
    "data.calibration.label_offset=-9": "values run from",
    "data.calibration.label_offset=0.5": "label_offset must be a whole number, got 0.5",
    "data.calibration.inputs={x: q}": "has no array 'q' for input 'x'",
    "data.calibration.inputs={q: x}": "the model has no input 'q'",
    "data.calibration.inputs={x: y}": "input 'x' wants float32, got int64",
    "data.calibration.samples=0": "samples must be > 0, got 0",
    "data.calibration.samples=2": "needs at least 4 samples, got 2",
    "data.calibration.subset={modulo: 0, equals: [0]}": "subset.modulo must be > 0, got 0",
    "data.calibration.subset={modulo: 2, equals: []}": "subset.equals needs at least 1 entry",
    "data.calibration.subset={modulo: 2, equals: [-1]}": "subset.equals.0 must be >= 0, got -1",
    "data.calibration.subset={modulo: 99, equals: [77]}": "data.calibration: no samples are left",
    "data.calibration.subset={modulo: 2, equals: [0], column: a}": "no column 'a' in the label table",
    "data.calibration={images: none, image: {}}": "none is not a folder",
    "data.calibration={images: plan, image: {}}": "data.calibration: no samples are left",
    "data.calibration={images: plan}": "image is required with images",
    "data.calibration={reader: c}": "reader must be module:name, got 'c'",
    "data.calibration={reader: 'none_such:A'}": "none_such:A cannot be used",
    "data.calibration={reader: 'json:Nope'}": "json:Nope cannot be used",
    "data.calibration={reader: 'json:loads'}": "json:loads", # a function that wants arguments
    "data.calibration.image={crop: 0}": "image.crop must be > 0, got 0",
    "data.calibration.image={divide_by: 0}": "divide_by must not be 0",
    "data.calibration.image={scale_by: [1, 0]}": "scale_by must not be 0",
    "data.calibration.image={layout: chw}": "image.layout must be 'nchw' or 'nhwc', got 'chw'",
    "data.calibration.image={crop: 99}": "data.calibration: sample 0: cannot crop 99 x 99",
    "data.calibration.image={subtract: [1, 2, 3]}": "image.subtract: give one number or one per channel (8)",
    "data.calibration.image={resize_shorter: 4}": "pixels must be uint8, got float32",
    "data.calibration.file=c.npz": "data.calibration.file is not a known key",
    "devices=[]": "devices needs at least 1 entry",
    "devices=[{}]": "devices.0.name is required",
    "devices.0.name=": "devices.0.name must be text, got None",
    "devices.0.name='a b'": "may hold only letters, digits and _ . -",
    "devices.0.name=../a": "may hold only letters, digits and _ . -",
    "devices.0.threads=-1": "devices.0.threads must be > 0, got -1",
    "devices.0.provider=NoProvider": "this ONNX Runtime has no NoProvider",
    "devices.0.profile=none.json": "none.json (profile of camera) does not exist; make it on the device",
    "devices.0.profile=s.yaml": "is not a Profile file",
    "devices.0.profile=plan/plan.json": "is not a Profile file",
    "devices.0.profile=.": "Is a directory",
    "devices.0.scaled_from=camera": "runs in a circle through 'camera'",
    "devices.1.speedup=0": "devices.1.speedup must be >= 0.0001, got 0",
    "devices.1.speedup=.inf": "devices.1.speedup must be finite, got inf",
    "devices.0.precisions=[]": "devices.0.precisions needs at least 1 entry",
    "devices.0.precisions=[fp16]": "'weights-int4' or 'float16', got 'fp16'",
    "precisions=[]": "precisions needs at least 1 entry",
    "devices.0.active_watt=-1": "active_watt must be >= 0, got -1",
    "devices.0.idle_watt=2": "idle_watt needs active_watt",
    "devices.0={name: camera, active_watt: 1, idle_watt: 2}": "idle_watt must not exceed active_watt",
    "links.0.from=moon": "links.0.from names no device: 'moon'",
    "links.0.latency_ms=-1": "links.0.latency_ms must be >= 0, got -1",
    "links.0.bandwidth_mbit_per_s=": "bandwidth_mbit_per_s must be a number, got None",
    "links.0.speed=3": "links.0.speed is not a known key",
    "links.0={from: camera, to: server}": "links.0.bandwidth_mbit_per_s is required",
    "links.0={from: camera, to: server, bandwidth_mbit_per_s: 1, radio: {}, send_nj_per_byte: 1}": (
        "give either radio or send_nj_per_byte, not both"
    ),
    "links.0.bandwidth_mbit_per_s=1e-300": "bandwidth_mbit_per_s must be >= 0.0001, got 1e-300",
    "links.0.latency_ms=1e300": "links.0.latency_ms must be <= 1e+09, got 1e+300",
    "budget.latency_ms=1e308": "budget.latency_ms must be <= 1e+09, got 1e+308",
    "budget.noise_relative_rms=1e200": "budget.noise_relative_rms must be <= 1e+09, got 1e+200",
    "devices.1.speedup=1e-9": "devices.1.speedup must be >= 0.0001, got 1e-09",
    "links=3": "links must be a list, got 3",
    "objective=money": "devices.0.price_per_hour or another price is required",
    "budget={money_per_request: 1}": "devices.0.price_per_hour or another price is required",
    "devices.0.visits=0": "devices.0.visits must be >= 1, got 0",
    "wires=[int4]": "wires.0 must be 'float16' or 'uint8', got 'int4'",
    "source=": "source must be text, got None",
    "sink=moon": "sink names no device: 'moon'; devices are camera, server",
    "budget=3": "budget must be a mapping",
    "budget.latency_ms=0": "budget.latency_ms must be > 0, got 0",
    "budget.memory_mib={camera: 0}": "budget.memory_mib.camera must be > 0, got 0",
    "budget.memory_mib=3": "budget.memory_mib must be a mapping",
    "budget.top1_agreement=1.5": "budget.top1_agreement must be <= 1, got 1.5",
    "budget.max_abs_error=.nan": "budget.max_abs_error must be finite, got nan",
    "budget.metric_drop=1": "needs `metric`",
    "budget.energy_j={camera: 1}": "devices.0.active_watt is required",
    "metric=plain": "metric must be module:name or coco_ap, got 'plain'",
    "metric=none_such:f": "metric none_such:f cannot be used: there is no module none_such in ",
    "objective=speed": "objective must be 'latency', 'makespan', 'throughput'",
    "objective={latency: -1}": "objective.latency must be >= 0, got -1",
    "solver.name=xpress": "solver.name must be 'highs', 'cbc', 'gurobi', 'cplex' or 'scip', got 'xpress'",
    "solver.time_limit_s=0": "solver.time_limit_s must be > 0, got 0",
    "solver.gap=-1": "solver.gap must be >= 0, got -1",
    "profiling.rounds=1": "profiling.rounds must be >= 3, got 1",
    "quantization.reduce_range=maybe": "quantization.reduce_range must be true or false, got 'maybe'",
    "quantization.ranges=widest": "quantization.ranges must be",
    "devices.0.quantization.ranges=mse": "devices.0.quantization.ranges is not a known key",
    "quantization.bits=4": "quantization.bits is not a known key",
    "devices.0.quantization=7bit": "devices.0.quantization must be",
    "nonsense=1": "nonsense is not a known key",
    "links.7.to=camera": "there is no '7'; it has 2 entries",
    "links.x.to=camera": "there is no 'x'",
    "links.²=1": "there is no '²'",
    "links.-1=1": "there is no '-1'",
    "a" + ".a" * 400 + "=1": "a key has at most 32 parts",
    "profiling.rounds=20000": "profiling.rounds must be <= 10000, got 20000",
    "data.calibration.image={resize_shorter: 100000}": "image.resize_shorter must be <= 16384, got 100000",
    "data.calibration.label_offset=99999999999": "label_offset must be <= 1e+09, got 99999999999",
    "model.a.b=1": "there is no 'a'",
    "=3": "write KEY=VALUE",
    "model": "write KEY=VALUE",
    "model={": "the value is not valid YAML",
}  # fmt: skip


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_bad_setting(setting, here, capsys):
    arguments = ("s.yaml", "--out", "o", "--set", setting)
    check(capsys, here, arguments, 1, SETTINGS[setting])


TEXTS = {
    "": "must be a mapping of keys",
    "just text": "must be a mapping of keys",
    "- a list": "must be a mapping of keys",
    "a: [1": "not valid YAML",
    "a: 1\na: 2": 'found duplicate key "a"',
    "a: &b [*b]": "an alias contains itself",
    "a: *nowhere": "not valid YAML",
    "a: !!python/object:os.system x": "not valid YAML",
    "\ta: 1": "not valid YAML",
    "a: 1\n---\nb: 2": "not valid YAML",
    "a: \x00": "not valid YAML",
}


@pytest.mark.parametrize("text", TEXTS)
def test_a_bad_scenario_text(text, here, capsys):
    (here / "s.yaml").write_text(text)
    check(capsys, here, ("s.yaml",), 1, TEXTS[text])


def outside(location: str):
    """Return a change that lets the first weight lie in another file."""

    def change(model: onnx.ModelProto) -> None:
        weight = model.graph.initializer[0]
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        weight.external_data.add(key="location", value=location)

    return change


def node(index: int, **changes: str):
    """Return a change to one node."""

    def change(model: onnx.ModelProto) -> None:
        one = model.graph.node[index]
        for key, value in changes.items():
            if key in ("input", "output"):
                getattr(one, key)[0] = value
            else:
                setattr(one, key, value)

    return change


def own_domain(model: onnx.ModelProto) -> None:
    model.graph.node[1].domain = "my.ops"
    model.opset_import.append(helper.make_opsetid("my.ops", 1))


def opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 999


def short_weight(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].CopyFrom(
        TensorProto(name="w1", data_type=1, dims=[4, 2, 3, 3], raw_data=b"1234")
    )


def dynamic(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "H"


def sequence(model: onnx.ModelProto) -> None:
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, [1]))
    model.graph.input[0].type.CopyFrom(kind)


MODELS = {
    "no nodes": (lambda m: m.graph.ClearField("node"), "its graph has no nodes"),
    "no outputs": (lambda m: m.graph.ClearField("output"), "its graph has no outputs"),
    "missing input": (node(0, input="nowhere"), "is not valid ONNX"),
    "circle": (node(0, input="r2"), "is not valid ONNX"),
    "unknown operator": (node(1, op_type="Rellu"), "is not valid ONNX: No Op registered for Rellu"),
    "unknown domain": (own_domain, "operator my.ops:Relu is not supported"),
    "undeclared domain": (node(1, domain="my.ops"), "is not valid ONNX"),
    "future opset": (opset, "999"),
    "no opset": (lambda m: m.ClearField("opset_import"), "is not valid ONNX"),
    "written twice": (node(1, output="c1"), "is not valid ONNX"),
    "short weight": (short_weight, "w1"),
    "dynamic": (dynamic, "input 'x' has dynamic shape [?, 2, ?, 8]; declare it"),
    "sequence": (sequence, "input 'x' is not a tensor, which is not supported"),
    "random": (node(1, op_type="RandomNormalLike"), "RandomNormalLike is random"),
    "weights outside its folder": (outside("../../secret.bin"), "'../../secret.bin' points outside"),
    "weights at an absolute path": (outside("/etc/passwd"), "/etc/passwd"),
    "absent weights": (outside("none.bin"), "none.bin"),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("command", ["plan", "inspect"])
def test_a_bad_model(name, command, here, capsys):
    spoil, message = MODELS[name]
    model = models.residual()
    spoil(model)
    (here / "m.onnx").write_bytes(model.SerializeToString())
    arguments = ("s.yaml", "--out", "o") if command == "plan" else ("inspect", "m.onnx")
    check(capsys, here, arguments, 1, message)


def arrays(**changes: object) -> dict[str, object]:
    good = {"x": np.ones((12, 2, 8, 8), np.float32), "y": np.zeros(12, np.int64)} | changes
    return {name: value for name, value in good.items() if value is not None}


def test_inspect_refuses_what_the_scenario_says_of_inputs_that_are_not_there(here, capsys):
    (here / "s.yaml").write_text(f"{QUICK}inputs: {{q: {{wire_bytes: 3}}}}\n")
    for arguments in (("s.yaml", "--out", "o"), ("inspect", "s.yaml")):
        check(capsys, here, arguments, 1, "inputs.q: the model has no such input; it has x")


ARRAYS = {
    "no x": (arrays(x=None), "has no array 'x' for input 'x'; it has y"),
    "no y": (arrays(y=None), "labels: must name an array"),
    "integers": (arrays(x=np.ones((12, 2, 8, 8), np.int32)), "input 'x' wants float32, got int32"),
    "pixels": (arrays(x=np.ones((12, 2, 8, 8), np.uint8)), "declare the pictures' scaling under `image`"),
    "wrong shape": (arrays(x=np.ones((12, 8, 8, 2), np.float32)), "wants shape [1, 2, 8, 8], got [8, 8, 2]"),
    "a number": (arrays(x=np.float32(1)), "is a single number, not samples"),
    "none": (arrays(x=np.ones((0, 2, 8, 8), np.float32), y=np.zeros(0, np.int64)), "no samples are left"),
    "nan": (arrays(x=np.full((12, 2, 8, 8), np.nan, np.float32)), "input 'x' holds NaN or infinity"),
    "infinity": (arrays(x=np.full((12, 2, 8, 8), np.inf, np.float32)), "input 'x' holds NaN or infinity"),
    "overflow": (arrays(x=np.full((12, 2, 8, 8), 1e300)), "input 'x' holds NaN or infinity"),
    "few labels": (arrays(y=np.zeros(3, np.int64)), "must hold 12 whole numbers, got int64 [3]"),
    "float labels": (arrays(y=np.zeros(12)), "must hold 12 whole numbers, got float64"),
    "large labels": (arrays(y=np.full(12, 99)), "values run from 99 to 99, but the model has 4 classes"),
    "negative labels": (arrays(y=np.full(12, -1)), "values run from -1 to -1"),
    "complex": (arrays(x=np.ones((12, 2, 8, 8), np.complex64)), "input 'x' wants float32, got complex64"),
    "text": (arrays(x=np.full((12, 2, 8, 8), "a")), "input 'x' wants float32"),
}  # fmt: skip


@pytest.mark.parametrize("name", ARRAYS)
def test_bad_arrays(name, here, capsys):
    content, message = ARRAYS[name]
    np.savez(here / "c.npz", **content)
    check(capsys, here, ("s.yaml", "--out", "o"), 1, message)


def test_pickled_arrays_are_not_loaded(here, capsys):
    np.savez(here / "c.npz", x=np.array([{"a": 1}], dtype=object))
    check(capsys, here, ("s.yaml", "--out", "o"), 1, "array 'x' holds Python objects, which may run code")


def test_a_truncated_archive(here, capsys):
    content = (here / "c.npz").read_bytes()
    (here / "c.npz").write_bytes(content[: len(content) // 2])
    check(capsys, here, ("s.yaml", "--out", "o"), 1, "is not a readable .npz archive")


PROFILES = {
    "format": (
        lambda p: p.update(format=99),
        f"format 99, this version reads {PROFILE_FORMAT}; make it again: plan profile",
    ),
    "no format": (lambda p: p.pop("format"), "is not a Profile file"),
    "no latency": (lambda p: p.pop("latency"), "is not a Profile file"),
    "latency text": (lambda p: p.update(latency="fast"), "is not a Profile file"),
    "other model": (lambda p: p["latency"].update(model_sha256="0"), "is the profile of another model"),
    "no units": (lambda p: p["latency"].update(units=[]), "lacks the seconds of"),
    "no switches": (lambda p: p["latency"].update(switches=[]), "lacks the seconds of"),
    "no int8": (
        lambda p: p["latency"].update(units=[u for u in p["latency"]["units"] if u["precision"] == "fp32"]),
        "was made for other precisions",
    ),
    "unit twice": (lambda p: p["latency"]["units"].append(p["latency"]["units"][0]), "twice"),
    "negative": (lambda p: p["latency"]["units"][0].update(seconds=-1.0), "must be finite and >= 0, got -1"),
    "text seconds": (lambda p: p["latency"]["units"][0].update(seconds="1"), "is not a Profile file"),
    "precision": (lambda p: p["latency"]["units"][0].update(precision="fp8"), "is not a Profile file"),
    "huge": (lambda p: p["latency"]["units"][0].update(seconds=1e999), "is not a Profile file"),
}


@pytest.mark.parametrize("name", PROFILES)
def test_a_bad_profile(name, here, capsys):
    spoil, message = PROFILES[name]
    content = json.loads((here / "p.json").read_text())
    spoil(content)
    (here / "p.json").write_text(json.dumps(content))
    check(capsys, here, ("s.yaml", "--out", "o", "--set", "devices.0.profile=p.json"), 1, message)


def edit(path: str, change):
    def spoil(folder: Path) -> None:
        content = json.loads((folder / path).read_text())
        change(content)
        (folder / path).write_text(json.dumps(content))

    return spoil


FOLDERS = {
    "gone": (shutil.rmtree, "No such file"),
    "no plan": (lambda f: (f / "plan.json").unlink(), "it has no plan.json"),
    "no manifest": (lambda f: (f / "manifest.json").unlink(), "it has no manifest.json"),
    "no model": (lambda f: (f / "model.onnx").unlink(), "model.onnx: is missing"),
    "no stages": (lambda f: shutil.rmtree(f / "stages"), "is missing"),
    "empty plan": (lambda f: (f / "plan.json").write_text(""), "is not a plan"),
    "broken plan": (lambda f: (f / "plan.json").write_text("{"), "is not a plan"),
    "list plan": (lambda f: (f / "plan.json").write_text("[]"), "is not a plan"),
    "binary plan": (lambda f: (f / "plan.json").write_bytes(b"\xff\xfe"), "is not a plan"),
    "plan format": (edit("plan.json", lambda p: p.update(format=7)), "format 7, this version reads 3"),
    "plan without scenario": (edit("plan.json", lambda p: p.pop("scenario")), "is not a plan"),
    "plan with bad scenario": (edit("plan.json", lambda p: p["scenario"].pop("model")), "model is required"),
    "manifest format": (edit("manifest.json", lambda m: m.update(format=7)), "format 7"),
    "manifest without stages": (edit("manifest.json", lambda m: m.pop("stages")), "is not a manifest"),
    "manifest of no stage": (edit("manifest.json", lambda m: m.update(stages=[])), "no stage gives"),
    "foreign stage": (edit("manifest.json", lambda m: m["stages"][0].update(file="/etc/passwd")), "passwd"),
    "stage above": (edit("manifest.json", lambda m: m["stages"][0].update(file="../m.onnx")), "m.onnx"),
    "changed model": (lambda f: (f / "model.onnx").write_bytes(b"x"), "model.onnx: has changed"),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_bad_plan_folder(name, here, capsys):
    spoil, message = FOLDERS[name]
    spoil(here / "plan")
    check(capsys, here, ("verify", "plan"), 1, message)


COMMANDS = {
    (): (2, "SCENARIO"),
    ("--nope",): (2, "Unknown option: --nope"),
    ("s.yaml", "--out"): (2, "--out"),
    ("s.yaml", "t.yaml"): (2, "t.yaml"),
    ("none.yaml",): (1, "none.yaml: No such file"),
    (".",): (1, "is a folder, not a scenario: give a scenario file, such as s.yaml"),
    ("non.yaml",): (1, "non.yaml: No such file or directory; `plan init MODEL` writes a first scenario"),
    ("ss.yaml",): (1, "ss.yaml: No such file or directory; did you mean s.yaml?"),
    ("verfy", "plan"): (2, "did you mean verify?"),
    ("report", "plan"): (2, "no command or file 'report'; each plan's folder has its report.html"),
    ("frobnicate",): (2, "no command or file 'frobnicate'; plan --help lists the commands"),
    ("verify",): (2, "plan verify: FOLDER is missing: A plan folder (plan verify --help shows how)"),
    ("compare", "s.yaml", "--bandwith", "1"): (2, "--bandwidth? (plan compare --help shows how)"),
    ("diff", "s.yaml", "plan"): (1, "s.yaml is a scenario: give the folder of its plan"),
    ("init", "none.h5"): (1, "none.h5 does not exist"),
    ("verify", "s.yaml"): (1, "s.yaml: is not a plan"),
    ("diff", "nope", "plan"): (1, "nope: No such file or directory; give a plan's folder"),
    ("export", "plan/plan.json"): (2, "--out"),
    ("export", "s.yaml", "--out", "o"): (1, "s.yaml is a scenario: give the folder of its plan"),
    ("export", "plan/plan.json", "--out", "s.yaml"): (1, "is a file; name a folder"),
    ("export", "plan/plan.json", "--out", "."): (1, "holds files that are no plan"),
    ("profile", "s.yaml", "--device", "moon"): (1, "--device moon: no such device"),
    ("profile", "s.yaml", "--out", "none/p.json"): (1, "--out none/p.json: No such file or directory"),
    ("run", "plan"): (2, "plan run: --input is missing: .npz with"),
    ("run", "plan", "--input", "e.npz", "--output"): (2, "plan run: --output needs a value: .npz to write"),
    ("inspect", "plan"): (1, "plan is a plan's folder: give "),
    ("run", "plan", "--input", "none.npz", "--output", "o.npz"): (1, "none.npz does not exist"),
    ("run", "plan", "--input", "e.npz", "--output", "none/o.npz"): (1, "No such file or directory"),
    ("run", "plan", "--input", "e.npz", "--output", "o.npz", "--stage", "9"): (1, "the plan has stages 00"),
    ("run", "plan", "--input", "e.npz", "--output", "o.npz", "--stage", "x"): (1, "the plan has stages 00"),
    ("run", "plan", "--input", "e.npz", "--output", "o.npz", "--stage", "0.5"): (1, "--stage 0.5: the plan"),
    ("compare", "s.yaml", "--noise", "0.1", "--points", "2.5"): (2, "'2.5' is no whole number"),
    ("compare", "s.yaml", "--noise", "0.1", "--jobs", "9" * 5000): (2, "is no whole number"),
    ("compare", "s.yaml", "--accuracy-drop", "0.1,2"): (1, "--accuracy-drop 0.1,2: 2 is more than 1"),
    ("inspect",): (2, "MODEL"),
    ("inspect", "none.onnx"): (1, "none.onnx does not exist"),
    ("inspect", "m.onnx", "--shape", "x"): (1, "--shape x: write NAME=1,3,224,224"),
    ("inspect", "m.onnx", "--shape", "x=a,b"): (1, "write NAME=1,3,224,224"),
    ("inspect", "m.onnx", "--shape", "q=1,2"): (1, "has no such input; it has x"),
    ("schema", "more"): (2, "more"),
}  # fmt: skip


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_bad_command(arguments, here, capsys):
    code, message = COMMANDS[arguments]
    check(capsys, here, arguments, code, message)


GENERATED = bad_inputs.cases()
# Damaged models and odd places are the benchmark's: what they may do to a process, tests should not.
SAMPLED = random.Random(7).sample([c for c in GENERATED if c.door not in ("onnx", "odd place")], 60)


@pytest.fixture(scope="module")
def generated(tmp_path_factory) -> Path:
    """The folder that generated cases spoil copies of."""
    folder = tmp_path_factory.mktemp("generated")
    bad_inputs.build(folder)
    assert run("profile", folder / "s.yaml", "--out", folder / "profile.json") == 0
    shutil.copy(folder / "profile.json", folder / "before.json")
    for scenario in ("s.yaml", "p.yaml"):  # what is spoiled is good
        assert run(folder / scenario, "--out", folder.with_name(scenario)) == 0
    assert run("solve", folder / "problem.json") == 0
    return folder


@pytest.mark.parametrize("case", SAMPLED, ids=lambda case: f"{case.door}: {case.name}")
def test_a_generated_input_costs_one_clear_line(case, generated, tmp_path, monkeypatch, capfd):
    folder = bad_inputs.fresh_copy(generated, tmp_path / "here")
    monkeypatch.chdir(folder)
    case.spoil(folder)
    code = run(*case.arguments)
    out, err = capfd.readouterr()
    assert bad_inputs.shortcomings(case, code, out, err, folder) == [], err


def test_there_are_many_generated_inputs():
    assert len(GENERATED) >= 1500
    assert len({(case.door, case.name) for case in GENERATED}) > 0.98 * len(GENERATED)


def test_the_table_is_long_enough():
    tables = (SETTINGS, TEXTS, MODELS, ARRAYS, PROFILES, FOLDERS, COMMANDS)
    assert sum(map(len, tables)) >= 150
