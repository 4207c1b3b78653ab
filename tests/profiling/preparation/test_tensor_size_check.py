"""A tensor that no memory holds is refused by name before anything is allocated."""

import numpy as np
import pytest
from text_models import make, weight

from profiling.available_memory import available_bytes
from profiling.errors import ModelError
from profiling.preparation.tensor_size_check import refuse_too_large

_SIDE = 2**20  # a square of it takes 4 TiB in float32


def test_a_model_that_fits_passes():
    refuse_too_large(make("(float[2, 6] x) => (float[2, 5] y) { y = MatMul (x, w) }", {"w": weight(6, 5)}))


@pytest.mark.parametrize(
    ("text", "tensor"),
    [
        (
            f"(float[{_SIDE}, 1] x, float[1, {_SIDE}] z) => (float y) {{ h = Add (x, z) y = Relu (h) }}",
            "h",
        ),
        (f"(float[{_SIDE}, {_SIDE}] x) => (float[a, b] y) {{ y = ReduceSum (x) }}", "x"),
        ("(float[1, 1] x) => (float[a, b] y) { y = Expand (x, s) }", "y"),
    ],
    ids=["inner", "input", "output"],
)
def test_a_tensor_that_does_not_fit_is_named_with_its_size(text, tensor):
    model = make(text, {"s": np.array([_SIDE, _SIDE])} if "s)" in text else {})
    assert available_bytes() < 4 * 2**40
    with pytest.raises(
        ModelError, match=f"tensor '{tensor}' takes {4 * 2**20} MiB, more than the free memory"
    ):
        refuse_too_large(model)


def test_a_size_that_only_runs_show_passes():
    refuse_too_large(make("(float[1, 1] x, int64[2] s) => (float[a, b] y) { y = Expand (x, s) }", {}))
