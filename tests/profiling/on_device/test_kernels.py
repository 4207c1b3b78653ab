import itertools
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, save

from profiling.on_device.clock.interruptions import Interruptions
from profiling.on_device.kernels import (
    NESTED,
    Kernel,
    KernelTimes,
    Owner,
    OwnerKind,
    TracedRuns,
    read_kernels,
    read_op_types,
)

UNIT, QUANTIZE, DEQUANTIZE = OwnerKind.UNIT, OwnerKind.QUANTIZE, OwnerKind.DEQUANTIZE
KNOWN = [kind for kind in OwnerKind if kind is not OwnerKind.UNKNOWN]


def as_the_runtime_lays_it_out(events: list[dict]) -> str:
    return "[\n" + ",\n".join(json.dumps(event, separators=(",", " :")) for event in events) + "\n]\n"


def written(
    folder,
    nodes: list[tuple[str, str, str]],
    micros: dict[str, list[float]],
    layout: Callable[[list[dict]], str] = as_the_runtime_lays_it_out,
):
    """Write what the runtime does for some runs: a profile, and the graph that it ran."""
    graph = helper.make_graph(
        [helper.make_node("Op", [source], [target], name=name) for name, source, target in nodes],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [],
    )
    save(helper.make_model(graph), folder / "optimized.onnx")
    events = [{"cat": "Session", "name": "session_initialization", "dur": 9}]
    for run in itertools.zip_longest(*micros.values()):
        events += [
            {"cat": "Node", "name": f"{name}_kernel_time", "dur": dur, "args": {"op_name": "Op"}}
            for name, dur in zip(micros, run, strict=True)
            if dur is not None
        ]
        events.append({"cat": "Node", "name": "a_fence_before"})
        events.append({"cat": "Session", "name": "model_run", "dur": 99})
    (folder / "profile.json").write_text(layout(events))
    return folder / "profile.json", folder / "optimized.onnx"


@pytest.mark.parametrize("kind", KNOWN)
def test_a_tag_leads_back_to_its_owner_whatever_the_runtime_makes_of_the_name(kind, tmp_path):
    owner = Owner(kind, 17)
    names = [
        f"{prefix}{owner.tag(5)}{suffix}" for prefix in ("", "fused ") for suffix in ("", "_nchwc", ".0/q")
    ]
    times = read_kernels(*written(tmp_path, [], {name: [1.0] for name in names}))
    assert {kernel.owner for kernel in times.kernels} == {owner}
    assert times.attributed_s == times.total_s


def test_a_layout_kernel_belongs_to_a_switch_beside_it_else_to_who_reads_its_result(tmp_path):
    first, second, switch = (Owner(*o).tag(0) for o in ((UNIT, 0), (UNIT, 1), (QUANTIZE, 4)))
    nodes = [
        (first, "x", "a"), ("to_second", "a", "b"), (second, "b", "c"), ("to_switch", "c", "d"),
        (switch, "d", "e"), ("behind_switch", "e", "f"), ("alone", "x", "y"),
        ("before_another", "x", "k"), ("another", "k", "l"), (second.replace("@0", "@1"), "l", "m"),
    ]  # fmt: skip
    micros = {name: [1.0] for name, _, _ in nodes} | {"not in the graph": [1.0]}
    owners = {k.name: k.owner for k in read_kernels(*written(tmp_path, nodes, micros)).kernels}
    assert owners["to_second"] == Owner(UNIT, 1)
    assert owners["to_switch"] == owners["behind_switch"] == Owner(QUANTIZE, 4)
    assert owners["before_another"] == owners["another"] == Owner(UNIT, 1)
    assert owners["alone"].kind is owners["not in the graph"].kind is OwnerKind.UNKNOWN


def test_a_fused_kernel_with_a_name_of_its_own_belongs_to_the_unit_whose_tensor_it_writes(tmp_path):
    written_by, reader = Owner(UNIT, 2), Owner(UNIT, 3)
    tensor = f"{written_by.tag(7)}.0"
    nodes = [("first", "x", "a"), ("last", "a", tensor), (reader.tag(8), tensor, "y")]
    files = written(tmp_path, nodes, {name: [1.0] for name, _, _ in nodes})
    owners = {kernel.name: kernel.owner for kernel in read_kernels(*files).kernels}
    assert owners == {"first": written_by, "last": written_by, reader.tag(8): reader}


