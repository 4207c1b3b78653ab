from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Group
from terminal_text import printed

from planner.report.tables.table_style import line, new_table


def test_a_name_that_looks_like_markup_or_control_is_shown_as_it_is():
    table = new_table("[red]title", ("[bold]name",), ("n\x1b[31m",))
    table.add_row("[/] a\x07b", "[link=x]1")
    text = printed(table)
    for own in ("[red]title", "[bold]name", "[/] a", "[link=x]1"):
        assert own in text
    assert "\x1b" not in text
    assert "\x07" not in text
    assert printed(line("[blue]x\u202ey")).startswith("[blue]x")
    assert "\u202e" not in printed(line("[blue]x\u202ey"))


def test_text_stands_left_and_numbers_stand_right():
    table = new_table("t", ("name",), ("number",))
    table.add_row("a", "1")
    table.add_row("long name", "1234567")
    _, head, _, first, second = (row.rstrip() for row in printed(table).splitlines() if row.strip())
    assert head.index("name") == first.index("a") == second.index("long")
    assert len(first) == len(second) == len(head)


def test_an_empty_cell_is_empty():
    table = new_table("t", ("a", "b"), ("c",))
    table.add_row("x", None, "")
    assert printed(table).splitlines()[-2].split() == ["x"]


def test_a_long_cell_is_folded_not_cut():
    table = new_table("t", ("a",), ("b",))
    table.add_row("w" * 150, "1")
    assert printed(table, width=40).count("w") == 150


def test_a_name_that_does_not_fit_breaks_between_its_parts():
    text = printed(Group(line("tensor sequential/average_pooling2d/GlobalAveragePool")), width=30)
    assert [one.rstrip() for one in text.splitlines()] == [
        "tensor sequential/average_",
        "pooling2d/GlobalAveragePool",
    ]


def test_a_number_stays_with_its_unit():
    text = printed(Group(line("peak memory (208 MiB); it took 12.5 ms, 95 %")), width=17)
    assert [one.rstrip() for one in text.splitlines()] == [
        "peak memory",
        "(208 MiB); it",
        "took 12.5 ms,",
        "95 %",
    ]


@settings(deadline=None)
@given(st.text("ab/_. 1é世", max_size=60), st.integers(4, 30))
def test_wrapping_loses_nothing_but_spaces_and_no_line_is_too_wide(text, width):
    lines = printed(Group(line(text)), width=width).splitlines()
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(cell_len(one.rstrip()) <= width for one in lines)
