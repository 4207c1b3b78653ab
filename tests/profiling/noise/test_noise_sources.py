from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiling.noise.measure_noise import measure_noise
from profiling.noise.noise_sources import NoiseSources, largest_sources, with_better
from profiling.records.profile import NoiseProfile, ReadNoise, TensorNoise, UnitNoise

POWERS = st.lists(st.floats(0, 1), min_size=1, max_size=8)


def profile(tensors, units) -> NoiseProfile:
    return NoiseProfile(
        model_sha256="", runtime_version="", scheme="", samples=2,
        tensors=tuple(TensorNoise(f"x{n}", power) for n, power in enumerate(tensors)),
        units=tuple(UnitNoise(f"x{n}", power) for n, power in enumerate(units)),
    )  # fmt: skip


@given(POWERS, POWERS, st.integers(0, 20))
def test_the_largest_sources_are_those_with_most_power_of_tensors_and_units(tensors, units, count):
    chosen = largest_sources(profile(tensors, units), count)
    inside = [tensors[int(name[1:])] for name in chosen.tensors] + [
        units[int(name[1:])] for name in chosen.units
    ]
    expected = sorted((power for power in (*tensors, *units) if power > 0), reverse=True)[:count]
    assert sorted(inside, reverse=True) == expected


def test_only_what_was_measured_again_changes_and_what_is_left_to_round_keeps_its_share():
    first = replace(
        profile([0.1, 0.2], [0.3, 0.4]),
        tensors=(TensorNoise("x0", 0.1), TensorNoise("x1", 0.2, 0.01, written=0.05)),
        reads=(ReadNoise("x0", "x0", 0.1), ReadNoise("x0", "x1", 0.2)),
    )
    better = replace(
        first,
        samples=9,
        tensors=(TensorNoise("x1", 0.4, 0.02),),
        units=(UnitNoise("x0", 0.6),),
        reads=(ReadNoise("x0", "x1", 0.5),),
    )
    found = with_better(first, better)
    assert found == replace(
        first,
        tensors=(first.tensors[0], TensorNoise("x1", 0.4, 0.02, written=pytest.approx(0.1))),
        units=(UnitNoise("x0", 0.6), first.units[1]),
        reads=(first.reads[0], ReadNoise("x0", "x1", 0.5)),
    )


def test_some_sources_alone_have_the_noise_that_they_have_among_all(branches):
    every = measure_noise(branches.graph, branches.calibration, branches.samples)
    some = NoiseSources(frozenset({every.tensors[1].tensor}), frozenset({every.units[0].unit}))
    found = measure_noise(branches.graph, branches.calibration, branches.samples, None, some)
    assert found.tensors == (every.tensors[1],)
    assert found.units == (every.units[0],)
    assert with_better(every, found) == every
