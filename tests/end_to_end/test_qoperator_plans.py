"""Plans with operators on integers in the file beside int8 and others: from the choice to the folder."""

import json
from collections import Counter
from pathlib import Path

import models
import numpy as np
import onnx
import pytest
from npz_archives import arrays_of
from planned_models import plan_model, scenario_content

from planner.cli.commands import main
from profiling.graph.unit_graph import build_graph
from profiling.onnx_io.load_model import load_model
from profiling.preparation.rewrite_steps import prepare_model

EVERY = ["fp32", "int8", "int16", "int8-qoperator"]
WANTED = ("int8-qoperator", "int8-qoperator", "int8", "int8-qoperator", "int8-qoperator")
LINK = {"from": "a", "to": "b", "bandwidth_mbit_per_s": 1, "latency_ms": 1}


def plan(*arguments: object) -> int:
    with pytest.raises(SystemExit) as done:
        main([str(argument) for argument in arguments])
    return done.value.code


def samples() -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(0).standard_normal((32, 1, 2, 8, 8)).astype(np.float32)}


def units_of(folder: Path) -> list[str]:
    return [unit.name for unit in build_graph(prepare_model(load_model(folder / "m.onnx", {}))).units]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("qoperator")
    content = scenario_content(
        folder,
        models.residual(),
        samples(),
        devices=[{"name": "a"}, {"name": "b", "scaled_from": "a", "speedup": 2}],
        links=[LINK],
        sink="b",
        precisions=EVERY,
    )
    names = units_of(folder)
    pins = {name: "a" if n < 2 else "b" for n, name in enumerate(names)}
    content["placement"] = {"precision": dict(zip(names, WANTED, strict=True)), "pin": pins}
    (folder / "s.yaml").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def planned(folder) -> Path:
    assert plan(folder / "s.yaml", "--out", folder / "plan") == 0
    return folder / "plan"


def test_a_plan_holds_operators_on_integers_where_it_says_so(planned):
    saved = json.loads((planned / "plan.json").read_text())
    assert tuple(a["precision"] for a in saved["assignments"]) == WANTED
    whole = onnx.load(planned / "model.onnx")
    kinds = Counter(node.op_type for node in whole.graph.node)
    assert kinds["QLinearConv"] == 2
    assert kinds["Conv"] == 1
    for node in whole.graph.node:
        told = {entry.key: entry.value for entry in node.metadata_props}
        if node.op_type.startswith(("QLinear", "QGemm")):
            assert told["splitquant.precision"] == "int8-qoperator"
    assert [cut["wire"] for cut in saved["cuts"]] == ["uint8"] * len(saved["cuts"])
    assert saved["measured"]["chain"]["basic_bit_equal"]
    assert saved["measured"]["chain"]["default_bit_equal"]


def test_its_stages_answer_and_are_exported_and_verified_again(folder, planned, tmp_path, capsys):
    answers = tmp_path / "answers.npz"
    assert plan("run", planned, "--input", folder / "d.npz", "--output", answers) == 0
    assert len(arrays_of(answers)["y"]) == 32
    assert plan("export", planned / "plan.json", "--out", tmp_path / "again") == 0
    for file in sorted(path.relative_to(planned) for path in planned.rglob("*.onnx")):
        assert (tmp_path / "again" / file).read_bytes() == (planned / file).read_bytes()
    capsys.readouterr()
    assert plan("verify", tmp_path / "again", "--json") == 0
    verified = json.loads(capsys.readouterr().out)["measured"]
    saved = json.loads((planned / "plan.json").read_text())["measured"]
    assert verified["noise_relative_rms"] == saved["noise_relative_rms"]


def test_its_noise_is_that_of_int8_to_the_bit(tmp_path):
    plans = {}
    for precision in ("int8", "int8-qoperator"):
        placement = {"precision": {"*": precision}}
        outcome = plan_model(tmp_path, models.residual(), samples(), precisions=EVERY, placement=placement)
        plans[precision] = outcome.plan
        assert [noise.scheme.split("-")[0] for noise in outcome.profiles["a"].noise] == ["int8", "int16"]
        assert {a.precision.value for a in outcome.plan.assignments} == {precision}
    one, other = (plans[precision] for precision in ("int8", "int8-qoperator"))
    assert one.measured.noise_relative_rms == other.measured.noise_relative_rms > 0
    assert one.predicted.noise_relative_rms == other.predicted.noise_relative_rms
    assert one.predicted.memory_bytes == other.predicted.memory_bytes


