import json
from pathlib import Path

import pytest
from repository import QUICKSTART, ROOT
from scenario_texts import TWO_DEVICES

from planner.errors import ScenarioError
from planner.scenario.loader import (
    dump_scenario,
    load_ready_models,
    load_ready_scenario,
    load_scenario,
    parse_scenario,
)
from planner.scenario.missing_files import missing_but_profiles
from planner.scenario.models_schema import scenario_schema
from planner.scenario.schema import Scenario


def write(folder: Path, text: str) -> Path:
    path = folder / "s.yaml"
    path.write_text(text)
    return path


def faults(folder: Path, text: str, *settings: str) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        load_scenario(write(folder, text), settings)
    return [line.replace(f"{folder}/", "") for line in str(caught.value).splitlines()]


def test_units_become_si(tmp_path):
    scenario = load_scenario(
        write(tmp_path, TWO_DEVICES), ["budget.memory_mib.camera=2", "budget.latency_ms=50"]
    )
    assert scenario.links[0].bandwidth_bytes_per_s == 1e6
    assert scenario.links[0].latency_s == 0.005
    assert scenario.memory_bytes("camera") == 2 * 2**20
    assert scenario.memory_bytes("server") is None
    assert scenario.latency_s == 0.05


def test_paths_are_relative_to_the_file(tmp_path):
    scenario = load_scenario(write(tmp_path, TWO_DEVICES))
    assert scenario.model == str(tmp_path / "m.onnx")
    assert scenario.data.calibration.npz == str(tmp_path / "c.npz")


def test_variables_are_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("WHERE", "/data")
    scenario = load_scenario(write(tmp_path, TWO_DEVICES.replace("m.onnx", "${WHERE}/m.onnx")))
    assert scenario.model == "/data/m.onnx"


def test_every_scenario_survives_the_way_through_json(tmp_path):
    scenario = load_scenario(QUICKSTART)
    assert parse_scenario(dump_scenario(scenario).encode()) == scenario


def test_all_faults_are_told_at_once_with_line_and_column(tmp_path):
    text = TWO_DEVICES.replace(
        "bandwidth_mbit_per_s: 8, latency_ms: 5", "bandwidth_mbit_per_s: -3, latency: 5"
    )
    text = text.replace("speedup: 4", "speedup: fast").replace("sink: camera", "sink: ''")
    assert faults(tmp_path, text) == [
        "s.yaml:7:41: devices.1.speedup must be a number, got 'fast'",
        "s.yaml:9:32: links.0.bandwidth_mbit_per_s must be >= 0.0001, got -3",
        "s.yaml:9:58: links.0.latency is not a known key; did you mean latency_ms?",
        "s.yaml:12:1: sink names no device: ''; devices are camera, server",
    ]


@pytest.mark.parametrize("number", [".inf", "-.inf", ".nan"])
def test_an_argument_of_a_model_that_json_cannot_hold_is_refused(number, tmp_path):
    text = f"{TWO_DEVICES}conversion: {{arguments: {{scales: [1.0, {number}]}}}}\n"
    (fault,) = faults(tmp_path, text)
    assert fault.endswith("conversion.arguments must hold finite numbers: a plan keeps them as JSON")


def ready_faults(folder: Path, text: str) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        load_ready_scenario(write(folder, text))
    return [line.replace(f"{folder}/", "") for line in str(caught.value).splitlines()]


