import pytest

from planner.devices.tried_precisions import TriedPrecision, tried_precisions_text
from profiling.precision import Precision


def row(device: str, precision: Precision, left_out: str = "") -> TriedPrecision:
    return TriedPrecision(
        device=device,
        precision=precision,
        units=3,
        ratio_to_fp32=1.0,
        noise_relative_rms=0.01,
        weight_bytes=9,
        left_out=left_out,
    )


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([], ""),
        ([row("a", Precision.FP32)], "precisions tried: fp32; left out: none"),
        (
            [row("a", Precision.INT16, "slow"), row("b", Precision.INT16)],
            "precisions tried: int16; left out: int16 on a (slow)",
        ),
        (
            [row("a", Precision.INT16, "slow"), row("b", Precision.FLOAT16, "no gain")],
            "precisions tried: int16, float16; left out: int16 on a (slow), float16 on b (no gain)",
        ),
    ],
)
def test_a_sentence_names_what_is_left_out_where_and_why(rows, text):
    assert tried_precisions_text(rows) == text
