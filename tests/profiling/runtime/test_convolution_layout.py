"""Whether convolutions compute in the blocked layout is found by opening one."""

import onnx
import pytest
from text_models import make, weight

from profiling.errors import ModelError
from profiling.runtime.convolution_layout import has_blocked_layout
from profiling.runtime.open_session import Runtime, Trace, open_session


def test_what_the_probe_says_holds_for_other_convolutions(tmp_path):
    text = "(float[1, 32, 9, 9] x) => (float[1, 48, 7, 7] y) { y = Conv (x, w) }"
    path = tmp_path / "optimized.onnx"
    open_session(make(text, {"w": weight(48, 32, 3, 3)}), Runtime(), trace=Trace(optimized_model=path))
    domains = {node.domain for node in onnx.load(path).graph.node}
    assert has_blocked_layout(Runtime()) == ("com.microsoft.nchwc" in domains)


def test_a_provider_that_is_missing_is_said():
    with pytest.raises(ModelError, match="has no NoSuchProvider"):
        has_blocked_layout(Runtime(provider="NoSuchProvider"))