def test_faults_of_keys_between_keys_and_of_files_come_in_one_go_in_the_order_of_lines(tmp_path):
    text = TWO_DEVICES.replace("labels: y}\n  eval", "label: y}\n  eval").replace(
        "scaled_from: camera", "scaled_from: cam"
    )
    text = text.replace("- {name: camera}", "- {name: camera, threads: one, profile: p.json}")
    text = text.replace("source: camera", "source: sever") + "metric: judge:score\n"
    (tmp_path / "m.onnx").touch()
    assert ready_faults(tmp_path, text) == [
        "s.yaml:3:17: data.calibration.npz c.npz does not exist",
        "s.yaml:3:29: data.calibration.label is not a known key; did you mean labels?",
        "s.yaml:4:16: data.evaluation.npz e.npz does not exist",
        "s.yaml:6:20: devices.0.threads must be a whole number, got 'one'",
        "s.yaml:6:34: devices.0.profile p.json (profile of camera) does not exist; make it on the device: "
        "plan profile SCENARIO --device camera, with --bundle DIR if this package cannot be installed there",
        "s.yaml:7:20: devices.1.scaled_from names no device: 'cam'; devices are camera, server; "
        "did you mean camera?",
        "s.yaml:11:1: source names no device: 'sever'; devices are camera, server; did you mean server?",
        f"s.yaml:14:1: metric judge:score cannot be used: there is no module judge in {tmp_path}",
    ]


def test_profiles_that_are_about_to_be_made_need_not_be_there_but_all_else(tmp_path):
    text = TWO_DEVICES.replace("- {name: camera}", "- {name: camera, profile: p.json}")
    with pytest.raises(ScenarioError) as caught:
        load_ready_models(write(tmp_path, text), (), missing_but_profiles)
    assert [line.split(":", 3)[3].split()[0] for line in str(caught.value).splitlines()] == [
        "model",
        "data.calibration.npz",
        "data.evaluation.npz",
    ]
    for name in ("m.onnx", "c.npz", "e.npz"):
        (tmp_path / name).touch()
    loaded = load_ready_models(write(tmp_path, text), (), missing_but_profiles)
    assert loaded.devices[0].profile == str(tmp_path / "p.json")


def test_every_kind_of_missing_file_has_its_line(tmp_path):
    text = TWO_DEVICES.replace("m.onnx", "nets:build\nconversion: {weights: w.weights.h5}")
    text = text.replace("{npz: c.npz, labels: y}", "{images: pictures, image: {}, labels: {file: names.tsv}}")
    text = text.replace("{npz: e.npz, labels: y}", "{reader: 'readers:Digits'}")
    assert [line.partition(": ")[2] for line in ready_faults(tmp_path, text)] == [
        f"model nets:build cannot be used: there is no module nets in {tmp_path}",
        "conversion.weights w.weights.h5 does not exist",
        "data.calibration.images pictures is not a folder",
        "data.calibration.labels.file names.tsv does not exist",
        f"data.evaluation.reader readers:Digits cannot be used: there is no module readers in {tmp_path}",
    ]


def test_a_metric_with_a_fault_within_costs_one_message(tmp_path):
    part = "{images: pictures, image: {}, labels: instances.json}"
    text = TWO_DEVICES.replace("{npz: e.npz, labels: y}", part).replace("{npz: c.npz, labels: y}", part)
    text += "metric: {name: coco_ap, form: yolov5}\nbudget: {metric_drop: 0.1}\n"
    assert [line.partition(": ")[2] for line in faults(tmp_path, text)] == [
        "metric.form must be 'yolox', 'yolox_raw', 'yolov8', 'boxes_scores' or 'detections', got 'yolov5'"
    ]


@pytest.mark.parametrize("metric", ["coco_ap", "{name: coco_ap, form: yolov8}"])
def test_average_precision_needs_annotations_where_it_judges(tmp_path, metric):
    part = "{images: pictures, image: {}, labels: instances.json}"
    text = TWO_DEVICES.replace("{npz: e.npz, labels: y}", part) + f"metric: {metric}\n"
    scenario = load_scenario(write(tmp_path, text))
    assert scenario.data.evaluation.annotations == str(tmp_path / "instances.json")
    assert scenario.metric_function is None
    assert scenario.coco_ap.form == ("yolov8" if "form" in metric else None)
    assert parse_scenario(dump_scenario(scenario).encode()) == scenario
    strict = text + "budget: {metric_drop: 0.1}\n"
    assert [line.partition(": ")[2] for line in faults(tmp_path, strict)] == [
        "data.calibration.labels must name COCO annotations (.json) of images, for budget.metric_drop"
    ]


