from pathlib import Path

import numpy as np
import onnx
import pytest
from repository import ROOT

from profiling.latency.measure_latency import Setup, Variant, measurement_plan, variants_of
from profiling.latency.write_bundle import BUNDLE_FILES, write_bundle
from profiling.on_device.device_main import SCRIPT, read_feeds, read_measurement_plan
from profiling.runtime.open_session import Runtime

CODE = ROOT / "profiling" / "on_device"


@pytest.fixture(scope="module")
def variants(digits) -> list[Variant]:
    return variants_of(digits.graph, digits.calibration, Setup(Runtime()))


@pytest.fixture(scope="module")
def bundle(digits, variants, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    plan = measurement_plan(digits.graph, digits.calibration, Setup(Runtime(), 3), "board")
    write_bundle(variants, digits.samples[0], plan, folder)
    return folder


def test_nothing_lies_in_a_bundle_that_is_not_listed(bundle):
    assert {path.name for path in bundle.iterdir()} == BUNDLE_FILES


def modules(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*.py")}


def test_its_code_is_the_code_that_measures_here(bundle):
    copied = modules(bundle / "profiling" / "on_device")
    ours = modules(CODE)
    assert (bundle / SCRIPT).read_text() == ours.pop("bundle_script.py")
    assert copied == ours
    assert {path.name for path in (bundle / "profiling").iterdir()} == {"__init__.py", "on_device"}


def test_its_plan_lists_the_models_and_stages_that_lie_there(bundle, variants):
    plan = read_measurement_plan(bundle)
    names = {path.name for path in (bundle / "models").glob("*.onnx")}
    expected = {f"{number:02d}{kind}.onnx" for number in range(len(variants)) for kind in ("", "-tagged")}
    cut = range(len(plan.precisions))
    expected |= {f"{n:02d}-stage-{stage:02d}.onnx" for n in cut for stage in range(len(plan.stages))}
    expected |= {f"wire-{number:02d}.onnx" for number in range(len(plan.wires))}
    assert names == expected
    assert len(plan.variants) == len(variants)


def test_its_models_are_those_that_would_be_timed_here_for_older_runtimes(bundle, variants):
    for number, variant in enumerate(variants):
        saved = onnx.load(bundle / "models" / f"{number:02d}.onnx")
        assert saved.ir_version <= 8
        assert list(saved.graph.node) == list(variant.plain.graph.node)


def test_its_sample_is_the_one_given(bundle, digits):
    feeds = read_feeds(bundle)
    assert feeds.keys() == digits.samples[0].keys()
    assert all(np.array_equal(feeds[name], value) for name, value in digits.samples[0].items())
