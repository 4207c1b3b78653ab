"""Gains at a block's end give each change the noise that running what lies behind it alone shows."""

import numpy as np
import pytest

from profiling.noise.block_end import PARTS, BlockEnd
from profiling.noise.noise_pair import NO_NOISE, NoisePair
from profiling.noise.noise_power import UNBOUNDED, noise_power

RNG = np.random.default_rng(0)
EXACT = [{"a": RNG.normal(size=(40, 8)), "b": RNG.normal(size=(40, 8))} for _ in range(2)]


def linear(rows):
    """Return outputs that depend on `a` a lot and on `b` a little, as nothing else does."""
    return [{"y": 3 * row["a"] + 0.1 * row["b"]} for row in rows]


class Behind:
    """Runs `linear` and counts."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(self, changes) -> NoisePair:
        self.runs += 1
        power = noise_power(linear(merged(EXACT, changes)), linear(EXACT))
        return NoisePair(power, 2 * power)


def merged(exact, changes):
    return [row | change for row, change in zip(exact, changes, strict=True)]


def changed(name: str, size: float, at=slice(None)):
    rows = [{name: row[name].copy()} for row in EXACT]
    for row in rows:
        row[name][at] += RNG.normal(0, size, row[name][at].shape)
    return merged(EXACT, rows)


def test_changes_have_the_noise_that_each_makes_alone():
    end = BlockEnd((10, 30), EXACT)
    changes = [changed("ab"[i % 2], 0.01 * (1 + i % 5)) for i in range(40)]
    for i, noisy in enumerate(changes):
        end.take(10 + i // 2, noisy)
    behind = Behind()
    for found, noisy in zip(end.noise(behind), changes, strict=True):
        alone = noise_power(linear(noisy), linear(EXACT))
        assert found.tap == pytest.approx(alone, rel=0.05)
        assert found.output == pytest.approx(2 * found.tap)
    assert behind.runs == PARTS * 2  # whatever the number of changes


def test_errors_that_undo_each_other_do_not_hide_the_noise_of_either():
    """Quantized together, the two would show nothing behind the end, and a gain of none or of one."""
    end = BlockEnd((0, PARTS), EXACT)
    there = changed("a", 0.1)
    back = [{"a": 2 * row["a"] - noisy["a"], "b": row["b"]} for row, noisy in zip(EXACT, there, strict=True)]
    third = changed("b", 0.1)
    for noisy in (there, back, third):
        end.take(0, noisy)
    alone = [noise_power(linear(noisy), linear(EXACT)) for noisy in (there, back, third)]
    for found, power in zip(end.noise(Behind()), alone, strict=True):
        assert found.tap == pytest.approx(power, rel=0.05)


def test_parts_of_a_block_have_gains_of_their_own():
    """Errors of the block's first units meet weights behind it that those of the last ones do not."""

    def behind(changes) -> NoisePair:
        rows = merged(EXACT, changes)
        first, exact = ([{"y": row["a"][:20]} for row in each] for each in (rows, EXACT))
        return NoisePair(power := noise_power(first, exact), power)

    end = BlockEnd((0, 8), EXACT)
    end.take(0, changed("a", 0.1, slice(20)))
    end.take(8, changed("a", 0.1, slice(20, None)))
    early, late = end.noise(behind)
    assert early.tap > 1e-4
    assert late == NO_NOISE


def test_an_infinite_error_stays_infinite_and_spoils_no_other():
    end = BlockEnd((0, 1), EXACT)
    noisy = changed("a", 0.1)
    end.take(0, noisy)
    end.take(0, merged(EXACT, [{"a": np.full_like(row["a"], np.inf)} for row in EXACT]))
    finite, infinite = end.noise(Behind())
    alone = noise_power(linear(noisy), linear(EXACT))
    assert finite.tap == pytest.approx(alone, rel=0.01)
    assert infinite.tap == infinite.output == UNBOUNDED


def test_a_change_that_does_not_reach_the_end_makes_no_noise():
    end = BlockEnd((0, 4), EXACT)
    end.take(1, [dict(row) for row in EXACT])
    assert end.noise(Behind()) == [NO_NOISE]


def test_a_tensor_of_zeros_has_the_noise_that_its_error_makes():
    zeros = [{"a": np.zeros((40, 8)), "b": row["b"]} for row in EXACT]
    end = BlockEnd((0, 1), zeros)
    noisy = merged(zeros, [{"a": RNG.normal(0, 0.1, (40, 8))} for _ in zeros])
    end.take(0, noisy)
    expected = noise_power(linear(noisy), linear(zeros))
    (found,) = end.noise(lambda c: NoisePair(p := noise_power(linear(merged(zeros, c)), linear(zeros)), p))
    assert found.tap == pytest.approx(expected, rel=0.01)


def test_a_tensor_of_another_shape_is_wrong_and_spoils_no_other():
    end = BlockEnd((0, 1), EXACT)
    noisy = changed("b", 0.1)
    end.take(0, merged(EXACT, [{"a": row["a"][:3]} for row in EXACT]))
    end.take(0, noisy)
    other, found = end.noise(Behind())
    assert other.tap > found.tap == pytest.approx(noise_power(linear(noisy), linear(EXACT)), rel=0.01)