def test_clips_and_their_features_lie_beside_the_scenario(tmp_path):
    part = "{clips: clips, audio: {rate: 16000, features: 'mfcc_beside:mfcc'}}"
    text = TWO_DEVICES.replace("{npz: c.npz, labels: y}", part).replace("{npz: e.npz, labels: y}", part)
    (tmp_path / "m.onnx").touch()
    assert [line.partition(": ")[2] for line in ready_faults(tmp_path, text)][:2] == [
        "data.calibration.clips clips is not a folder",
        "data.calibration.audio.features mfcc_beside:mfcc cannot be used: there is no module mfcc_beside in "
        f"{tmp_path}",
    ]
    (tmp_path / "clips").mkdir()
    (tmp_path / "mfcc_beside.py").touch()
    data = load_ready_models(write(tmp_path, text)).data
    assert data.calibration.clips == str(tmp_path / "clips")
    assert data.calibration.audio.features == f"{tmp_path}/mfcc_beside:mfcc"


def test_files_of_labels_and_classes_lie_beside_the_scenario(tmp_path):
    part = "{images: pictures, image: {}, labels: labels.csv, classes: names.txt}"
    text = TWO_DEVICES.replace("{npz: c.npz, labels: y}", part)
    text = text.replace("{npz: e.npz, labels: y}", part.replace("labels.csv", "folders"))
    for name in ("m.onnx", "pictures"):
        (tmp_path / name).mkdir()
    assert [line.partition(": ")[2] for line in ready_faults(tmp_path, text)] == [
        "data.calibration.labels labels.csv does not exist",
        "data.calibration.classes names.txt does not exist",
        "data.evaluation.classes names.txt does not exist",
    ]
    for name in ("labels.csv", "names.txt"):
        (tmp_path / name).touch()
    data = load_ready_models(write(tmp_path, text)).data
    assert data.calibration.labels == str(tmp_path / "labels.csv")
    assert data.evaluation.labels == "folders"
    assert data.evaluation.classes == str(tmp_path / "names.txt")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{name: camera}", "{nmae: camera}"),
        ("{name: camera}", "{name: [camera]}"),
        ("{name: camera}", "camera"),
        ("{name: camera}", "{name: camera, idle_watt: 1}"),
        ("from: server, to: camera", "frm: server, to: camera"),
        ("  calibration", "  calibraton"),
        ("source: camera", "sorce: camera"),
    ],
)
def test_what_only_follows_from_a_fault_is_not_told(tmp_path, old, new):
    lines = faults(tmp_path, TWO_DEVICES.replace(old, new))
    assert not any("names no device" in line or "cannot be reached" in line for line in lines)


