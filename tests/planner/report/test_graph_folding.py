import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.report.graph_folding import MOST_DRAWN, fold

MANY = 200


def chain(count: int) -> list[tuple[int, int]]:
    return [(n, n + 1) for n in range(count - 1)]


def test_few_units_stand_for_themselves():
    names = [f"a/b/{n}" for n in range(MOST_DRAWN)]
    blocks = fold(range(MOST_DRAWN), names, ["one"] * MOST_DRAWN, chain(MOST_DRAWN))
    assert [block.name for block in blocks] == names
    assert [block.units for block in blocks] == [range(n, n + 1) for n in range(MOST_DRAWN)]


def test_many_units_are_blocks_of_their_layers_without_what_all_share():
    names = [f"net/layer_{n // 50}/part_{n % 50}/op" for n in range(MANY)]
    blocks = fold(range(MANY), names, ["one"] * MANY, chain(MANY))
    assert [block.name for block in blocks] == [f"layer_{n}" for n in range(4)]


def test_a_unit_without_a_layer_belongs_to_that_of_its_neighbour():
    names = [f"net/layer_{n // 50}/op" if n % 7 else f"Reshape__{n}" for n in range(MANY)]
    blocks = fold(range(MANY), names, ["one"] * MANY, chain(MANY))
    # 0 has none before it; 150 is no multiple of 7, nor are 50 and 100.
    assert [block.units for block in blocks] == [range(n, n + 50) for n in range(0, MANY, 50)]


def test_a_block_is_of_one_device():
    names = [f"net/layer_{n // 50}/op" for n in range(MANY)]
    devices = ["one"] * 70 + ["two"] * 130
    blocks = fold(range(MANY), names, devices, chain(MANY))
    assert [block.units for block in blocks] == [
        range(50), range(50, 70), range(70, 100), range(100, 150), range(150, 200),
    ]  # fmt: skip


def test_names_that_say_nothing_give_blocks_that_end_where_little_passes():
    edges = [*chain(MANY), *((n, n + 2) for n in range(MANY - 2) if n % 18 not in (16, 17))]
    blocks = fold(range(MANY), [f"Conv_{n}" for n in range(MANY)], ["one"] * MANY, edges)
    assert [block.units.start % 18 for block in blocks[:-1]] == [0] * (len(blocks) - 1)
    assert blocks[1].name == f"units {blocks[1].units[0]} to {blocks[1].units[-1]}"


@pytest.mark.parametrize("count", [65, 557, 3000])
@settings(deadline=None)
@given(data=st.data())
def test_blocks_are_all_units_once_in_order_and_few(count, data):
    depth = data.draw(st.integers(0, 4))
    period = data.draw(st.integers(1, 60))
    names = [
        "/".join(f"{n // period ** (d + 1)}" for d in reversed(range(depth))) + f"/{n}" for n in range(count)
    ]
    switch = data.draw(st.integers(1, count))
    devices = [("one", "two")[n // switch % 2] for n in range(count)]
    blocks = fold(range(count), names, devices, chain(count))
    assert [unit for block in blocks for unit in block.units] == list(range(count))
    assert 2 <= len(blocks) <= 64
