"""YAML from outside costs no more than its bounds allow."""

import pytest
from ruamel.yaml.error import YAMLError

from planner.scenario.yaml_text import load_yaml


def aliases(levels: int, copies: int, text: str = "[{}]") -> str:
    """Return a text that is short, and long with every alias written out."""
    lines = ["a0: &a0 [x]"]
    for level in range(1, levels):
        inside = ", ".join([f"*a{level - 1}"] * copies)
        lines.append(f"a{level}: &a{level} {text.format(inside)}")
    return "\n".join(lines)


def merges(levels: int, copies: int) -> str:
    return aliases(levels, copies, "{{<<: [{}]}}").replace("[x]", "{x: 1}")


def test_values_are_those_of_the_text():
    assert load_yaml("a: &x [1, 2.5, null]\nb: *x\nc: {d: yes}") == {
        "a": [1, 2.5, None],
        "b": [1, 2.5, None],
        "c": {"d": "yes"},
    }
    assert load_yaml("") is None


@pytest.mark.parametrize("text", [aliases(9, 10), merges(9, 10)], ids=["lists", "merged mappings"])
def test_aliases_that_multiply_are_refused_before_they_are_written_out(text):
    with pytest.raises(YAMLError, match="with every alias written out it holds more than 100000 values"):
        load_yaml(text)


def test_a_few_aliases_are_no_fault():
    assert len(load_yaml(aliases(4, 10))["a3"]) == 10


@pytest.mark.parametrize("levels", [65, 100_000])
def test_deep_nesting_is_refused(levels):
    with pytest.raises(YAMLError, match="nested more than 64 levels deep"):
        load_yaml("[" * levels + "]" * levels)


def test_an_alias_makes_what_it_names_deeper():
    low = "[" * 40 + "]" * 40
    with pytest.raises(YAMLError, match="nested more than 64 levels deep"):
        load_yaml(f"a: &a {low}\nb: {'[' * 30}*a{']' * 30}")


@pytest.mark.parametrize("text", ["a: " + "9" * 5000, "a: 2020-99-99", "? [a, {b: c}]\n: 1"])
def test_what_no_value_can_hold_is_no_yaml(text):
    with pytest.raises(YAMLError):
        load_yaml(text)


@pytest.mark.parametrize("number", ["0x" + "f" * 9000, "0b" + "1" * 30000, "1" * 4000])
@pytest.mark.parametrize("text", ["a: {}", "? {}\n: 1", "a: [1, {{b: {}}}]"])
def test_a_number_of_too_many_digits_is_refused_in_every_base(number, text):
    with pytest.raises(YAMLError, match="too many digits"):
        load_yaml(text.format(number))