def test_an_unset_variable_in_a_path_is_no_missing_file(tmp_path):
    for name in ("m.onnx", "e.npz"):
        (tmp_path / name).touch()
    assert ready_faults(tmp_path, TWO_DEVICES.replace("c.npz", "'${UNSET_HERE}/c.npz'")) == [
        "s.yaml:3:17: data.calibration.npz needs the environment variable UNSET_HERE, which is not set"
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("source=moon", "source names no device: 'moon'; devices are camera, server"),
        ("links.0.to=moon", "links.0.to names no device: 'moon'"),
        ("links.0.to=camera", "links.0 joins a device to itself"),
        ("devices.1.scaled_from=moon", "devices.1.scaled_from names no device"),
        ("devices.1.scaled_from=server", "devices.1.scaled_from runs in a circle through 'server'"),
        ("devices.1.name=camera", "devices.1.name 'camera' is already taken"),
        ("devices.1.name=a/b", "devices.1.name may hold only letters, digits and _ . -"),
        ("devices.1.profile=measure", "give either profile or scaled_from"),
        (
            "devices.0.precisions=[int4]",
            "devices.0.precisions.0 must be 'fp32', 'int8', 'int16', 'int8-qoperator', 'int8-dynamic', "
            "'int4-dynamic', 'weights-int8', 'weights-int4' or 'float16', got 'int4'",
        ),
        ("precisions=atuo", "precisions must be auto or a list such as [fp32, int8], got 'atuo'"),
        ("precisions=int8", "precisions must be auto or a list such as [fp32, int8], got 'int8'"),
        (
            "precisions=[fp32, auto]",
            "precisions.1 must be the name of a precision: auto stands alone, as `precisions: auto`",
        ),
        ("precisions=3", "precisions must be auto or a list such as [fp32, int8], got 3"),
        ("precisions=[]", "precisions needs at least 1 entry"),
        (
            "precisions=[auto]",
            "precisions.0 must be the name of a precision: auto stands alone, as `precisions: auto`",
        ),
        ("devices.0.precisions=auto", "devices.0.precisions must be a list, got 'auto'"),
        ("devices.0.threads=0", "devices.0.threads must be > 0, got 0"),
        ("devices.0.threads=100000", "devices.0.threads must be <= 256, got 100000"),
        ("devices.1.threads=2", "threads and provider belong to the device that it is scaled_from"),
        ("data.calibration={reader: 'm:C', labels: y}", "do not apply to a reader"),
        (
            "metric={name: coco_ap, form: yolov5}",
            "metric.form must be 'yolox', 'yolox_raw', 'yolov8', 'boxes_scores' or 'detections', got",
        ),
        ("metric=coco_map", "metric must be module:name or coco_ap, got 'coco_map'"),
        ("metric=3", "metric must be text, got 3"),
        ("metric={name: map}", "metric.name must be 'coco_ap', got 'map'"),
        ("metric={name: coco_ap, form: yolov5}", "metric.form must be 'yolox', 'yolox_raw', 'yolov8', "),
        ("metric={name: coco_ap, froms: yolox}", "metric.froms is not a known key; did you mean form?"),
        ("metric={name: coco_ap, category_ids: [a]}", "metric.category_ids.0 must be a whole number"),
        ("metric={name: coco_ap, iou_threshold: 2}", "metric.iou_threshold must be <= 1"),
        ("metric=coco_ap", "data.evaluation.labels must name COCO annotations (.json) of images"),
        ("data.calibration={clips: c}", "audio is required with clips: at least {rate: ...}"),
        ("data.calibration={clips: c, audio: {}}", "data.calibration.audio.rate is required"),
        ("data.calibration={clips: c, audio: {rate: 16000.5}}", "audio.rate must be a whole number"),
        ("data.calibration={clips: c, audio: {rate: 0}}", "audio.rate must be > 0, got 0"),
        ("data.calibration={clips: c, audio: {rate: 8, features: mfcc}}", "features must be module:name"),
        ("data.calibration={images: p}", "data.calibration image is required with images: how pixels"),
        ("data.calibration={clips: c, audio: {rate: 8}, image: {}}", "image does not apply to clips"),
        ("data.calibration={npz: c.npz, audio: {rate: 8}}", "audio says how clips become the input"),
        ("data.calibration={npz: c.npz, clips: c, audio: {rate: 8}}", "needs exactly one of npz"),
        (
            "data.calibration.classes=[a]",
            "classes names the labels of files: give images or clips",
        ),
        ("data.calibration={images: p, labels: folders, classes: [1]}", "classes.0 must be text, got 1"),
        ("data.calibration={images: p, labels: folders, classes: {a: 1}}", "classes must be text, got"),
        ("devices.0.threads=1.5", "devices.0.threads must be a whole number, got 1.5"),
        ("links.0.bandwidth_mbit_per_s=.nan", "must be finite, got nan"),
        ("links.0.bandwidth_mbit_per_s=.inf", "must be finite, got inf"),
        ("links.0.bandwidth_mbit_per_s=0", "must be >= 0.0001, got 0"),
        ("links.0.bandwidth_mbit_per_s='5'", "must be a number, got '5'"),
        ("budget.noise_relative_rms=-1", "budget.noise_relative_rms must be >= 0, got -1"),
        ("budget.accuracy_drop=2", "budget.accuracy_drop must be <= 1, got 2"),
        ("budget.memory_mib.moon=1", "budget.memory_mib.moon names no device"),
        ("budget.energy=1", "budget.energy is not a known key"),
        ("objective=fun", "objective must be 'latency', 'makespan', 'throughput'"),
        ("objective={latency: 0}", "objective needs a weight above 0"),
        ("objective={speed: 1}", "objective.speed is not a known key"),
        ("objective=energy", "devices.0.active_watt is required, since the objective or a budget is energy"),
        ("budget.energy_j.camera=1", "devices.0.active_watt is required"),
        ("budget.energy_j.moon=1", "budget.energy_j.moon names no device"),
        ("devices.0.idle_watt=1", "idle_watt needs active_watt"),
        ("links.0.radio={send_mw: -1}", "links.0.radio.send_mw must be >= 0, got -1"),
        ("links.0.bandwith_mbit_per_s=1", "did you mean bandwidth_mbit_per_s?"),
        ("inputs={x: {wirebytes: 1}}", "inputs.x.wirebytes is not a known key; did you mean wire_bytes?"),
        ("metric=ap", "metric must be module:name or coco_ap, got 'ap'"),
        ("budget.metric_drop=0.1", "budget.metric_drop needs `metric`"),
        ("solver.name=glpk", "solver.name must be 'highs', 'cbc', 'gurobi', 'cplex' or 'scip', got 'glpk'"),
        ("data.calibration.images=x", "needs exactly one of npz, images, reader, clips"),
        ("data.calibration.npz=null", "needs exactly one of npz, images, reader, clips"),
        ("devices=[]", "devices needs at least 1 entry"),
        ("devices=3", "devices must be a list, got 3"),
        ("data=3", "data must be a mapping of keys, got 3"),
        ("model=7", "model must be text, got 7"),
        ("model=${NOT_SET_ANYWHERE}/m", "model needs the environment variable NOT_SET_ANYWHERE"),
        ("input_shapes.x=[1,0]", "input_shapes.x.1 must be > 0, got 0"),
    ],
)
def test_a_wrong_value_is_named_with_what_would_be_right(tmp_path, change, message):
    lines = faults(tmp_path, TWO_DEVICES, change)
    assert any(message in line for line in lines)
    assert all(line.startswith("s.yaml:") for line in lines)


