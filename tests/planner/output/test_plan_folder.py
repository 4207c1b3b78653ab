import hashlib
import json
import shutil
import subprocess
import sys

import msgspec
import onnx
import pytest
from delivered_plans import delivered
from made_records import MEASURED
from repository import ROOT

from planner.deployment.built_models import unit_graph_of
from planner.errors import OutputError
from planner.output.plan_folder import check_writable, copy_plan, write_export, writing_bundle
from planner.output.saved_plan import read_folder, read_graph, read_manifest, read_plan, read_stage
from planner.output.stage_files import ports_of
from planner.plan.plan_record import FORMAT
from profiling.graph.any_model import inputs_of, outputs_of
from profiling.records.json_files import save_json

replaced = msgspec.structs.replace


@pytest.fixture(scope="module")
def known(request):
    return delivered(request.getfixturevalue("residual"))


@pytest.fixture(scope="module")
def written(known, tmp_path_factory):
    folder = tmp_path_factory.mktemp("plans") / "o"
    write_export(*known, folder)
    return folder


@pytest.fixture
def folder(written, tmp_path):
    return shutil.copytree(written, tmp_path / "o")


def test_a_folder_holds_the_plan_its_models_and_its_report(known, written):
    _, built = known
    stages = {f"stages/{n:02d}-{stage.device}.onnx" for n, stage in enumerate(built.stages)}
    figures = {f"figures/{name}.{kind}" for name in ("graph", "request") for kind in ("svg", "png")}
    found = {str(path.relative_to(written)) for path in written.rglob("*") if path.is_file()}
    records = {"plan.json", "manifest.json", "graph.json", "trace.json"}
    quantities = ("device", "precision", "milliseconds", "noise")
    node_data = {f"model_explorer/{name}.json" for name in quantities}
    assert found == {*records, "model.onnx", "report.html", *stages, *figures, *node_data}


def test_the_manifest_says_how_inputs_and_outputs_are_read(known, tmp_path):
    plan, built = known
    data = {"npz": "d.npz", "image": {"divide_by": 255, "layout": "nchw"}, "label_offset": 1}
    scenario = json.loads(bytes(plan.scenario))
    scenario["data"] = {"calibration": {"npz": "c.npz"}, "evaluation": data}
    measured = replaced(plan.measured or MEASURED, class_names=("cat", "dog"))
    told = replaced(plan, scenario=msgspec.Raw(json.dumps(scenario).encode()), measured=measured)
    write_export(told, built, tmp_path / "o")
    manifest = read_manifest(tmp_path / "o")
    assert manifest.image is not None
    assert (manifest.image.layout, manifest.image.divide_by) == ("nchw", (255.0,))
    assert manifest.classes == ("", "cat", "dog")
    assert (manifest.audio, manifest.detector) == (None, None)


def test_the_graph_beside_a_plan_is_the_models(known, folder):
    plan, built = known
    graph = read_graph(folder, plan)
    assert graph == unit_graph_of(built.graph)
    between = {(t.source, target) for t in graph.tensors if t.source is not None for target in t.targets}
    names = [unit.name for unit in built.graph.units]
    assert between == {(names[u], names[v]) for u, v in built.graph.dag.edges}
    assert [t.tensor for t in graph.tensors if t.source is None] == list(built.graph.inputs)
    assert [t.tensor for t in graph.tensors if t.is_output] == list(built.graph.outputs)


def test_a_graph_of_another_model_is_refused(known, folder):
    graph = read_graph(folder, known[0])
    save_json(replaced(graph, units=graph.units[1:]), folder / "graph.json")
    with pytest.raises(OutputError, match="its units are not those of plan.json"):
        read_graph(folder, known[0])
    (folder / "graph.json").unlink()
    with pytest.raises(OutputError, match="an older version wrote this folder; export the plan again"):
        read_graph(folder, known[0])


