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
