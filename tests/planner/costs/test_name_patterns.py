from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.costs.name_patterns import values_by_name
from planner.errors import ScenarioError

NAMES = ["a", "b", "a/1", "a/2", "b/1", "a[1]", "a1", "*"]


def test_a_pattern_is_of_every_name_that_it_matches():
    assert values_by_name("k", {"a/*": 1, "b?1": 2}, NAMES) == {"a/1": 1, "a/2": 1, "b/1": 2}
    assert values_by_name("k", {}, NAMES) == {}
    assert values_by_name("k", {"[ab]": 1}, NAMES) == {"a": 1, "b": 1}


@pytest.mark.parametrize("order", [1, -1])
def test_a_name_counts_more_than_patterns_however_they_are_ordered(order):
    by_pattern = dict(list({"a/*": "server", "?/1": "server", "a/1": "phone"}.items())[::order])
    assert values_by_name("k", by_pattern, NAMES) == {"a/1": "phone", "a/2": "server", "b/1": "server"}


def test_patterns_may_differ_over_a_name_that_is_named_itself():
    by_pattern = {"a/*": "server", "?/1": "gateway", "a/1": "phone"}
    assert values_by_name("k", by_pattern, NAMES) == {"a/1": "phone", "a/2": "server", "b/1": "gateway"}


def test_a_name_that_looks_like_a_pattern_is_a_name():
    assert values_by_name("k", {"a[1]": "phone"}, NAMES) == {"a[1]": "phone"}
    assert values_by_name("k", {"*": "phone"}, NAMES) == {"*": "phone"}
    assert values_by_name("k", {"a[1]": "phone", "a?": "server"}, NAMES) == {"a[1]": "phone", "a1": "server"}


def test_case_counts():
    with pytest.raises(ScenarioError, match="nothing is named 'A'"):
        values_by_name("k", {"A": 1}, NAMES)


def test_patterns_that_say_different_things_of_a_name_are_refused():
    with pytest.raises(
        ScenarioError, match=r"^placement.pin: '\?/1' and another .* different things of 'a/1'"
    ):
        values_by_name("placement.pin", {"a/*": "server", "?/1": "phone"}, NAMES)
    assert values_by_name("k", {"a/*": 1, "?/2": 1}, NAMES) == {"a/1": 1, "a/2": 1}


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("conv_1", "did you mean 'conv1'"),
        ("qqq", "plan inspect --json lists the units"),
        ("x/*", "plan inspect"),
    ],
)
def test_a_pattern_that_matches_nothing_is_told_with_what_may_be_meant(pattern, hint):
    with pytest.raises(ScenarioError, match=hint):
        values_by_name("placement.pin", {pattern: "a"}, ["conv1", "conv2", "pool"])


PATTERNS = st.sampled_from(["a", "a/1", "a[1]", "a*", "?/1", "[ab]", "b*", "*1"])


@given(st.dictionaries(PATTERNS, st.integers(0, 1), max_size=4))
def test_every_name_has_the_value_of_itself_or_of_all_its_patterns(by_pattern):
    said = {
        name: {by_pattern[name]}
        if name in by_pattern
        else {value for p, value in by_pattern.items() if p not in NAMES and fnmatchcase(name, p)}
        for name in NAMES
    }
    if any(len(values) > 1 for values in said.values()):
        with pytest.raises(ScenarioError, match="different things"):
            values_by_name("k", by_pattern, NAMES)
    else:
        found = values_by_name("k", by_pattern, NAMES)
        assert found == {name: values.pop() for name, values in said.items() if values}


def test_all_names_that_there_are_not_are_reported_with_what_was_meant():
    names = ["dense/MatMulAddFusion", "relu", "conv1"]
    with pytest.raises(ScenarioError) as raised:
        values_by_name("key", {"dense": 1, "relo": 2, "conv*": 3, "other": 4}, names)
    assert str(raised.value) == (
        "key: nothing is named 'dense' (did you mean 'dense/MatMulAddFusion'?), "
        "'relo' (did you mean 'relu'?), 'other'; plan inspect --json lists the units"
    )
    with pytest.raises(ScenarioError, match="nothing is named 'dense'; did you mean 'dense/MatMulAddFusion'"):
        values_by_name("key", {"dense": 1}, names)