def test_a_copy_of_a_folder_is_a_folder_of_ours(folder, tmp_path):
    (folder / "own.txt").write_text("mine")
    for _ in range(2):  # a copy may be replaced
        copy_plan(folder, tmp_path / "copy")
    copied = {str(p.relative_to(tmp_path / "copy")) for p in (tmp_path / "copy").rglob("*") if p.is_file()}
    assert copied == {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} - {"own.txt"}
    assert read_folder(tmp_path / "copy") == read_folder(folder)


def test_a_folder_that_has_changed_is_not_copied(folder, tmp_path):
    (folder / "report.html").unlink()
    with pytest.raises(OutputError, match="report.html: is missing"):
        copy_plan(folder, tmp_path / "copy")
    (folder / "model.onnx").write_bytes(b"")
    with pytest.raises(OutputError, match="has changed since it was exported"):
        copy_plan(folder, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_list_that_leads_out_of_a_folder_is_not_copied(folder, tmp_path):
    (tmp_path / "secret").write_text("x")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["../secret"] = "0"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(OutputError, match="no file of this folder"):
        copy_plan(folder, tmp_path / "deep" / "copy")


def test_what_is_written_is_read_back(known, written):
    plan, built = known
    assert read_plan(written) == read_plan(written / "plan.json")
    found, manifest = read_folder(written)
    assert replaced(found, scenario=plan.scenario) == plan
    assert json.loads(bytes(found.scenario)) == json.loads(bytes(plan.scenario))
    assert manifest == read_manifest(written)
    assert manifest.cuts == plan.cuts
    assert [(s.number, s.device, s.units) for s in manifest.stages] == [
        (n, stage.device, len(stage.units)) for n, stage in enumerate(built.stages)
    ]


def test_models_in_the_folder_are_those_that_were_built(known, written):
    _, built = known
    manifest = read_manifest(written)
    assert onnx.load(written / "model.onnx") == built.mixed
    for entry, stage in zip(manifest.stages, built.stages, strict=True):
        assert onnx.load(written / entry.file) == stage.model
        assert (entry.inputs, entry.outputs) == tuple(
            ports_of(ends) for ends in (inputs_of(stage.model), outputs_of(stage.model))
        )
    assert manifest.model_sha256 == hashlib.sha256((written / "model.onnx").read_bytes()).hexdigest()


def test_the_manifest_lists_every_other_file_with_its_hash(written):
    listed = json.loads((written / "manifest.json").read_text())["files"]
    for path in written.rglob("*"):
        name = str(path.relative_to(written))
        if path.is_file() and name != "manifest.json":
            assert listed.pop(name) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert listed == {}


def test_a_stage_is_read_without_the_others(folder):
    manifest, stage = read_stage(folder, 1)
    for other in manifest.stages:
        if other.number != 1:
            (folder / other.file).unlink()
    (folder / "model.onnx").unlink()
    for written in (1, "1", "01"):
        assert read_stage(folder, written) == (manifest, stage)
    with pytest.raises(OutputError, match="is missing; export the plan again"):
        read_stage(folder, 0)
    numbers = ", ".join(f"{s.number:02d} \\({s.device}\\)" for s in manifest.stages)
    with pytest.raises(OutputError, match=f"--stage 9: the plan has stages {numbers}"):
        read_stage(folder, 9)


def test_exporting_again_replaces_the_folder_and_takes_the_profile_along(known, folder, tmp_path):
    (tmp_path / "p.json").write_text("{}")
    write_export(*known, folder, tmp_path / "p.json")
    assert (folder / "profile.json").read_text() == "{}"
    write_export(*known, folder)
    assert not (folder / "profile.json").exists()


def test_a_folder_with_a_file_of_somebody_else_is_left_alone(known, folder):
    (folder / "notes.txt").write_text("mine")
    for attempt in (lambda: check_writable(folder), lambda: write_export(*known, folder)):
        with pytest.raises(OutputError, match=r"holds files that are no plan \(notes.txt\)"):
            attempt()
    assert (folder / "notes.txt").read_text() == "mine"


def changed(folder, file: str, change) -> None:
    content = json.loads((folder / file).read_text())
    change(content)
    (folder / file).write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p["assignments"][0].update(unit=p["assignments"][1]["unit"]), "is assigned twice"),
        (lambda p: p["assignments"][0].update(device="server"), "stages contradicts plan.json"),
        (lambda p: p["assignments"][0].update(precision="fp32"), "stages contradicts plan.json"),
        (lambda p: p["cuts"][0].update(seconds=0.5), "cuts contradicts plan.json"),
        (lambda p: p["scenario"].update(sink="server"), "sink contradicts plan.json"),
        (lambda p: p["predicted"]["compute_s"].pop("server"), "predicted.compute_s lacks device 'server'"),
        (lambda p: p["predicted"]["weight_bytes"].pop("server"), "lacks a device of compressed_bytes"),
        (lambda p: p.update(format=FORMAT + 1), f"format {FORMAT + 1}, this version reads {FORMAT}"),
        (lambda p: p.pop("assignments"), "is not a plan"),
    ],
)
def test_a_plan_that_was_changed_is_told_by_what_it_contradicts(folder, change, message):
    changed(folder, "plan.json", change)
    with pytest.raises(OutputError, match=message):
        read_folder(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m["stages"].reverse(), "stage 0 needs .*, which no stage gives"),
        (lambda m: m["stages"][0].update(number=3), "stages.0.number is 3, must be 0"),
        (lambda m: m["stages"][1]["outputs"].append(m["stages"][0]["outputs"][0]), "is given twice"),
        (lambda m: m["outputs"][0].update(name="z"), "no stage gives the output 'z'"),
        (lambda m: m["outputs"][0].update(dtype="float64"), "output 'y' as float64"),
        (lambda m: m["stages"][0].update(sha256="0" * 64), "has changed since it was exported"),
        (lambda m: m["stages"][0].update(file="../x.onnx"), "points outside the folder"),
    ],
)
def test_a_manifest_that_cannot_run_is_refused(folder, change, message):
    changed(folder, "manifest.json", change)
    with pytest.raises(OutputError, match=message):
        read_manifest(folder)


