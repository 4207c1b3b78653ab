import pytest
from onnx import parser

from profiling.on_device.create_session import (
    create_session,
    session_options,
    trace_into,
    zero_feeds,
)
from profiling.on_device.runtime_session import session_runner
from profiling.runtime.open_session import Runtime, open_session

HEADER = '<ir_version: 8, opset_import: ["" : 17]> '


def test_options_are_those_of_one_request_at_a_time(tmp_path):
    options = session_options(3)
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert not options.enable_profiling
    trace_into(options, None, None)
    assert not options.enable_profiling
    trace_into(options, tmp_path / "run", tmp_path / "optimized.onnx")
    assert options.enable_profiling
    assert options.optimized_model_filepath == str(tmp_path / "optimized.onnx")


def test_zeros_have_the_shapes_and_types_of_the_inputs():
    text = (
        f"{HEADER} g (float[2, 3] a, float16[4] b, uint8[1] c) => (float[2, 3] x, float16[4] y, uint8[1] z) "
        "{ x = Identity (a) y = Identity (b) z = Identity (c) }"
    )
    session = open_session(parser.parse_model(text), Runtime())
    feeds = zero_feeds(session)
    assert {name: (value.shape, value.dtype.name) for name, value in feeds.items()} == {
        "a": ((2, 3), "float32"),
        "b": ((4,), "float16"),
        "c": ((1,), "uint8"),
    }
    assert [value.any() for value in session_runner(session, feeds)()] == [False] * 3


def test_a_provider_that_fails_is_not_replaced_by_the_cpu():
    """The runtime would print so and go on; here options that are no mapping make it fail."""
    model = parser.parse_model(f"{HEADER} g (float[2] x) => (float[2] y) {{ y = Relu (x) }}")
    with pytest.raises(ValueError, match="providers"):
        create_session(model.SerializeToString(), session_options(1), ("CPUExecutionProvider", 3))
