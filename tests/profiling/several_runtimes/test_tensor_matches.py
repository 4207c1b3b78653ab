import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiling.several_runtimes.tensor_matches import have_equal_values, match_tensors


def values(shape, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(1, *shape)).astype(np.float32) for _ in range(3)]


def moved(tensor, axes):
    return [np.transpose(one, axes) for one in tensor]


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=4).filter(lambda shape: np.prod(shape) > 1),
    st.booleans(),
    st.integers(0, 99),
)
def test_moved_axes_are_found_and_give_the_other_tensor(shape, channels_last, seed):
    own = values(shape, seed)
    rank = len(shape) + 1
    there = (0, *range(2, rank), 1) if channels_last else (0, rank - 1, *range(1, rank - 1))
    axes = there if rank > 2 else tuple(range(rank))
    found = match_tensors({"first": moved(own, axes)}, {"own": own})["first"]
    assert found.name == "own"
    for one, other in zip(own, moved(own, axes), strict=True):
        np.testing.assert_array_equal(np.transpose(one, found.axes), other)


@given(st.permutations(range(5)), st.permutations(range(5)), st.sampled_from([1e-4, 5e-4]))
def test_tensors_that_are_nearly_alike_are_paired_with_their_own_in_any_order(one, other, step):
    exact = values((4, 6))
    alike = {number: [t * (1 + step * number) for t in exact] for number in range(5)}
    rounded = {n: [(t * (1 + 1e-7)).astype(np.float32) for t in alike[n]] for n in alike}
    found = match_tensors({f"first{n}": alike[n] for n in one}, {f"other{n}": rounded[n] for n in other})
    assert {name: own.name for name, own in found.items()} == {f"first{n}": f"other{n}" for n in range(5)}


def test_what_only_one_model_has_takes_nobodys_partner():
    exact = values((4, 6))
    nearly = [one * (1 + 2e-4) for one in exact]
    found = match_tensors({"nearly": nearly, "exact": exact}, {"other": exact})
    assert {name: own.name for name, own in found.items()} == {"exact": "other"}


def test_of_equal_tensors_the_earliest_are_paired():
    exact = values((4, 6))
    found = match_tensors(dict.fromkeys("abc", exact), dict.fromkeys("xy", exact))
    assert {name: own.name for name, own in found.items()} == {"a": "x", "b": "y"}


@pytest.mark.parametrize("content", [np.zeros, np.ones, lambda shape: np.full(shape, np.nan)])
def test_a_constant_or_what_is_not_finite_is_no_proof(content):
    tensor = [content((1, 4, 4)).astype(np.float32)] * 2
    assert match_tensors({"first": tensor}, {"other": tensor}) == {}


def test_rounding_is_equal_and_other_values_are_not():
    exact = values((8,))
    assert have_equal_values(exact, [one * (1 + 1e-6) for one in exact])
    assert not have_equal_values(exact, [one * 1.01 for one in exact])
    assert have_equal_values([np.full(3, np.nan)], [np.full(3, np.nan)])
