import json

import models
import numpy as np
import pytest
from prepared_models import Prepared

from planner.devices.calibration_choices import CalibrationChoice
from planner.inputs.calibrated_model import CalibratedModel, calibrate_once, calibration_choices
from planner.inputs.dataset import Dataset
from profiling.onnx_runtime_model import OnnxRuntimeModel
from profiling.precision import Precision
from profiling.quantization.qdq_model import Scheme
from profiling.quantization.ranges_file import read_ranges, save_bias_errors, save_ranges
from profiling.range_method import RangeMethod, TensorRanges

BEST, MSE = TensorRanges(RangeMethod.BEST), TensorRanges(RangeMethod.MSE)
ROUNDED = (Precision.INT8, Precision.INT16)


def subject(prepared, samples=None) -> CalibratedModel:
    chosen = prepared.samples if samples is None else samples
    return CalibratedModel.of(OnnxRuntimeModel(prepared.graph), Dataset(chosen, None))


def test_ranges_are_the_least_and_greatest_that_calibration_showed(residual):
    known = read_ranges(calibrate_once(subject(residual)))
    values = np.stack([feeds["x"] for feeds in residual.samples])
    assert known["x"] == (values.min(), values.max())


def test_the_same_model_and_samples_are_calibrated_once(residual):
    told = []
    one = subject(residual, residual.samples[:3])
    first = calibrate_once(one, lambda *row: told.append(row))
    assert calibrate_once(one, lambda *row: told.append(row)) == first
    assert told == [("calibrating", 0, 1), ("calibrating", 1, 1)]


def test_a_file_that_was_cut_short_is_made_again(residual):
    one = subject(residual, residual.samples[:2])
    path = calibrate_once(one)
    whole = path.read_text()
    for text in ("", whole[: len(whole) // 2], "{}", '{"data": {}}'):
        path.write_text(text)
        assert calibrate_once(one) == path
        assert json.loads(path.read_text()) == json.loads(whole)


def test_other_samples_or_another_model_are_another_subject(residual, branches, tmp_path):
    same = Prepared(models.residual(), tmp_path, "visit_of")
    assert subject(same, residual.samples).fingerprint == subject(residual).fingerprint
    changed = [{"x": feeds["x"] + np.float32(1e-3)} for feeds in residual.samples]
    prints = {
        subject(residual).fingerprint,
        subject(residual, changed).fingerprint,
        subject(residual, residual.samples[::-1]).fingerprint,
        subject(branches).fingerprint,
    }
    assert len(prints) == 4


@pytest.mark.parametrize("errors", [{}, {"conv": [0.5]}])
def test_what_the_file_says_was_taken_is_told_of_the_devices_that_asked(errors, tmp_path):
    path = tmp_path / "ranges.json"
    save_ranges({"x": (0.0, 2.0)}, path, {BEST: {"x": (0.0, 1.0)}}, {BEST: MSE})
    save_bias_errors(path, {False: errors})
    schemes = {"a": Scheme(), "b": Scheme(ranges=RangeMethod.BEST), "c": Scheme(bias_correction=True)}
    assert calibration_choices(schemes, path, ROUNDED) == (
        CalibrationChoice(device="b", wanted_ranges=RangeMethod.BEST, ranges=RangeMethod.MSE),
        CalibrationChoice(
            device="c",
            wanted_ranges=RangeMethod.MINMAX,
            ranges=RangeMethod.MINMAX,
            corrects_biases=bool(errors),
        ),
    )


def test_a_method_that_was_asked_for_is_the_one_that_was_taken(tmp_path):
    save_ranges({"x": (0.0, 2.0)}, tmp_path / "r.json", {MSE: {"x": (0.0, 1.0)}})
    (choice,) = calibration_choices({"a": Scheme(ranges=RangeMethod.MSE)}, tmp_path / "r.json", ROUNDED)
    assert choice.ranges is RangeMethod.MSE
