"""What is told of a conversion without TensorFlow; with it, see test_end_to_end.py."""

from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest

from planner.conversion import cached_conversion as module
from planner.conversion.cached_conversion import convert
from planner.conversion.provenance import ConvertedFrom
from planner.conversion.request import ConversionRequest, OnnxForm, SourceKind
from planner.inputs.dataset import Input
from planner.report.tables.plan_tables import conversion_lines
from profiling.errors import ModelError


def test_a_missing_extra_is_named(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(module, "version", missing)
    with pytest.raises(ModelError, match=r"needs tensorflow, .* pip install 'splitquant\[tensorflow\]'"):
        convert(ConversionRequest(kind=SourceKind.APPLICATION, target="MobileNet", form=OnnxForm(opset=17)))


def test_a_sample_with_its_channels_last_is_put_in_the_model_s_layout():
    wanted = Input("image", "float32", (1, 3, 5, 4), channels_last=True)
    own = np.arange(60, dtype=np.float32).reshape(5, 4, 3)
    for value in (own, own[None]):
        np.testing.assert_array_equal(wanted.with_batch(value), own.transpose(2, 0, 1)[None])
    first = np.ascontiguousarray(own.transpose(2, 0, 1))
    np.testing.assert_array_equal(wanted.with_batch(first), first[None])
    plain = Input("image", "float32", (1, 3, 5, 4))
    assert plain.with_batch(own).shape == (1, 5, 4, 3)


def test_the_table_tells_what_was_converted_and_how_well():
    made = ConvertedFrom(
        source="keras:MobileNet",
        opset=17,
        versions={"keras": "3.15"},
        notes=("weights are random",),
        channels_first=("image",),
        max_abs_difference=1.234e-6,
        relative_rms_difference=2e-6,
        samples=4,
        data="calibration samples",
    )
    first, second, third = conversion_lines(made)
    assert first.startswith(
        "converted from keras:MobileNet to opset 17 (keras 3.15); on 4 calibration samples"
    )
    assert "at most 1.2e-06" in first
    assert "image" in second
    assert third == "weights are random"
    assert conversion_lines(None) == []


def test_a_source_is_shown_by_what_its_user_wrote():
    assert (
        ConversionRequest(kind=SourceKind.APPLICATION, target="MobileNet", form=OnnxForm(opset=17)).shown
        == "keras:MobileNet"
    )
    assert (
        ConversionRequest(kind=SourceKind.OBJECT, target="/a/b/models:net", form=OnnxForm(opset=17)).shown
        == "models:net"
    )