def test_a_setting_changes_one_place_even_behind_an_alias(tmp_path):
    text = TWO_DEVICES.replace("labels: y}\n  eval", "image: &i {divide_by: 2}}\n  eval").replace(
        "e.npz, labels: y}", "e.npz, image: *i}"
    )
    scenario = load_scenario(write(tmp_path, text), ["data.evaluation.image.divide_by=5"])
    assert scenario.data.calibration.image.divide_by == 2
    assert scenario.data.evaluation.image.divide_by == 5


def test_an_alias_within_itself_is_refused(tmp_path):
    assert faults(tmp_path, "a: &a [*a]\n") == ["s.yaml:1:4: not valid YAML: an alias contains itself"]


def test_an_unset_variable_is_told_once(tmp_path):
    text = TWO_DEVICES.replace("c.npz", "'${UNSET_HERE}/c.npz'").replace("e.npz", "'${UNSET_HERE}/e.npz'")
    assert faults(tmp_path, text) == [
        "s.yaml:3:17: data.calibration.npz needs the environment variable UNSET_HERE, which is not set"
    ]


def test_an_unquoted_variable_between_braces_gets_advice(tmp_path):
    (line,) = faults(tmp_path, TWO_DEVICES.replace("c.npz", "${HERE}/c.npz"))
    assert line.endswith("put quotes around text with ${...} between { and }")


def test_an_unreachable_sink_is_refused(tmp_path):
    lines = TWO_DEVICES.replace("sink: camera", "sink: server").splitlines(keepends=True)
    text = "".join(line for line in lines if "from: camera, to: server" not in line)
    assert faults(tmp_path, text) == [
        "s.yaml:11:1: sink 'server' cannot be reached from source 'camera' over links"
    ]


