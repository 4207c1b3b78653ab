import json

import pytest
from made_records import SCENARIO

from planner.scenario.validation import check_scenario
from profiling.precision import OFFERED

DEVICES = [
    {"name": "camera", "scaled_from": "board", "speedup": 0.1},
    {"name": "board", "runtime": "litert"},
    {"name": "server", "runtime": "onnxruntime"},
]
NAMES = [device["name"] for device in DEVICES]
LINKS = [{"from": a, "to": b, "bandwidth_mbit_per_s": 8} for a in NAMES for b in NAMES if a != b]
TOGETHER = "is not known where devices run different runtimes"


def told(changes=(), **keys) -> dict[str, str]:
    """Return key -> text of the faults of a scenario over two runtimes, some of whose devices differ."""
    changed = dict(changes)
    devices = [device | changed.get(device["name"], {}) for device in DEVICES]
    content = SCENARIO | {"devices": devices, "links": LINKS, "sink": "board"} | keys
    _, faults = check_scenario(json.dumps(content))
    return {".".join(map(str, fault.key_path)): fault.text for fault in faults}


def test_devices_may_run_different_runtimes():
    assert told() == {}
    assert told({"server": {"provider": "CUDAExecutionProvider"}}) == {}


@pytest.mark.parametrize(
    ("changes", "key", "text"),
    [
        (
            {"camera": {"runtime": "onnxruntime"}},
            "devices.0.runtime",
            "is onnxruntime, but board, whose costs it takes, runs litert",
        ),
        ({"board": {"provider": "CUDAExecutionProvider"}}, "devices.1.provider", "is of ONNX Runtime"),
        ({"server": {"quantization": {"symmetric": True}}}, "devices.2.quantization.symmetric", TOGETHER),
        ({"server": {"precisions": ["fp32", "int16"]}}, "devices.2.precisions", f"int16 {TOGETHER}"),
        ({"board": {"precisions": ["int8-dynamic"]}}, "devices.1.precisions", f"int8-dynamic {TOGETHER}"),
    ],
)
def test_what_a_device_cannot_have_is_told_at_its_key(changes, key, text):
    found = told(changes)
    assert text in found[key]


@pytest.mark.parametrize(
    ("key", "value", "place"),
    [
        ("wires", ["float16"], "wires"),
        ("weights", "compressed", "weights"),
        ("quantization", {"symmetric": True}, "quantization.symmetric"),
        ("quantization", {"reduce_range": False}, "quantization.reduce_range"),
        ("precisions", ["fp32", "int16"], "precisions"),
        ("conversion", {"quantization": "dynamic"}, "conversion.quantization"),
    ],
)
def test_what_two_runtimes_have_not_in_common_is_told(key, value, place):
    assert TOGETHER in told(**{key: value})[place]


@pytest.mark.parametrize(
    ("runtimes", "offered"),
    [
        (("onnxruntime", "onnxruntime"), ("fp32", *OFFERED)),
        (("litert", "litert"), ("fp32", "int8")),
        (("litert", "onnxruntime"), ("fp32", "int8")),
        (("tensorflow", "onnxruntime"), ("fp32", "int8")),
    ],
)
def test_auto_offers_what_onnx_runtime_has_where_all_run_it(runtimes, offered):
    changes = dict(zip(("board", "server"), ({"runtime": runtime} for runtime in runtimes), strict=True))
    devices = [device | changes.get(device["name"], {}) for device in DEVICES]
    content = SCENARIO | {"devices": devices, "links": LINKS, "sink": "board", "precisions": "auto"}
    scenario, faults = check_scenario(json.dumps(content))
    assert not faults
    assert scenario.offered_precisions == offered
    assert scenario.precisions == "auto"
