import msgspec
import numpy as np
import pytest

from planner.conversion.request import (
    ORDER,
    ConversionRequest,
    IntegerType,
    OnnxForm,
    SourceKind,
    TfliteForm,
    TfliteQuantization,
    read_request,
    read_samples,
    write_samples,
)


def order(kind: SourceKind, target: str, **more) -> ConversionRequest:
    return ConversionRequest(kind=kind, target=target, form=OnnxForm(opset=17), **more)


@pytest.mark.parametrize(
    ("kind", "target", "shown"),
    [
        (SourceKind.APPLICATION, "MobileNetV2", "keras:MobileNetV2"),
        (SourceKind.OBJECT, "/some/where/module:make", "module:make"),
        (SourceKind.KERAS, "/some/where/net.keras", "/some/where/net.keras"),
        (SourceKind.TFLITE, "/some/where/net.tflite", "/some/where/net.tflite"),
    ],
)
def test_messages_call_the_source_as_the_scenario_does(kind, target, shown):
    assert order(kind, target).shown == shown


def test_an_order_is_read_as_it_was_written(tmp_path):
    asked = order(
        SourceKind.OBJECT,
        "m:f",
        weights="imagenet",
        arguments={"alpha": 0.5, "deep": [1, {"a": None}]},
        custom_objects="o:c",
        signature="s",
        input_shapes={"x": (1, 8, 8, 3)},
    )
    tflite = msgspec.structs.replace(
        asked, form=TfliteForm(quantization=TfliteQuantization.INTEGER_ONLY, integer_type=IntegerType.UINT8)
    )
    for request in (asked, tflite):
        (tmp_path / ORDER).write_bytes(msgspec.json.encode(request))
        assert read_request(tmp_path) == request


def test_samples_are_read_as_they_were_written(tmp_path):
    samples = [{"a": np.full((1, 2), n), "file": np.array([n], np.int64)} for n in range(3)]
    write_samples(tmp_path / "samples.npz", samples)
    for one, other in zip(read_samples(tmp_path / "samples.npz"), samples, strict=True):
        assert one.keys() == other.keys()
        assert all(np.array_equal(one[name], other[name]) for name in one)
