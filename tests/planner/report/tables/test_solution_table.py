import re
from dataclasses import replace

import msgspec
from small_problems import small_problem
from terminal_text import printed

from planner.problem_io.solution import LimitUse, answer_of
from planner.report.tables.solution_table import answer_table
from planner.solver.solve import solve

SMALL = small_problem()
IN_FP32 = replace(SMALL.vertices[0], options=SMALL.vertices[0].options[::2])
FREE = replace(SMALL, vertices=(IN_FP32, *SMALL.vertices[1:]), limits=(), together=(), apart=())


def answer():
    return answer_of(FREE, solve(FREE), 123.0)


def test_each_device_that_works_has_its_units_and_its_seconds():
    known = answer()
    text = printed(answer_table(known))
    assert {one.precision for one in known.assignments} == {"fp32", "int8"}
    for device, seconds in known.costs.busy_s.items():
        own = [one for one in known.assignments if one.device == device]
        row = re.search(rf"^ {device} +\d+ .*$", text, re.M)
        if own or seconds:
            counts = [sum(one.precision == precision for one in own) for precision in ("fp32", "int8")]
            used = [f"{known.costs.memory_bytes[device]:.6g}"]
            used = (
                [f"{known.costs.energy_j[device]:.6g}", *used] if any(known.costs.energy_j.values()) else used
            )
            busy = f"{seconds * 1e3:.6g}"
            assert row[0].split() == [device, *map(str, (len(own), *counts)), busy, *used]
        else:
            assert row is None


def test_what_crosses_and_the_proof_have_their_numbers():
    known = answer()
    text = printed(answer_table(known))
    for cut in known.cuts:
        parts = (
            cut.tensor,
            " > ".join(cut.path),
            cut.wire,
            f"{cut.size_bytes:g}",
            f"{cut.seconds * 1e3:.6g}",
        )
        assert re.search(r"\s+".join(map(re.escape, parts)), text)
    for value in (known.objective.value, known.objective.bound):
        assert f"{value * 1e3:.9g} ms" in text
    assert "123 MiB" in text
    assert known.cuts


def test_of_many_crossings_some_are_shown_and_the_others_counted():
    known = answer()
    many = tuple(msgspec.structs.replace(known.cuts[0], tensor=f"tensor{n}") for n in range(33))
    text = printed(answer_table(msgspec.structs.replace(known, cuts=many)))
    assert "tensor19" in text
    assert "tensor20" not in text
    assert "... 13 more" in text


def test_without_a_crossing_there_is_no_table_of_them():
    assert "on the links" not in printed(answer_table(msgspec.structs.replace(answer(), cuts=())))


def test_every_unit_has_its_device_and_precision_and_of_many_the_rest_is_counted():
    known = answer()
    text = printed(answer_table(known))
    for placed in known.assignments:
        assert re.search(rf"^ {placed.unit} +{placed.device} +{placed.precision} *$", text, re.M)
    many = tuple(msgspec.structs.replace(known.assignments[0], unit=f"unit{n}") for n in range(50))
    text = printed(answer_table(msgspec.structs.replace(known, assignments=many)))
    assert "unit39" in text
    assert "unit40" not in text
    assert "... 10 more: --json" in text


def test_each_limit_has_what_is_used_and_what_it_allows():
    uses = (
        LimitUse(measure="latency", of=None, at_most=0.05, used=0.02),
        LimitUse(measure="memory", of="camera", at_most=128, used=104),
        LimitUse(measure="noise", of=None, at_most=0, used=0),
    )
    text = printed(answer_table(msgspec.structs.replace(answer(), limits=uses)))
    rows = [" ".join(row.split()) for row in text.splitlines()]
    assert "latency 20 ms 50 ms 40.0%" in rows
    assert "memory of camera 104 bytes 128 bytes 81.2%" in rows
    assert "noise 0 0 -" in rows
    assert "limits" not in printed(answer_table(msgspec.structs.replace(answer(), limits=())))


def test_a_value_has_its_unit_and_rounding_is_no_gap():
    known = answer()
    for name, gap, shown in (
        ("latency", 1e-16, (" 2500 ms", " 0 %")),
        ("energy of a", 0.25, (" 2.5 J", " 25 %")),
        ("0.5 latency + noise", 0.0, (" 2.5 ", " 0 %")),
    ):
        goal = msgspec.structs.replace(known.objective, name=name, value=2.5, gap=gap)
        text = printed(answer_table(msgspec.structs.replace(known, objective=goal)))
        assert all(one in text for one in shown)