def test_each_unit_takes_what_is_faster_and_nothing_is_converted_between(tmp_path):
    """With seconds given, the best plan has the cheaper of both in each unit: no tensor costs anything."""
    content = scenario_content(tmp_path, models.residual(), samples())
    names = units_of(tmp_path)
    rows = ["unit,precision,seconds"]
    seconds = {"fp32": [9e-3] * 5, "int8": [1e-3, 3e-3, 1e-3, 3e-3, 1e-3]}
    seconds["int8-qoperator"] = [2e-3] * 5
    for precision, of_units in seconds.items():
        rows += [f"{name},{precision},{one}" for name, one in zip(names, of_units, strict=True)]
    (tmp_path / "costs.csv").write_text("\n".join(rows) + "\n")
    content |= {
        "devices": [{"name": "a", "profile": str(tmp_path / "costs.csv")}],
        "precisions": ["fp32", "int8", "int8-qoperator"],
    }
    (tmp_path / "s.yaml").write_text(json.dumps(content))
    assert plan(tmp_path / "s.yaml", "--out", tmp_path / "plan") == 0
    saved = json.loads((tmp_path / "plan" / "plan.json").read_text())
    expected = ["int8", "int8-qoperator", "int8", "int8-qoperator", "int8"]
    assert [a["precision"] for a in saved["assignments"]] == expected
    assert sum(a["compute_s"] for a in saved["assignments"]) == pytest.approx(7e-3)
    assert saved["measured"]["chain"]["basic_bit_equal"]
    alone = ("--set", "precisions=[fp32,int8-qoperator]")
    assert plan(tmp_path / "s.yaml", "--out", tmp_path / "alone", *alone) == 0
    saved = json.loads((tmp_path / "alone" / "plan.json").read_text())
    assert {a["precision"] for a in saved["assignments"]} == {"int8-qoperator"}


def test_inspect_says_which_units_cannot_be_it(tmp_path, capsys):
    how = 'mode = "nearest", coordinate_transformation_mode = "asymmetric"'
    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]> g (float[1, 2, 8, 8] x) => (float[1, 3, 16, 16] y)
        <float[4] z = {{1.0, 1.0, 2.0, 2.0}}>
        {{ h = Conv <pads = [1, 1, 1, 1]> (x, w) r = Resize <{how}> (h, , z) y = Conv (r, v) }}"""
    )
    rng = np.random.default_rng(0)
    for name, shape in (("w", (4, 2, 3, 3)), ("v", (3, 4, 1, 1))):
        weight = onnx.numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)
        model.graph.initializer.append(weight)
    onnx.save(model, tmp_path / "m.onnx")
    assert plan("inspect", tmp_path / "m.onnx", "--json") == 0
    units = json.loads(capsys.readouterr().out)["units"]
    assert [unit["modes"]["int8-qoperator"] for unit in units] == [
        "",
        "Resize has no operator on integers in ONNX Runtime",
        "",
    ]
    assert [unit["obstacle"] for unit in units] == [""] * 3
    assert plan("inspect", tmp_path / "m.onnx") == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if "int8-qoperator" in line)
    assert "1 Resize" in line
    assert line.split()[-1] == "2"


def test_a_bundle_holds_a_model_of_it_and_no_mixed_ones(folder, tmp_path):
    bundle = tmp_path / "bundle"
    assert plan("profile", folder / "s.yaml", "--device", "a", "--bundle", bundle) == 0
    order = json.loads((bundle / "order.json").read_text())
    assert order["precisions"] == ["fp32", "int8", "int16", "int8-qoperator"]
    with_it = [variant for variant in order["variants"] if "int8-qoperator" in variant]
    assert with_it == [{"int8-qoperator": [0, 1, 2, 3, 4]}]


def test_it_is_of_onnx_runtime(folder, tmp_path, capsys):
    changes = ("--set", "devices=[{name: a, runtime: litert}]", "--set", "links=[]", "--set", "sink=a")
    changes += ("--set", "placement={}", "--set", "precisions=[fp32,int8-qoperator]")
    assert plan(folder / "s.yaml", "--out", tmp_path / "p", *changes) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "precisions int8-qoperator is of ONNX Runtime, not of runtime: litert" in told
