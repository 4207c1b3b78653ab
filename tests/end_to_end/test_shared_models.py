"""Real pretrained models; skipped where the shared folder is absent."""

import json
import sys

import numpy as np
import onnx
import pytest
from repository import ROOT

from planner.cli.commands import main
from planner.deployment.rebuild import quantized_tensors, rebuild
from planner.deployment.split import split
from planner.deployment.stage_tasks import Placement
from planner.inputs.dataset import Input
from planner.inputs.load_samples import load_data
from planner.metrics.coco_ap import CocoAp
from planner.scenario.data_schema import SampleSpec
from planner.scenario.metric_schema import CocoApSpec
from planner.verification.stage_chain import Chain, same_bits
from profiling.graph.unit_graph import build_graph
from profiling.on_device.create_session import Optimization
from profiling.onnx_io.external_weights import read_array
from profiling.onnx_io.load_model import default_opset, load_model
from profiling.precision import Precision
from profiling.preparation.rewrite_steps import prepare_model
from profiling.quantization.calibration import Calibration, calibrate, calibrate_ranges
from profiling.quantization.qdq_model import INT8, INT8_REDUCED, Scheme, quantize
from profiling.range_method import RangeMethod
from profiling.runtime.open_session import Runtime, open_session, run_session

MODELS = {
    "resnet20": ("cifar10_resnet/resnet20_cifar10.onnx", 25),
    "resnet56": ("cifar10_resnet/resnet56_cifar10.onnx", 61),
    "resnet8": ("mlperf_tiny/resnet8_cifar10.onnx", 12),
    "mobilenetv1": ("mobilenetv1_025_224/mobilenetv1_025_224.onnx", 30),
    "mobilenetv2": ("mobilenetv2_100_224/mobilenetv2_100_224.onnx", 55),
    "yolox": ("yolox_nano_coco128/yolox_nano.onnx", 144),
}


@pytest.fixture(scope="module", params=MODELS)
def real(request, shared_data, tmp_path_factory):
    path, units = MODELS[request.param]
    graph = build_graph(prepare_model(load_model(shared_data / path, {})))
    rng = np.random.default_rng(0)
    samples = [
        {i: rng.normal(size=graph.tensors[i].shape).astype(np.float32) for i in graph.inputs}
        for _ in range(3)
    ]
    calibration = Calibration(INT8, tmp_path_factory.mktemp(request.param) / "ranges.json")
    calibrate(graph.model, graph.quantizable_nodes, samples, calibration.ranges)
    return graph, samples, calibration, units


def test_units_cover_the_model(real):
    graph, _, _, units = real
    assert sum(len(u.nodes) for u in graph.units) == len(graph.model.graph.node)
    assert len(graph.units) == units


def test_the_tool_quantizes_what_the_units_say(real):
    graph, _, calibration, _ = real
    able = [u.index for u in graph.units if u.quantizable]
    mixed = rebuild(
        graph, calibration.of(able[::2]), calibration.ranges
    )  # raises where the tool leaves the plan
    expected = {t for i in able[::2] for t in graph.tensors_quantized_with(i)}
    assert quantized_tensors(mixed).keys() & set(graph.boundary_tensors()) == expected


@pytest.mark.parametrize("method", [RangeMethod.MINMAX, RangeMethod.MSE])
def test_three_stages_in_a_chain_equal_the_whole(real, method, tmp_path):
    graph, samples, _, _ = real
    calibration = Calibration(Scheme(ranges=method), tmp_path / "ranges.json")
    wanted = [calibration.scheme.tensor_ranges]
    calibrate_ranges(graph.model, graph.quantizable_nodes, samples, calibration.ranges, wanted)
    rng = np.random.default_rng(3)
    count = len(graph.units)
    quantized = (Precision.INT8, Precision.INT8, Precision.INT16)
    mix = {u.index: quantized[rng.integers(3)] for u in graph.units if u.quantizable and rng.random() < 0.6}
    first, second = sorted(rng.choice(np.arange(1, count), 2, replace=False))
    devices = ("a",) * first + ("b",) * (second - first) + ("c",) * (count - second)
    mixed = rebuild(graph, calibration.at(graph.resolve_precisions(mix)), calibration.ranges)
    stages = [s.model for s in split(mixed, graph, Placement(devices, "a", "a"))]
    whole = open_session(mixed, Runtime(), Optimization.BASIC)
    chain = Chain(stages, Runtime(), Optimization.BASIC)
    for feeds in samples:
        assert same_bits(run_session(whole, feeds), chain.run(feeds, graph.outputs))


def test_bits_of_weights_are_chosen_node_by_node(real):
    graph, _, calibration, _ = real
    rng = np.random.default_rng(0)
    schemes = {
        node: scheme
        for unit in graph.units
        if unit.quantizable
        for scheme in (INT8_REDUCED if rng.random() < 0.5 else INT8,)
        for node in unit.nodes
    }
    uniform = {
        s: _quantized_weights(graph, dict.fromkeys(schemes, s), calibration) for s in set(schemes.values())
    }
    mixed = _quantized_weights(graph, schemes, calibration)
    readers = {name: node.name for node in graph.model.graph.node for name in node.input}
    assert mixed
    for name, found in mixed.items():
        assert found == uniform[schemes[readers[name]]][name]


