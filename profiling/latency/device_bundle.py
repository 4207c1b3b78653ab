"""Everything that a device needs to be measured by itself: models, one sample and one script."""

import inspect
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx

from profiling.arrays import Feeds
from profiling.latency.measure_latency import Variant
from profiling.on_device import measure as onboard
from profiling.on_device.measure import MeasurementPlan
from profiling.onnx_io.external_weights import save_sharing
from profiling.quantization.int8_overflow import overflow_probe_model
from profiling.quantization.wire_formats import wire_trials
from profiling.records.profile import save_json

SCRIPT = "measure.py"
_OLDEST_IR = 8  # boards have old runtimes; nothing here needs a later one


def write_bundle(
    variants: Sequence[Variant],
    feeds: Feeds,
    order: MeasurementPlan,
    folder: Path,
) -> None:
    """Write what a device needs to make its own profile.

    Parameters
    ----------
    variants, order
        From `variants_of` and `order_of`, for one graph and calibration.
    feeds
        One real sample.
    folder
        An empty folder.
    """
    (folder / onboard.MODELS).mkdir()
    for number, variant in enumerate(variants):
        _save(variant.plain, folder / onboard.MODELS / onboard.ONE_MODEL.format(number))
        _save(variant.tagged, folder / onboard.MODELS / onboard.ONE_TAGGED.format(number))
        for place, stage in enumerate(variant.stages):
            _save(stage, folder / onboard.MODELS / onboard.ONE_STAGE.format(number, place))
    for number, (*_, model) in enumerate(wire_trials()):
        onnx.save(model, folder / onboard.MODELS / onboard.ONE_WIRE.format(number))
    onnx.save(overflow_probe_model(), folder / onboard.PROBE)
    np.savez(folder / onboard.FEEDS, **feeds)
    save_json(order, folder / onboard.ORDER)
    (folder / SCRIPT).write_text(inspect.getsource(onboard))


def _save(model: onnx.ModelProto, path: Path) -> None:
    older = onnx.ModelProto()
    older.CopyFrom(model)
    older.ir_version = min(older.ir_version, _OLDEST_IR)
    save_sharing(older, path)
