"""Everything that a device needs to be measured by itself: models, one sample, the code that runs there."""

from collections.abc import Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import onnx

from profiling.arrays import Feeds
from profiling.latency.measure_latency import Variant
from profiling.on_device.device_main import FEEDS, MODELS, ORDER, SCRIPT
from profiling.on_device.measurement_order import MeasurementPlan
from profiling.on_device.onnx_runtime_bundle import (
    PROBE,
    plain_file,
    stage_file,
    tagged_file,
    wire_file,
)
from profiling.onnx_io.external_weights import save_sharing
from profiling.quantization.int8_overflow import overflow_probe_model
from profiling.quantization.wire_formats import wire_trials
from profiling.records.json_files import save_json
from profiling.records.npz_files import write_npz

_OLDEST_IR = 8  # boards have old runtimes; nothing here needs a later one
_CODE, _DEVICE_CODE = "profiling", "on_device"
_SCRIPT_SOURCE = "bundle_script.py"
BUNDLE_FILES = frozenset({SCRIPT, ORDER, FEEDS, PROBE, MODELS, _CODE})
"""What may lie in the folder of a bundle."""


def write_bundle(
    variants: Sequence[Variant],
    feeds: Feeds,
    plan: MeasurementPlan,
    folder: Path,
) -> None:
    """Write what a device needs to make its own profile.

    Parameters
    ----------
    variants, plan
        From `variants_of` and `measurement_plan`, for one graph and calibration.
    feeds
        One real sample.
    folder
        An empty folder.
    """
    (folder / MODELS).mkdir()
    for number, variant in enumerate(variants):
        _save(variant.plain, folder / plain_file(number))
        _save(variant.tagged, folder / tagged_file(number))
        for stage_number, stage in enumerate(variant.stages):
            _save(stage, folder / stage_file(number, stage_number))
    for number, (*_, model) in enumerate(wire_trials()):
        onnx.save(model, folder / wire_file(number))
    onnx.save(overflow_probe_model(), folder / PROBE)
    write_what_measures(feeds, plan, folder)


def write_what_measures(feeds: Feeds, plan: MeasurementPlan, folder: Path) -> None:
    """Write what every bundle has, whichever runtime its models are for.

    That is the sample, what is to be measured, the script that a user starts, and the package that it
    imports by its name here.
    """
    write_npz(folder / FEEDS, feeds)
    save_json(plan, folder / ORDER)
    source, target = resources.files(_CODE), folder / _CODE
    target.mkdir()
    (target / "__init__.py").write_bytes((source / "__init__.py").read_bytes())
    _copy_code(source / _DEVICE_CODE, target / _DEVICE_CODE)
    (target / _DEVICE_CODE / _SCRIPT_SOURCE).replace(folder / SCRIPT)


def _copy_code(source: Traversable, target: Path) -> None:
    """Write a package and those in it."""
    target.mkdir()
    for module in source.iterdir():
        if module.name.endswith(".py"):
            (target / module.name).write_bytes(module.read_bytes())
        elif (module / "__init__.py").is_file():
            _copy_code(module, target / module.name)


def _save(model: onnx.ModelProto, path: Path) -> None:
    older = onnx.ModelProto()
    older.CopyFrom(model)
    older.ir_version = min(older.ir_version, _OLDEST_IR)
    save_sharing(older, path)
