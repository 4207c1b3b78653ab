"""What ranges of activations other than least and greatest value do to answers in int8.

    python benchmarks/ranges.py [--samples N] [MODEL ...]

MODEL is mobilenetv2, mobilenetv1, kwt1, resnet20, resnet8, dscnn or yolox; their data lie where
`SPLITQUANT_DATA` points. Every unit that can is quantized, over the ranges of each method in turn. Noise is
the relative RMS error of outputs over evaluation data, which calibrated nothing. Nothing is timed.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from bars import circumstances
from rich.console import Console
from rich.table import Table

from planner.inputs.prepared_scenario import Prepared, prepare
from planner.metrics.coco_ap import CocoAp
from planner.scenario.metric_schema import CocoApSpec
from planner.scenario.schema import Scenario
from planner.scenario.validation import check_scenario
from profiling.arrays import Array
from profiling.noise.noise_power import noise_power
from profiling.quantization.qdq_model import quantize
from profiling.range_method import RangeMethod
from profiling.runtime.open_session import Runtime, open_session, run_samples

Spec = Mapping[str, object]
_MOST = 1000  # evaluation samples, as a rule


def _data(name: str) -> str:
    return str(Path(os.environ.get("SPLITQUANT_DATA", "")) / name)


def _pictures(label_offset: int, column: str) -> dict[str, Spec]:
    """Return calibration and evaluation data of ImageNet: a quarter of the classes, and the others."""
    shared = {
        "images": _data("imagenet_sample/images"),
        "labels": {
            "file": _data("imagenet_sample/labels.tsv"),
            "image_column": "file",
            "label_column": column,
        },
        "label_offset": label_offset,
        "image": {"layout": "nchw", "crop": 224, "divide_by": 127.5, "subtract": 1},
    }
    parts = {"calibration": [0], "evaluation": [1, 2, 3]}
    return {
        part: {**shared, "subset": {"column": column, "modulo": 4, "equals": equals}}
        for part, equals in parts.items()
    }


def _cifar10(input_name: str, image: Spec) -> dict[str, Spec]:
    files = {"calibration": "jpeg_train500_calib", "evaluation": "jpeg_test2000"}
    return {
        part: {
            "npz": _data(f"cifar10_data/{file}.npz"),
            "inputs": {input_name: "x"},
            "labels": "y",
            "image": {"layout": "nchw", **image},
        }
        for part, file in files.items()
    }


def _archive(path: str, input_name: str, **more: object) -> dict[str, Spec]:
    """Return calibration and evaluation data of an archive: every fourth sample, and the others."""
    parts = {"calibration": [0], "evaluation": [1, 2, 3]}
    return {
        part: {
            "npz": path,
            "inputs": {input_name: "x"},
            "labels": "y",
            "subset": {"modulo": 4, "equals": equals},
            **more,
        }
        for part, equals in parts.items()
    }


def _keywords(folder: Path) -> dict[str, Spec]:
    """Return data of spoken words, which lie as integers with their scale."""
    with np.load(_data("mlperf_tiny/kws01_mfcc_int8.npz")) as archive:
        numbers = (archive["x"].astype(np.float32) - archive["zero_point"]) * archive["scale"]
        np.savez(folder / "words.npz", x=numbers.astype(np.float32), y=archive["y"])
    return _archive(str(folder / "words.npz"), "input_1")


def _boxes() -> dict[str, Spec]:
    folder = "yolox_nano_coco128"
    parts = {"calibration": [0], "evaluation": [1, 2, 3]}
    return {
        part: {
            "images": _data(f"{folder}/images"),
            "labels": _data(f"{folder}/instances.json"),
            "image": {"letterbox": 416, "letterbox_at": "top_left", "channels": "bgr"},
            "subset": {"modulo": 4, "equals": equals},
        }
        for part, equals in parts.items()
    }


_NORMALIZED = {"divide_by": 255, "subtract": [0.485, 0.456, 0.406], "scale_by": [0.229, 0.224, 0.225]}
MODELS = {
    "mobilenetv2": "mobilenetv2_100_224/mobilenetv2_100_224.onnx",
    "mobilenetv1": "mobilenetv1_025_224/mobilenetv1_025_224.onnx",
    "kwt1": "kwt1/kwt1_features.onnx",
    "resnet20": "cifar10_resnet/resnet20_cifar10.onnx",
    "resnet8": "mlperf_tiny/resnet8_cifar10.onnx",
    "dscnn": "mlperf_tiny/dscnn_kws.onnx",
    "yolox": "yolox_nano_coco128/yolox_nano.onnx",
}


def _samples_of(name: str, folder: Path) -> dict[str, Spec]:
    if name.startswith("mobilenet"):
        return _pictures(int(name == "mobilenetv2"), "class_index")
    if name == "kwt1":
        return _archive(_data("kwt1/features_fp16.npz"), "features")
    if name == "dscnn":
        return _keywords(folder)
    if name == "yolox":
        return _boxes()
    return _cifar10("input" if name == "resnet20" else "input_1", _NORMALIZED if name == "resnet20" else {})


def scenario_with(
    name: str, quantization: Mapping[str, object], most: int, folder: Path, changed: Path | None = None
) -> Scenario:
    """Return the scenario of a model on one device, or of what was made of it, quantized in some way."""
    content = {
        "model": _data(MODELS[name]) if changed is None else str(changed),
        "data": {part: {**spec, "samples": most} for part, spec in _samples_of(name, folder).items()},
        "devices": [{"name": "here"}],
        "precisions": ["fp32", "int8"],
        "source": "here",
        "sink": "here",
        "quantization": quantization,
    }
    scenario, faults = check_scenario(json.dumps(content))
    if scenario is None:
        raise SystemExit(str(faults))
    return scenario


def run_one(name: str, most: int) -> list[tuple[str, float, float]]:
    """Return (form, noise, accuracy) of a model in fp32 and in int8 by each method."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        exact: list[dict[str, Array]] = []
        for method in RangeMethod:
            prepared = prepare(scenario_with(name, {"ranges": method.value}, most, Path(folder)))
            graph, samples = prepared.models.graph, prepared.evaluation.samples
            if not exact:
                exact = list(run_samples(open_session(graph.model, Runtime()), samples))
                rows.append(("fp32", 0.0, score(prepared, exact)))
            calibration = prepared.calibration("here")
            chosen = calibration.of(graph.quantizable_nodes)
            model = quantize(graph.model, chosen, calibration.ranges, graph.guarded_nodes)
            outputs = list(run_samples(open_session(model, Runtime()), samples))
            rows.append((method.value, noise_power(outputs, exact) ** 0.5, score(prepared, outputs)))
            print(name, *rows[-1], file=sys.stderr)
    return rows