def test_kernels_of_nested_graphs_are_part_of_what_is_around_them(tmp_path):
    name = Owner(UNIT, 0).tag(0)
    files = written(tmp_path, [], {name: [5.0, 5.0], f"{NESTED}3": [4.0, 4.0]})
    times = read_kernels(*files)
    assert times.of(UNIT) == {0: pytest.approx(5e-6)}
    assert times.count == 1
    assert read_op_types(files[0]) == ["Op"] * 4


def test_a_kernel_has_the_middle_of_its_runs_and_keeps_them(tmp_path):
    runs = [3.0, 1.0, 100.0, 2.0]
    (kernel,) = read_kernels(*written(tmp_path, [], {Owner(DEQUANTIZE, 1).tag(9): runs})).kernels
    assert kernel.seconds == pytest.approx(2.5e-6)
    assert kernel.runs_s == pytest.approx([run * 1e-6 for run in runs])


@pytest.mark.parametrize("layout", [as_the_runtime_lays_it_out, json.dumps])
def test_only_runs_that_count_are_read_and_none_that_warmed_up(tmp_path, layout):
    every, seldom = Owner(UNIT, 0).tag(1), Owner(UNIT, 1).tag(2)
    files = written(tmp_path, [], {every: [90.0, 1.0, 50.0, 3.0], seldom: [7.0, 8.0]}, layout)
    runs = {k.name: k.runs_s for k in read_kernels(*files, TracedRuns(3, (2, 0))).kernels}
    assert runs[every] == pytest.approx([3e-6, 1e-6])  # in the order of the runs that waited so long
    assert runs[seldom] == pytest.approx([8e-6])


def test_a_profile_with_fewer_runs_than_were_taken_is_no_measurement(tmp_path):
    files = written(tmp_path, [], {Owner(UNIT, 0).tag(1): [1.0, 2.0]})
    with pytest.raises(ValueError, match="2 runs where 3 were taken"):
        read_kernels(*files, TracedRuns(3, (0, 2)))


def test_kernels_of_interrupted_runs_have_their_own_seconds_and_spread(tmp_path):
    # A switch per 0.1 ms of computing: the short kernel is hit in two of ten runs, the long one in all.
    found = Interruptions(1e4, 0.1)
    short, long = Owner(UNIT, 0).tag(1), Owner(UNIT, 1).tag(2)
    micros = {short: [4.0, 6.0, *[5.0] * 6, 900.0, 800.0], long: [4000.0, 6000.0] * 5}
    times = read_kernels(*written(tmp_path, [], micros), TracedRuns(10, range(10), found))
    assert times.of(UNIT) == {0: pytest.approx(5e-6), 1: pytest.approx(500e-6)}
    assert times.relative_iqrs(UNIT)[0] < 0.3
    assert times.scaled(2.0).interruptions == times.as_unprofiled(1e-4).interruptions == found


def test_seconds_and_their_spread_are_of_all_kernels_of_an_owner():
    one, other = (Kernel(str(s), "Op", Owner(UNIT, 2), s, (s, s + 1, s + 2)) for s in (1.0, 4.0))
    times = KernelTimes((one, other, Kernel("q", "Op", Owner(QUANTIZE, 2), 7.0)))
    assert times.of(UNIT) == {2: 5.0}
    assert times.relative_iqrs(UNIT) == {2: pytest.approx(2 / 7)}  # of 5, 7 and 9
    assert times.of(DEQUANTIZE) == {}


def test_the_profilers_cost_is_taken_off_kernel_by_kernel():
    times = KernelTimes(
        tuple(
            Kernel(str(i), "Conv", Owner(OwnerKind.UNIT, i), s) for i, s in enumerate((10e-6, 20e-6, 70e-6))
        )
    )
    assert times.as_unprofiled(94e-6).total_s == pytest.approx(94e-6)
    assert times.as_unprofiled(94e-6).of(OwnerKind.UNIT).get(0, 0.0) == pytest.approx(8e-6)
    # More than the cheapest kernel took: the rest slowed all kernels alike.
    assert times.as_unprofiled(35e-6).of(OwnerKind.UNIT).get(0, 0.0) == 0
    assert times.as_unprofiled(35e-6).of(OwnerKind.UNIT).get(2, 0.0) == pytest.approx(30e-6)
    assert times.as_unprofiled(200e-6) == times