def test_a_model_that_changed_is_named(folder):
    path = folder / read_manifest(folder).stages[1].file
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(OutputError, match=f"{path}: has changed since it was exported"):
        read_manifest(folder)


@pytest.mark.parametrize(("place", "message"), [("nowhere", "No such file"), ("o/plan.json", "but a file")])
def test_what_is_no_folder_is_told(folder, tmp_path, place, message):
    assert folder.is_dir()
    with pytest.raises(OutputError, match=message):
        read_manifest(tmp_path / place)


def test_a_bundle_replaces_an_older_one_when_it_is_whole(tmp_path):
    place = tmp_path / "b"
    for text in ("1", "2"):
        with writing_bundle(place) as fresh:
            (fresh / "order.json").write_text(json.dumps({"text": text}))
            (fresh / "feeds.npz").write_text(text)
    content = json.loads((place / "order.json").read_text())
    assert content == {"text": "2", "files": {"feeds.npz": hashlib.sha256(b"2").hexdigest()}}
    with pytest.raises(ZeroDivisionError), writing_bundle(place):
        raise ZeroDivisionError
    assert json.loads((place / "order.json").read_text()) == content
    (place / "own.txt").write_text("mine")
    with (
        pytest.raises(OutputError, match=r"holds files that are no bundle \(own.txt\)"),
        writing_bundle(place),
    ):
        pass


def test_what_reads_a_folder_loads_nothing_that_writes_reports():
    """Matplotlib, Jinja and SymPy take longer to load than most commands take."""
    modules = "plan_folder", "comparison_folder", "models_folder", "run_exported"
    code = "".join(f"import planner.output.{name}\n" for name in modules) + "import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(done.stdout.split())
    assert "onnx" in loaded
    assert not loaded & {"matplotlib", "jinja2", "sympy"}
