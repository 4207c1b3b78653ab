"""Text from outside is shown in one line, without characters that steer a terminal."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiling.printable_text import first_line, one_line, reason, shown


@given(st.text(alphabet=st.characters(codec=None)))
def test_no_character_steers_a_terminal(text):
    assert all(unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} for c in shown(text))


@given(st.text(max_size=5000), st.integers(min_value=20, max_value=600))
def test_a_line_is_one_line_and_short(text, most):
    line = one_line(text, most)
    assert len(line) <= most
    assert len(line.splitlines()) <= 1


@pytest.mark.parametrize("text", ["é 中 €", "conv[0]/relu:0", r"a\b", "a\u00a0b"])
def test_what_prints_stays(text):
    assert shown(text) == text


def test_escapes_say_what_was_there():
    assert shown("a\x1b[31m\n\x9b\u202e\u2028\ud800\x7f") == r"a\x1b[31m\n\x9b\u202e\u2028\ud800\x7f"


def test_a_long_line_keeps_its_ends():
    line = one_line("begin" + "x" * 5000 + "end")
    assert line.startswith("beginxx")
    assert line.endswith("xxend")
    assert " ... " in line


class SilentError(Exception):
    def __str__(self) -> str:
        raise KeyboardInterrupt


@pytest.mark.parametrize(("exc", "text"), [(SilentError(), "SilentError"), (ValueError(), "ValueError")])
def test_an_exception_without_words_is_named(exc, text):
    assert reason(exc) == text


def test_an_exception_is_told_in_one_line():
    assert reason(ValueError("one\ntwo\x1b")) == r"one\ntwo\x1b"


@given(st.text())
def test_the_first_line_of_an_exception_is_one_line_and_never_empty(text):
    line = first_line(ValueError(text))
    assert line
    assert len(line.splitlines()) == 1
    assert line in (text.strip().splitlines() or ["ValueError"])
