"""A plan's graph as boxes and lines: what each says, what crosses, and blocks of many units."""

import msgspec
import pytest
from made_graphs import made_graph, transformer_graph
from made_records import CUT

from planner.report.figure_style import colours_of, ink_on
from planner.report.graph_drawing import Drawing, PlacedGraph, graph_drawing
from profiling.precision import Precision

DEVICES = ("camera", "server")


def drawn(graph, devices, precisions=None, cuts=(), source="camera", sink="camera") -> Drawing:
    count = len(graph.units)
    seconds = [1e-4 * (n + 1) for n in range(count)]
    precisions = precisions or [Precision.FP32] * count
    return graph_drawing(graph, PlacedGraph(devices, precisions, seconds, cuts, source, sink), DEVICES)


def cut_of(tensor: str, size_bytes: int = 200_704, target: str = "server"):
    path = ("camera", "server") if target == "server" else ("server", "camera")
    return msgspec.structs.replace(
        CUT, tensor=tensor, size_bytes=size_bytes, source=path[0], target=target, path=path
    )


def units_of(drawing: Drawing) -> dict[int, object]:
    return {int(box.key.removeprefix("unit-")): box for box in drawing.boxes if box.key.startswith("unit-")}


def crossing(drawing: Drawing) -> list[str]:
    return [", ".join(box.label) for box in drawing.boxes if box.crosses]


@pytest.mark.parametrize("name", ["residual", "branches", "digits"])
def test_each_unit_is_a_box_in_its_devices_colour_with_its_operators_precision_and_time(request, name):
    graph = request.getfixturevalue(name).graph
    devices = [DEVICES[unit.index % 2] for unit in graph.units]
    precisions = [list(Precision)[unit.index % 3] for unit in graph.units]
    boxes = units_of(drawn(graph, devices, precisions))
    assert sorted(boxes) == [unit.index for unit in graph.units]
    for index, box in boxes.items():
        own = colours_of(DEVICES)[devices[index]]
        assert (box.fill, box.ink, box.precision) == (own, ink_on(own), precisions[index])
        assert box.label[0].startswith(f"{index} {graph.units[index].op_types[0]}")
        assert box.label[1].split(", ")[0] == precisions[index].value
    assert boxes[0].label[1].endswith(", 100 µs")


@pytest.mark.parametrize("name", ["residual", "branches", "digits"])
def test_what_reads_stands_below_what_it_reads(request, name):
    graph = request.getfixturevalue(name).graph
    boxes = units_of(drawn(graph, ["camera"] * len(graph.units)))
    for u, v in graph.dag.edges:
        assert boxes[u].centre[1] < boxes[v].centre[1]


def test_a_tensor_that_crosses_says_its_way_bytes_form_and_time(residual):
    graph = residual.graph
    devices = ["camera", "camera", "server", "server", "server"]
    drawing = drawn(graph, devices, cuts=(cut_of(graph.units[1].outputs[0]),), sink="server")
    assert crossing(drawing) == ["camera > server, 196.0 KiB uint8, 201 ms"]
    assert sum(line.crosses for line in drawing.lines) >= 2


def test_a_tensor_for_two_devices_is_named_for_each():
    graph = made_graph(["a", "b", "c"], [(0, 1), (0, 2), (1, 2)])
    cuts = tuple(
        msgspec.structs.replace(CUT, tensor="t0", target=target, path=("camera", target))
        for target in ("server", "hub")
    )
    placed = PlacedGraph(["camera", "server", "hub"], [Precision.FP32] * 3, [0.0] * 3, cuts, "camera", "hub")
    drawing = graph_drawing(graph, placed, ("camera", "server", "hub"))
    assert sorted(text.split(",")[0] for text in crossing(drawing)) == ["camera > hub", "camera > server"]


def test_nothing_crosses_where_a_tensor_stays_on_its_device(residual):
    graph = residual.graph
    drawing = drawn(graph, ["camera"] * 5, cuts=(cut_of(graph.units[1].outputs[0]),))
    assert crossing(drawing) == []
    assert not any(line.crosses for line in drawing.lines)


def test_an_input_that_crosses_to_its_reader_and_an_output_on_its_way_back_are_named(residual):
    graph = residual.graph
    cuts = (cut_of(graph.inputs[0], 512), cut_of(graph.outputs[0], 16, "camera"))
    drawing = drawn(graph, ["server"] * 5, cuts=cuts)
    assert crossing(drawing) == [
        "camera > server, 512 B uint8, 201 ms",
        "server > camera, 16 B uint8, 201 ms",
    ]
    ends = [box.label for box in drawing.boxes if not box.key and not box.crosses]
    assert ends == [("input x", "at camera"), ("output y", "to camera")]


def test_many_units_are_blocks_each_with_a_drawing_of_its_own():
    graph = transformer_graph()
    whole = drawn(graph, ["camera"] * 300 + ["server"] * 257, cuts=(cut_of("t299"),))
    seen = [unit for drawing in whole.all_drawings() for unit in units_of(drawing)]
    assert sorted(seen) == list(range(557))
    keys = [box.key for box in whole.boxes if box.key.startswith("block-")]
    assert keys == [block.key for block in whole.blocks]
    assert len({drawing.key for drawing in whole.all_drawings()}) == 1 + len(keys)
    assert all(len(drawing.boxes) < 80 for drawing in whole.all_drawings())
    assert "net/layer_3" in {box.label[0] for box in whole.boxes}
    # The cut is seen from far and from near.
    assert len(crossing(whole)) == 1
    assert sum(bool(crossing(block)) for block in whole.blocks) == 2


def test_the_time_of_a_block_is_that_of_its_units():
    whole = drawn(transformer_graph(), ["camera"] * 557)
    box = next(box for box in whole.boxes if box.label[0] == "net/layer_5")
    block = next(block for block in whole.blocks if block.key == box.key)
    ms = sum(0.1 * (unit + 1) for unit in units_of(block))
    assert float(box.label[1].split(", ")[1].removesuffix(" s")) == pytest.approx(ms / 1e3, rel=0.01)
    assert box.label[1].startswith(f"{len(units_of(block))} units")


def test_what_stands_around_a_block_leads_to_where_it_is_drawn():
    whole = drawn(transformer_graph(), ["camera"] * 557)
    keys = {box.key for drawing in whole.all_drawings() for box in drawing.boxes if box.key}
    around = [box for block in whole.blocks for box in block.boxes if not box.key and box.leads_to]
    assert len(around) >= 2 * (len(whole.blocks) - 1)
    assert {box.leads_to for box in around} <= keys
    assert all(box.fill == "" for box in around)


def test_a_graph_of_one_unit_is_drawn():
    drawing = drawn(made_graph(["only"], []), ["camera"])
    assert len(drawing.boxes) == 3
