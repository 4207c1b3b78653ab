"""Plans for ONNX Runtime devices in precisions in which tensors stay in float: every command on one."""

import json
from collections import Counter
from pathlib import Path

import dense_models
import numpy as np
import onnx
import pytest
from npz_archives import arrays_of
from onnx import numpy_helper

from planner.cli.commands import main
from profiling.graph.unit_graph import build_graph
from profiling.onnx_io.load_model import load_model
from profiling.precision import Precision
from profiling.preparation.rewrite_steps import prepare_model
from profiling.quantization.node_forms import FORMS

WANTED = ("int8-dynamic", "weights-int8", "weights-int4", "int8", "fp32")


def plan(*arguments: object) -> int:
    with pytest.raises(SystemExit) as done:
        main([str(argument) for argument in arguments])
    return done.value.code


def stored_bytes(model: onnx.ModelProto) -> int:
    return sum(numpy_helper.to_array(init).nbytes for init in model.graph.initializer)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Write a scenario with two devices, and a model of whose units each has a precision given."""
    folder = tmp_path_factory.mktemp("forms")
    onnx.save(dense_models.transformer(), folder / "net.onnx")
    graph = build_graph(prepare_model(load_model(folder / "net.onnx", {})))
    able = [unit.name for unit in graph.units if unit.can_be(Precision.WEIGHTS_INT4)]
    shape = (24, 1, dense_models.TOKENS, dense_models.WIDTH)
    np.savez(folder / "x.npz", x=np.random.default_rng(0).normal(size=shape).astype(np.float32))
    scenario = {
        "model": str(folder / "net.onnx"),
        "data": {name: {"npz": str(folder / "x.npz")} for name in ("calibration", "evaluation")},
        "devices": [{"name": "a", "scaled_from": "b", "speedup": 0.1}, {"name": "b"}],
        "links": [{"from": "a", "to": "b", "bandwidth_mbit_per_s": 5}],
        "source": "a",
        "sink": "b",
        "precisions": ["fp32", "int8", *(precision.value for precision in FORMS)],
        "placement": {
            "precision": {name: WANTED[n % len(WANTED)] for n, name in enumerate(able)},
            "pin": {able[0]: "a", able[-1]: "b"},
        },
        "profiling": {"rounds": 3, "noise_samples": 8},
    }
    (folder / "s.yaml").write_text(json.dumps(scenario))
    return folder


@pytest.fixture(scope="module")
def planned(folder) -> Path:
    assert plan(folder / "s.yaml", "--out", folder / "plan") == 0
    return folder / "plan"


def test_a_plan_holds_the_precisions_that_are_given(folder, planned):
    saved = json.loads((planned / "plan.json").read_text())
    given = json.loads((folder / "s.yaml").read_text())["placement"]["precision"]
    assert {a["unit"]: a["precision"] for a in saved["assignments"] if a["unit"] in given} == given
    operators = Counter(node.op_type for node in onnx.load(planned / "model.onnx").graph.node)
    counts = Counter(given.values())
    assert operators["MatMulNBits"] == counts["weights-int8"] + counts["weights-int4"]
    assert operators["MatMulInteger"] == counts["int8-dynamic"]
    assert operators["QuantizeLinear"] > 0
    assert 0 < saved["measured"]["noise_relative_rms"] < 1
    assert saved["predicted"]["noise_relative_rms"] == pytest.approx(
        saved["measured"]["noise_relative_rms"], rel=0.6
    )


def test_memory_is_that_of_the_stages_weights(folder, planned):
    saved = json.loads((planned / "plan.json").read_text())
    graph = build_graph(prepare_model(load_model(folder / "net.onnx", {})))
    precision = {a["unit"]: Precision(a["precision"]) for a in saved["assignments"]}
    in_float = sum(
        unit.weight_bytes_in(precision[unit.name])
        for unit in graph.units
        if precision[unit.name] is not Precision.INT8
    )
    whole = stored_bytes(onnx.load(planned / "model.onnx"))
    in_int8 = sum(
        unit.weight_bytes_in(Precision.INT8) for unit in graph.units if precision[unit.name] is Precision.INT8
    )
    # Of units in int8, vectors count with scales that they do not have, and steps of activations do not.
    assert in_int8 / 2 < whole - in_float < in_int8 + 600


def test_the_stages_answer_as_the_whole_model(planned, folder, tmp_path):
    answers = tmp_path / "answers.npz"
    assert plan("run", planned, "--input", folder / "x.npz", "--output", answers) == 0
    verified = json.loads((planned / "plan.json").read_text())["measured"]
    assert len(arrays_of(answers)["y"]) == 24
    assert verified["samples"] == 24


def test_a_saved_plan_is_exported_again_and_verified(planned, tmp_path, capsys):
    assert plan("export", planned / "plan.json", "--out", tmp_path / "again") == 0
    for file in sorted(path.relative_to(planned) for path in planned.rglob("*.onnx")):
        assert (tmp_path / "again" / file).read_bytes() == (planned / file).read_bytes()
    capsys.readouterr()
    assert plan("verify", tmp_path / "again", "--json") == 0
    verified = json.loads(capsys.readouterr().out)
    saved = json.loads((planned / "plan.json").read_text())
    assert verified["measured"]["noise_relative_rms"] == saved["measured"]["noise_relative_rms"]


def test_a_memory_budget_below_int8_is_kept_by_four_bits(folder, tmp_path):
    graph = build_graph(prepare_model(load_model(folder / "net.onnx", {})))
    weights = sum(
        u.weight_bytes_in(Precision.INT8 if u.can_be(Precision.INT8) else Precision.FP32) for u in graph.units
    )
    most = max(sum(graph.tensors[t].size_bytes for t in (*u.inputs, *u.outputs)) for u in graph.units)
    limit = (0.85 * weights + most) / 2**20
    changes = ("--set", "placement={}", "--set", f"budget.memory_mib={{a: {limit}, b: {limit}}}")
    one = ("--set", "devices=[{name: b}]", "--set", "links=[]", "--set", "source=b")
    budget = ("--set", f"budget.memory_mib={{b: {limit}}}")
    assert plan(folder / "s.yaml", "--out", tmp_path / "plan", *changes[:2], *one, *budget) == 0
    saved = json.loads((tmp_path / "plan" / "plan.json").read_text())
    assert Counter(a["precision"] for a in saved["assignments"])["weights-int4"] > 0
    assert saved["predicted"]["memory_bytes"]["b"] <= limit * 2**20
    without = (*changes[:2], *one, *budget, "--set", "precisions=[fp32,int8]")
    assert plan(folder / "s.yaml", "--out", tmp_path / "none", *without) == 3


def test_inspect_says_which_units_can_have_them_and_why_others_cannot(folder, capsys):
    assert plan("inspect", folder / "net.onnx", "--json") == 0
    units = json.loads(capsys.readouterr().out)["units"]
    able = {unit["name"] for unit in units if not unit["modes"]["weights-int4"]}
    assert able == {unit["name"] for unit in units if {"MatMul", "Gemm"} & {*unit["op_types"]}} - {
        unit["name"] for unit in units if "no constant float weight" in unit["modes"]["weights-int4"]
    }
    assert plan("inspect", folder / "net.onnx") == 0
    text = capsys.readouterr().out
    assert all(precision.value in text for precision in FORMS)


def test_a_precision_of_another_runtime_is_refused(folder, tmp_path, capsys):
    assert plan(folder / "s.yaml", "--out", tmp_path / "p", "--set", "precisions=[fp32,int4-dynamic]") == 1
    assert "int4-dynamic is of runtime: litert" in " ".join(capsys.readouterr().err.split())


def test_a_bundle_holds_a_model_in_each_precision(folder, tmp_path):
    bundle = tmp_path / "bundle"
    assert plan("profile", folder / "s.yaml", "--device", "b", "--bundle", bundle) == 0
    order = json.loads((bundle / "order.json").read_text())
    assert order["precisions"] == ["fp32", "int8", *(precision.value for precision in FORMS)]
