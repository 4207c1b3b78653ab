import json

import models
import numpy as np
from prepared_models import Prepared

from planner.inputs.calibrated_model import CalibratedModel, calibrate_once
from planner.inputs.dataset import Dataset
from profiling.onnx_runtime_model import OnnxRuntimeModel
from profiling.quantization.ranges_file import read_ranges


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