def test_a_second_link_between_the_same_devices_is_refused(tmp_path):
    text = TWO_DEVICES.replace("from: camera, to: server", "from: server, to: camera")
    assert faults(tmp_path, text) == ["s.yaml:10:5: links.1 is a second link from 'server' to 'camera'"]


def test_many_faults_are_counted(tmp_path):
    found = faults(tmp_path, TWO_DEVICES + "".join(f"key{number}: 1\n" for number in range(20_000)))
    assert len(found) == 51
    assert found[-1] == "s.yaml:1:1: has 19950 more faults"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n", "s.yaml: must be a mapping"),
        ("", "s.yaml: must be a mapping"),
        ("a: 1\na: 2\n", 's.yaml:2:1: not valid YAML: found duplicate key "a"'),
        ("a: [1\n", "s.yaml:2:1: not valid YAML"),
        ("a: \t- x\n", "s.yaml:1:"),
    ],
)
def test_text_that_is_no_scenario_is_refused(tmp_path, text, message):
    assert faults(tmp_path, text)[0].startswith(message)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("model", "write KEY=VALUE"),
        ("links.9.latency_ms=1", "there is no '9'; it has 2 entries"),
        ("model.x=1", "model holds no keys"),
        ("model=[", "not valid YAML"),
    ],
)
def test_a_setting_that_leads_nowhere_is_refused(tmp_path, setting, message):
    assert message in faults(tmp_path, TWO_DEVICES, setting)[0]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ScenarioError, match="No such file or directory; `plan init MODEL` writes"):
        load_scenario(tmp_path / "none.yaml")
    (tmp_path / "nine.yml").touch()
    with pytest.raises(ScenarioError, match="No such file or directory; did you mean .*nine.yml?"):
        load_scenario(tmp_path / "none.yaml")
    with pytest.raises(ScenarioError, match="No such file or directory$"):
        load_scenario(tmp_path / "nowhere" / "none.yaml")


def test_what_has_no_key_of_a_scenario_is_none(tmp_path):
    (tmp_path / "x.json").write_text('{"a": 1, "b": {"model": 2}}')
    with pytest.raises(ScenarioError) as told:
        load_scenario(tmp_path / "x.json")
    assert len(told.value.args) == 1
    assert "x.json: is no scenario: it has none of its keys" in str(told.value)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ScenarioError, match="not UTF-8"):
        load_scenario(path)


def test_the_schema_file_for_editors_is_current(request):
    path = ROOT / "scenarios" / "scenario.schema.json"
    text = json.dumps(scenario_schema(), indent=2) + "\n"
    if request.config.getoption("--golden"):
        path.write_text(text)
    assert path.read_text() == text


@pytest.mark.parametrize("path", sorted((ROOT / "scenarios").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_scenario_in_the_repository_is_valid(path, monkeypatch):
    monkeypatch.setenv("SPLITQUANT_DATA", "/somewhere")
    if "\nmodels:" in path.read_text():
        assert load_ready_models(path).shared.devices
    else:
        assert load_scenario(path).devices


PLACES = [
    *(name for name in Scenario.model_fields if name not in ("source", "sink")),
    *("data.calibration", "data.calibration.npz", "data.calibration.labels", "data.calibration.image"),
    *("devices.0", "devices.0.name", "devices.1.scaled_from", "devices.0.quantization", "devices.0.profile"),
    *("links.0", "links.0.from", "links.0.radio", "placement.pin", "placement.together", "budget.memory_mib"),
    *("budget.traffic_kib", "solver.name", "inputs.x", "source", "sink"),
]


@pytest.mark.parametrize("place", PLACES)
def test_a_value_of_any_type_at_any_place_is_told_and_nothing_breaks(tmp_path, place):
    for value in (
        "3",
        "x y",
        "[]",
        "[1]",
        "[{}]",
        "{}",
        "{a: 1}",
        "{a: {b: []}}",
        "true",
        "null",
        "-1",
        ".nan",
    ):
        with pytest.raises(ScenarioError):
            load_ready_scenario(write(tmp_path, TWO_DEVICES), [f"{place}={value}", "nonsense=1"])