def _quantized_weights(graph, schemes, calibration) -> dict[str, tuple[bytes, bytes]]:
    """Return float weight -> its integers and scales once quantized; biases left out."""
    model = quantize(graph.model, schemes, calibration.ranges)
    known = {tensor.name: tensor for tensor in model.graph.initializer}
    matrices = {tensor.name for tensor in graph.model.graph.initializer if len(tensor.dims) > 1}
    return {
        name: tuple(read_array(known[name + part]).tobytes() for part in ("_quantized", "_scale"))
        for name in matrices
        if name + "_quantized" in known
    }


@pytest.mark.parametrize(("name", "evaluation"), [("resnet56", 300), ("mobilenetv2", 80)])
def test_a_scenario_runs_from_file_to_verified_stages(name, evaluation, shared_data, tmp_path, capsys):
    settings = ("profiling.rounds=3", "profiling.noise_samples=2", f"data.evaluation.samples={evaluation}")
    arguments = [x for s in settings for x in ("--set", s)]
    with pytest.raises(SystemExit) as done:
        main([str(ROOT / "scenarios" / f"{name}.yaml"), "--out", str(tmp_path / "o"), "--json", *arguments])
    plan = json.loads(capsys.readouterr().out)
    assert plan["status"] in ("optimal", "feasible")
    assert plan["measured"]["chain"]["basic_bit_equal"]
    assert plan["measured"]["chain"]["integer_kernels"] == plan["measured"]["chain"]["integer_kernels_whole"]
    if done.value.code == 0:
        for stage in (tmp_path / "o" / "stages").iterdir():
            onnx.checker.check_model(onnx.load(stage))
    else:  # so few pictures may break a budget by chance; then nothing is delivered
        assert done.value.code == 4
        assert not (tmp_path / "o").exists()


def test_a_transformer_of_fixed_batch_is_rebuilt_as_planned(shared_data, tmp_path):
    graph = build_graph(prepare_model(load_model(shared_data / "kwt1" / "kwt1_features.onnx", {})))
    assert len(graph.units) == 473  # with each GELU in one
    rng = np.random.default_rng(0)
    samples = [{"features": rng.normal(size=(98, 40)).astype(np.float32)} for _ in range(2)]
    calibration = Calibration(INT8, tmp_path / "ranges.json")
    calibrate(graph.model, graph.quantizable_nodes, samples, calibration.ranges)
    able = [u.index for u in graph.units if u.quantizable]
    mixed = rebuild(
        graph, calibration.of(able[::2]), calibration.ranges
    )  # raises where the tool leaves the plan
    third = len(graph.units) // 3
    devices = ("a",) * third + ("b",) * (len(graph.units) - third)
    stages = [s.model for s in split(mixed, graph, Placement(devices, "a", "a"))]
    whole = open_session(mixed, Runtime(), Optimization.BASIC)
    chain = Chain(stages, Runtime(), Optimization.BASIC)
    for feeds in samples:
        assert same_bits(run_session(whole, feeds), chain.run(feeds, graph.outputs))


def test_an_old_opset_is_converted_without_changing_a_bit(shared_data):
    source = load_model(shared_data / "yolox_nano_coco128" / "yolox_nano.onnx", {})
    assert default_opset(source) == 11
    feeds = {"images": np.random.default_rng(0).uniform(0, 255, (1, 3, 416, 416)).astype(np.float32)}
    outputs = [
        run_session(open_session(model, Runtime(), Optimization.BASIC), feeds)
        for model in (source, prepare_model(source))
    ]
    assert same_bits(*outputs)


def test_the_detector_has_the_average_precision_that_is_published_with_it(shared_data):
    sys.path.insert(0, str(ROOT / "scenarios"))
    import detection

    session = open_session(load_model(shared_data / "yolox_nano_coco128" / "yolox_nano.onnx", {}), Runtime(2))
    rows, labels = [], []
    for reader in (detection.Calibration(), detection.Evaluation()):
        while (feeds := reader.get_next()) is not None:
            rows.append(run_session(session, feeds)["output"])
        labels += reader.labels
    assert len(rows) == 128
    found = detection.average_precision({"output": np.concatenate(rows)}, labels)
    assert found == pytest.approx(0.338, abs=0.005)


def test_the_detector_has_that_precision_by_the_metric_of_a_scenario_too(shared_data):
    pytest.importorskip("pycocotools")
    folder = shared_data / "yolox_nano_coco128"
    spec = SampleSpec(
        images=str(folder / "images"),
        labels=str(folder / "instances.json"),
        image={"letterbox": 416, "letterbox_at": "top_left", "channels": "bgr"},
    )
    data = load_data(spec, [Input("images", "float32", (1, 3, 416, 416))], "data.evaluation")
    session = open_session(load_model(folder / "yolox_nano.onnx", {}), Runtime(2))
    outputs = np.concatenate([run_session(session, feeds)["output"] for feeds in data.samples])
    found = CocoAp(CocoApSpec(name="coco_ap"))({"output": outputs}, data.labels.tolist())
    assert found == pytest.approx(0.338, abs=0.01)
