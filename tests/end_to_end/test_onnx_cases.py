"""A sample of the onnx package's own models; benchmarks/coverage.py takes all of them."""

import functools
import random

import pytest
from onnx_cases import DIFFERS, FAILED, NOT_RUN, PASSED, Verdict, node_cases, verdict_apart

_SAMPLE = 60
# Of the kinds that once failed, one each.
_ALWAYS = (
    "test_affine_grid_2d_expanded",
    "test_attention_4d_causal_nonpad_attn_mask_composition_expanded",
    "test_center_crop_pad_crop",
    "test_gemm_all_attributes",
    "test_reduce_l1_default_axes_keepdims_example",
    "test_resize_downsample_scales_cubic",
    "test_scan_sum",
    "test_split_to_sequence_1",
    "test_string_split_basic",
)
_KNOWN = {case.name: case for case in node_cases()}
_CHOSEN = sorted({*_ALWAYS, *random.Random(18).sample(sorted(_KNOWN), _SAMPLE)})


@functools.cache
def verdict_of(name: str) -> Verdict:
    return verdict_apart(_KNOWN[name])


@pytest.mark.parametrize("name", _CHOSEN)
def test_a_model_of_the_onnx_package_gets_through_with_its_numbers(name):
    verdict = verdict_of(name)
    assert verdict.result not in (FAILED, DIFFERS), verdict.reason


def test_most_of_them_are_planned():  # of all, 97 % (benchmarks/coverage.py)
    results = [verdict_of(name).result for name in _CHOSEN[::3]]
    assert results.count(PASSED) >= 0.8 * (len(results) - results.count(NOT_RUN))
