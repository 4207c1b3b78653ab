"""One plan over LiteRT, ONNX Runtime and TensorFlow: the chain computes what the Keras model does."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from npz_archives import arrays_of

pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
import numpy as np
from repository import ROOT
from tensorflow_extra import needs_tensorflow

from planner.cli.commands import main
from planner.conversion.model_source import saved_model_request
from planner.conversion.request import ANSWERS, SAMPLES, read_samples, write_samples
from planner.conversion.worker_process import run_worker
from planner.deployment.build import build
from planner.deployment.built_models import verification_target
from planner.inputs.prepared_scenario import Prepared, prepare
from planner.plan.configuration import Configuration
from planner.scenario.loader import load_scenario
from planner.scenario.schema import ConversionSpec
from planner.verification.chain_check import check_chain
from planner.verification.stage_chain import Chain, run_whole
from profiling.precision import Precision
from profiling.stage_session import runtime_of_model

pytestmark = needs_tensorflow
KERAS = ROOT / "scenarios" / "litert" / "digits.keras"
TEXT = f"""
model: {KERAS}
data:
  calibration: &samples
    npz: {ROOT / "scenarios" / "quickstart" / "calibration.npz"}
    image: {{layout: nhwc, divide_by: 255}}
    samples: 40
  evaluation: *samples
devices:
  - {{name: cloud, runtime: tensorflow}}
  - {{name: phone, runtime: litert}}
  - {{name: server, runtime: onnxruntime}}
links:
  - {{from: cloud, to: phone, bandwidth_mbit_per_s: 100}}
  - {{from: phone, to: server, bandwidth_mbit_per_s: 100}}
  - {{from: server, to: cloud, bandwidth_mbit_per_s: 100}}
