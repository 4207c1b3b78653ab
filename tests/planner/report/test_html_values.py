import json
import re

import pytest
from markupsafe import Markup

from planner.report.html_values import FormattedValues, join

RECORD = {
    "a": {"b": [0.0123456, 1234567, None, "<b>&"]},
    "share": 0.98765,
    "tiny": 1.5e-7,
}
TOLD = FormattedValues(RECORD)


@pytest.mark.parametrize(
    ("kind", "path", "shown"),
    [
        ("ms", ("a", "b", 0), "12.35 ms"),
        ("ms", ("tiny",), "0.1 µs"),
        ("ms", ("a", "b", 1), "1234567.000 s"),
        ("rate", ("share",), "0.9877 /s"),
        ("s", ("a", "b", 0), "0.01 s"),
        ("mJ", ("a", "b", 0), "12.3 mJ"),
        ("ratio", ("share",), "0.988"),
        ("noise", ("share",), "0.9877"),
        ("scientific", ("tiny",), "1.50e-07"),
        ("percent", ("share",), "98.77%"),
        ("size", ("a", "b", 1), "1.18 MiB"),
        ("significant4", ("tiny",), "1.5e-07"),
        ("count", ("a", "b", 1), "1234567"),
        ("text", ("a", "b", 3), "&lt;b&gt;&amp;"),
    ],
)
def test_a_value_is_rounded_for_people_and_carries_its_place_and_all_its_digits(kind, path, shown):
    element = TOLD(kind, *path)
    place, exact, text = re.fullmatch(
        r'<span data-path="(.*?)" data-value="(.*?)">(.*)</span>', element
    ).groups()
    own = RECORD
    for step in path:
        own = own[step]
    assert json.loads(Markup(place).unescape()) == list(path)
    assert json.loads(Markup(exact).unescape()) == own
    assert text == shown


def test_what_is_not_there_is_a_dash():
    assert TOLD("ms", "a", "b", 2) == "-"


def test_an_error_that_json_cannot_hold_is_infinite():
    element = TOLD.unbounded("noise", "a", "b", 2)
    assert Markup(element).striptags() == "infinite"
    assert 'data-value="null"' in element
    assert TOLD.unbounded("noise", "share") == TOLD("noise", "share")


def test_a_place_that_the_record_has_not_is_a_fault_of_the_page():
    with pytest.raises(KeyError):
        TOLD("ms", "a", "c")


def test_texts_are_joined_with_their_markup_kept_and_foreign_text_escaped():
    text = join([TOLD("ratio", "share"), "<i>"])
    assert text.startswith("<span ")
    assert text.endswith("</span>, &lt;i&gt;")