def test_of_kernels_that_took_all_the_same_each_has_its_share():
    times = KernelTimes(tuple(Kernel(str(i), "Conv", Owner(OwnerKind.UNIT, i), 10e-6) for i in range(2)))
    assert [kernel.seconds for kernel in times.as_unprofiled(6e-6).kernels] == [3e-6, 3e-6]


SECONDS = st.lists(st.floats(1e-9, 1e-2), min_size=1, max_size=8)


@given(SECONDS, st.floats(0, 1.5))
def test_without_the_profilers_cost_kernels_fit_into_the_run_and_keep_their_order(seconds, share):
    times = KernelTimes(tuple(Kernel(str(i), "Op", Owner(UNIT, i), s) for i, s in enumerate(seconds)))
    wall_s = share * times.total_s
    corrected = [kernel.seconds for kernel in times.as_unprofiled(wall_s).kernels]
    assert sum(corrected) == pytest.approx(min(wall_s, times.total_s), rel=1e-6, abs=1e-15)
    assert all(-1e-15 <= new <= old * (1 + 1e-9) for new, old in zip(corrected, seconds, strict=True))
    order = sorted(range(len(seconds)), key=seconds.__getitem__)
    assert all(corrected[a] <= corrected[b] + 1e-15 for a, b in itertools.pairwise(order))


def test_sessions_of_a_model_are_one_at_a_common_pace():
    own = Owner(UNIT, 0)
    a, b, c = (own.tag(number) for number in range(3))
    fast = KernelTimes((Kernel(a, "Op", own, 1.0, (1.0, 1.0)), Kernel(b, "Op", own, 4.0, (4.0, 4.0))))
    slow = KernelTimes((Kernel(a, "Op", own, 3.0, (3.0, 3.0)), Kernel(c, "Op", own, 8.0, (8.0, 8.0))))
    merged = KernelTimes.merged([fast, slow], [1.0, 0.5])
    seconds = {kernel.name: kernel.seconds for kernel in merged.kernels}
    # What only one session has counts half.
    assert seconds == pytest.approx({a: 1.25, b: 2.0, c: 2.0})
    assert merged.kernels[0].runs_s == (1.0, 1.0, 1.5, 1.5)


def test_kernels_that_each_session_names_anew_keep_their_owners():
    switch, unit = Owner(QUANTIZE, 4), Owner(UNIT, 7)

    def session(*rows: tuple[str, str, Owner, float]) -> KernelTimes:
        return KernelTimes(tuple(Kernel(name, op, owner, s, (s, s)) for name, op, owner, s in rows))

    first = session(
        ("Reorder", "Reorder", switch, 5.0), ("Transpose", "Transpose", switch, 1.0),
        ("Reorder_token_1", "Reorder", unit, 0.5), ("Reorder_token_2", "Reorder", unit, 2.0),
    )  # fmt: skip
    second = session(
        ("Reorder_token_2", "Reorder", switch, 5.0), ("Transpose_token_9", "Transpose", switch, 1.0),
        ("Reorder", "Reorder", unit, 0.5), ("Reorder_token_1", "Reorder", unit, 2.0),
    )  # fmt: skip
    merged = KernelTimes.merged([first, second], [1.0, 1.0])
    assert merged.of(QUANTIZE) == {4: 6.0}
    assert merged.of(UNIT) == {7: 2.5}
    assert merged.count == 4


def test_one_session_alone_only_changes_its_pace():
    times = KernelTimes((Kernel("a", "Op", Owner(UNIT, 0), 2.0, (1.0, 2.0, 3.0)),), Interruptions())
    assert KernelTimes.merged([times], [2.0]).total_s == pytest.approx(times.scaled(2.0).total_s)


def test_interruptions_of_sessions_are_at_a_common_pace():
    calm, busy = Interruptions(), Interruptions(4.0, 0.5, (0.1, 0.2), cools_caches=True)
    together = Interruptions.together([(calm, 2, 1.0), (busy, 2, 2.0)])
    assert together == Interruptions(1.0, 0.75, (0.2, 0.4), cools_caches=True)
    assert Interruptions.together([(calm, 0, 1.0)]) == Interruptions()