def score(prepared: Prepared, outputs: Sequence[Mapping[str, Array]]) -> float:
    """Return the share of right answers, or the average precision of a detector."""
    (first, *_) = prepared.models.graph.outputs
    stacked = np.concatenate([each[first] for each in outputs])
    labels = prepared.evaluation.labels
    if prepared.evaluation.classes is None:
        return CocoAp(CocoApSpec(name="coco_ap"))({first: stacked}, labels.tolist())
    return float(np.mean(stacked.argmax(axis=1) == prepared.evaluation.classes))


def main() -> int:
    """Measure the models and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="*", choices=[*MODELS, []], default=[], metavar="MODEL")
    parser.add_argument("--samples", type=int, default=_MOST, help="of each part of the data, at most")
    given = parser.parse_args()
    console = Console(width=120)
    console.print(circumstances("onnxruntime", "numpy"))
    noise, right = (
        Table("model", "fp32", *RangeMethod, title=title, title_justify="left")
        for title in ("relative RMS error of outputs", "right answers, or average precision")
    )
    for name in given.models or MODELS:
        rows = run_one(name, given.samples)
        noise.add_row(name, *(f"{power:.4f}" for _, power, _ in rows))
        right.add_row(name, *(f"{share:.1%}" for *_, share in rows))
    console.print(noise, right)
    return 0


if __name__ == "__main__":
    sys.exit(main())
