"""A sample of the onnx package's own models; benchmarks/coverage.py takes all of them."""

import functools
import random

import pytest
from onnx_cases import DIFFERS, FAILED, NOT_RUN, PASSED, Case, Verdict, node_cases, verdict_apart

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
_PLACES = range(len(_ALWAYS) + _SAMPLE)


@functools.cache
def chosen() -> list[Case]:
    """Return the cases, made when the first test runs: that takes seconds, in each process that collects."""
    known = {case.name: case for case in node_cases()}
    return [known[name] for name in (*_ALWAYS, *random.Random(18).sample(sorted(known), _SAMPLE))]


@functools.cache
def verdict_at(place: int) -> Verdict:
    return verdict_apart(chosen()[place])


@pytest.mark.parametrize("place", _PLACES)
def test_a_model_of_the_onnx_package_gets_through_with_its_numbers(place):
    verdict = verdict_at(place)
    assert verdict.result not in (FAILED, DIFFERS), f"{verdict.name}: {verdict.reason}"


def test_most_of_them_are_planned():  # of all, 97 % (benchmarks/coverage.py)
    results = [verdict_at(place).result for place in _PLACES[::3]]
    assert results.count(PASSED) >= 0.8 * (len(results) - results.count(NOT_RUN))
