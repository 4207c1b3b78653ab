import msgspec
import pytest

from planner.conversion.request import ORDER, ConversionRequest, SourceKind, read_request


def order(kind: SourceKind, target: str, **more) -> ConversionRequest:
    return ConversionRequest(kind=kind, target=target, opset=17, **more)


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
    (tmp_path / ORDER).write_bytes(msgspec.json.encode(asked))
    assert read_request(tmp_path) == asked