source: cloud
sink: server
profiling: {{rounds: 3}}
"""


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    return left.value.code


@pytest.fixture(scope="module")
def scenario(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("three") / "three.yaml"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="module")
def prepared(scenario) -> Prepared:
    return prepare(load_scenario(scenario))


def in_thirds(prepared: Prepared, precision: Precision) -> Configuration:
    """Return a Keras part, a LiteRT part and an ONNX part; the last two in a precision."""
    count = len(prepared.models.graph.units)
    devices = [("cloud", "phone", "server")[3 * unit // count] for unit in range(count)]
    precisions = [Precision.FP32 if device == "cloud" else precision for device in devices]
    return Configuration(tuple(devices), tuple(precisions))


def test_a_keras_a_litert_and_an_onnx_part_answer_as_the_keras_model(prepared, tmp_path):
    samples = [prepared.evaluation.samples[number] for number in range(8)]
    built = build(prepared, in_thirds(prepared, Precision.FP32))
    target = verification_target(prepared, built)
    assert [runtime_of_model(stage) for stage in target.stages] == ["tensorflow", "litert", "onnxruntime"]
    write_samples(tmp_path / SAMPLES, samples)
    run_worker("answer", saved_model_request(str(KERAS), ConversionSpec(), {}), tmp_path)
    chain = Chain(target.stages, prepared.runtime)
    for feeds, own in zip(samples, read_samples(tmp_path / ANSWERS), strict=True):
        np.testing.assert_allclose(chain.run(feeds, target.outputs)["logits"], own["logits"], atol=1e-5)


def test_int8_numbers_reach_and_leave_a_keras_part(prepared):
    chosen = in_thirds(prepared, Precision.INT8)
    order = {"cloud": "phone", "phone": "cloud", "server": "server"}
    devices = tuple(order[device] for device in chosen.devices)
    precisions = tuple(Precision.FP32 if device == "cloud" else Precision.INT8 for device in devices)
    built = build(prepared, replace(chosen, devices=devices, precisions=precisions))
    target = verification_target(prepared, built)
    keras_part = next(stage for stage in built.stages if stage.device == "cloud" and stage.units)
    assert {tensor.dtype for tensor in keras_part.model.tensors.values()} == {"int8"}
    samples = [prepared.evaluation.samples[number] for number in range(4)]
    check = check_chain(target, samples, prepared.runtime)
    assert check.basic_bit_equal
    assert check.default_bit_equal


@pytest.mark.parametrize("seed", range(4))
def test_chains_over_random_placements_are_the_whole_bit_for_bit(prepared, seed):
    rng, graph = np.random.default_rng(seed), prepared.models.graph
    devices = tuple(("cloud", "phone", "server")[place] for place in rng.integers(0, 3, len(graph.units)))
    able = {
        u.index: Precision.INT8 for u in graph.units if devices[u.index] != "cloud" and rng.random() < 0.7
    }
    mix = graph.resolve_precisions(able if seed else {})
    precisions = tuple(mix.get(unit.index, Precision.FP32) for unit in graph.units)
    target = verification_target(prepared, build(prepared, Configuration(devices, precisions)))
    samples = [prepared.evaluation.samples[number] for number in range(3)]
    check = check_chain(target, samples, prepared.runtime)
    assert check.basic_bit_equal
    assert check.default_bit_equal
    chain, source = (
        Chain(target.stages, prepared.runtime),
        run_whole(target.source, samples, prepared.runtime),
    )
    tolerance = 0.5 if mix else 1e-5  # quantized answers of this network are within a few tenths
    for feeds, exact in zip(samples, source, strict=True):
        np.testing.assert_allclose(
            chain.run(feeds, target.outputs)["logits"], exact["logits"], atol=tolerance
        )


def test_a_plan_is_found_verified_exported_and_run(scenario, tmp_path):
    plan, answers = tmp_path / "plan", tmp_path / "answers.npz"
    pins = [
        f"placement.pin.{pattern}={device}"
        for pattern, device in (("conv2d/*", "cloud"), ("conv2d_4/*", "phone"), ("logits", "server"))
    ]
    settings = [word for pin in pins for word in ("--set", pin)]
    assert run(str(scenario), "--out", str(plan), *settings) == 0
    manifest = json.loads((plan / "manifest.json").read_text())
    assert manifest["stages"][0]["file"] == "stages/00-cloud/saved_model.pb"
    assert run("verify", str(plan)) == 0
    assert run("run", str(plan), "--input", str(scenario), "--output", str(answers)) == 0
    assert arrays_of(answers)["logits"].shape[0] == 40
    assert run("export", str(plan / "plan.json"), "--out", str(tmp_path / "again")) == 0
    assert run("deploy", str(plan), "--out", str(tmp_path / "hosts")) == 1  # hosts serve no TensorFlow


def test_tensorflow_may_be_the_only_runtime(scenario, tmp_path, capsys):
    text = scenario.read_text().replace("runtime: litert", "scaled_from: cloud")
    alone = tmp_path / "alone.yaml"
    alone.write_text(text.replace("runtime: onnxruntime", "scaled_from: cloud"))
    assert run("inspect", str(alone), "--json") == 0
    inspection = json.loads(capsys.readouterr().out)
    assert {unit["obstacle"] for unit in inspection["units"]} == {"TensorFlow computes it in fp32"}
    assert all(unit["weight_bytes_int8"] == unit["weight_bytes"] for unit in inspection["units"])
    assert run(str(alone), "--out", str(tmp_path / "plan")) == 0
    plan = json.loads((tmp_path / "plan" / "plan.json").read_text())
    assert {unit["precision"] for unit in plan["assignments"]} == {"fp32"}
    assert plan["measured"]["chain"]["basic_bit_equal"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["devices.0.precisions=[int8]"], "int8 is not known of runtime: tensorflow"),
        (
            [f"model={ROOT / 'scenarios' / 'litert' / 'digits.tflite'}"],
            "takes models of Keras and TensorFlow",
        ),
        (
            [f"model={ROOT / 'scenarios' / 'quickstart' / 'digits.onnx'}", "devices.1.runtime=onnxruntime"],
            "runtime tensorflow takes models of Keras and TensorFlow",
        ),
    ],
)
def test_what_does_not_go_with_tensorflow_is_one_line(scenario, tmp_path, capsys, changes, message):
    settings = [word for change in changes for word in ("--set", change)]
    assert run(str(scenario), "--out", str(tmp_path / "plan"), *settings) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "plan").exists()


@pytest.mark.parametrize(
    ("device", "why"),
    [
        (
            "cloud",
            "cloud runs tensorflow, for which there is no bundle: run plan profile on the device itself",
        ),
        ("server", "server runs onnxruntime beside devices of other runtimes, for which there is no bundle"),
    ],
)
def test_a_device_that_no_bundle_can_measure_is_told(scenario, tmp_path, capsys, device, why):
    assert run("profile", str(scenario), "--device", device, "--bundle", str(tmp_path / "b")) == 1
    assert why in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.iterdir())
