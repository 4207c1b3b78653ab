"""Noise of one source at taps and outputs."""

import numpy as np
import pytest

from profiling.noise.noise_pair import NO_NOISE, NoiseEnds, NoisePair, tap_over_output
from profiling.noise.noise_taps import Tap


def test_a_source_behind_the_taps_counts_as_its_power_at_the_outputs_there():
    assert NoisePair(0.5, 0.1).summable(7.0) == 0.5
    assert NoisePair(0.0, 0.1).summable(7.0) == pytest.approx(0.7)


def test_a_shift_that_a_softmax_ignores_is_no_noise_at_its_tap():
    ends = NoiseEnds((Tap("z", axis=-1),), (Tap("p"),))
    exact = [{"z": np.array([[1.0, -1.0]]), "p": np.array([[0.8, 0.2]])}]
    shifted = [{"z": exact[0]["z"] + 3, "p": exact[0]["p"] * np.array([[1.1, 1.0]])}]
    found = ends.noise(shifted, exact)
    assert found.tap == 0
    assert found.output == pytest.approx(0.08**2 / (0.8**2 + 0.2**2))
    assert ends.tensors == ("z", "p")


def test_the_ratio_is_the_median_of_sources_that_are_seen_at_both():
    seen = [NoisePair(2.0, 1.0), NoisePair(3.0, 1.0), NoisePair(100.0, 1.0)]
    assert tap_over_output([*seen, NO_NOISE, NoisePair(0.0, 5.0)]) == 3.0
    assert tap_over_output([NO_NOISE]) == 1.0
