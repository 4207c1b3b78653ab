"""Noise of MobileNetV2, trained on ImageNet, on pictures."""

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
pytest.importorskip("litert_quantizer", reason="the extra litert is not installed")
from float_tflite import float_copy
from PIL import Image
from tflite_noise import NoiseCase, shares_that_are_close

from profiling.litert.load import parse_litert
from profiling.litert.modes import DYNAMIC_INT8, FLOAT16, INT8, INT16, WEIGHT_INT8
from profiling.litert.unit_graph import build_litert_graph

SIDE, EDGE, PICTURES, RECIPES = 224, 16, 4, 16
ALL = (INT8, INT16, DYNAMIC_INT8, WEIGHT_INT8, FLOAT16)


def picture(path):
    """Return a picture's centre in -1 to 1, as one sample."""
    with Image.open(path) as opened:
        pixels = np.asarray(opened.convert("RGB"), np.float32)
    return (pixels[EDGE : EDGE + SIDE, EDGE : EDGE + SIDE] / 127.5 - 1)[None]


@pytest.mark.parametrize(
    ("jitter", "modes", "least"),
    # Errors of weights are the same for every picture, so that those of several units need not add up.
    [(0, (INT8,), 0.9), (0.5, (INT8,), 0.4), (0.5, ALL, 0.4)],
    ids=["activations", "int8", "all modes"],
)
def test_noise_sums_to_that_of_mixed_models(shared_data, record_property, jitter, modes, least):
    (path,) = (shared_data / "mobilenetv2_100_224").glob("*.tflite")
    graph = build_litert_graph(parse_litert(float_copy(path.read_bytes(), jitter), "MobileNetV2"))
    folder = shared_data / "imagenet_sample" / "images"
    pictures = sorted(found for found in folder.rglob("*") if found.suffix.lower() in (".jpg", ".jpeg"))
    chosen = pictures[:: len(pictures) // PICTURES][:PICTURES]
    case = NoiseCase(graph, [{key: picture(one) for key in graph.model.inputs} for one in chosen], modes)
    ratios = [case.summed_over_measured(seed) for seed in range(RECIPES)]
    raw, gained = shares_that_are_close(ratios)
    record_property(
        "sum over truth", f"{raw:.2f} and {gained:.2f} close; {min(ratios):.2f} to {max(ratios):.2f}"
    )
    assert raw >= least
    assert gained >= 0.6
