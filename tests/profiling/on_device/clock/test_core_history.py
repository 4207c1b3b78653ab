"""What earlier processes saw of cores that nothing else shared."""

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiling.on_device.clock import core_history
from profiling.on_device.clock.core_contention import CoreProbe
from profiling.on_device.clock.core_history import CoreHistory, history_of_user

UNLIKELY = ("NaN", "Infinity", "-1.0", "0.0", '"b"', "null", "1" * 20)


@pytest.fixture
def history(tmp_path) -> CoreHistory:
    return CoreHistory(tmp_path / "cores.json", "probes")


def filled(history: CoreHistory, *ratios: float) -> CoreHistory:
    for ratio in ratios:
        history.add(ratio)
    return history


def test_nothing_is_known_of_too_few_processes(history):
    assert history.alone() is None
    assert filled(history, 1.0, 1.1).alone() is None
    assert filled(history, 1.2).alone() == 1.0


@given(data=st.data())
def test_a_core_alone_is_known_if_a_quarter_of_the_processes_had_one(tmp_path_factory, data):
    history = CoreHistory(tmp_path_factory.mktemp("history") / "cores.json", "probes")
    calm = data.draw(st.lists(st.floats(1.0, 1.1), min_size=3, max_size=8))
    shared = data.draw(st.lists(st.floats(1.5, 3.0), max_size=3 * len(calm) - 3))
    filled(history, *data.draw(st.permutations([*calm, *shared])))
    assert 1.0 <= history.alone() <= 1.1


def test_one_that_the_clock_got_wrong_is_not_believed_among_many(history):
    assert filled(history, 0.01, *[1.0] * 9).alone() == 1.0


def test_the_latest_processes_are_remembered(history):
    assert filled(history, *[1.0] * 10, *[2.0] * 40).alone() == 2.0


def test_other_probes_are_another_matter(tmp_path):
    one, other = (CoreHistory(tmp_path / "cores.json", probes) for probes in ("one", "other"))
    filled(one, 1.0, 1.0, 1.0)
    assert other.alone() is None
    assert filled(other, *[5.0] * 3).alone() == 5.0
    assert one.alone() == 1.0


@pytest.mark.parametrize(
    "content",
    [
        *("", "[1, 2]", '{"probes": 3}', '{"probes": null}', "\udc80", "[" * 50_000),
        *(f'{{"probes": [{value}, {value}, {value}]}}' for value in (*UNLIKELY, "9" * 400)),
    ],
    ids=lambda content: content[:20].encode("ascii", "replace").decode(),
)
def test_a_file_that_cannot_be_read_is_none_and_is_replaced(content, tmp_path):
    file = tmp_path / "cores.json"
    file.write_bytes(content.encode("utf-8", "surrogateescape"))
    history = CoreHistory(file, "probes")
    assert history.alone() is None
    assert filled(history, 1.0, 1.0, 1.0).alone() == 1.0
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_what_is_no_file_of_this_user_is_not_opened(tmp_path, history):
    filled(history, 1.0, 1.0, 1.0)
    (tmp_path / "link.json").symlink_to(tmp_path / "cores.json")
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "large.json").write_text('{"probes": [1.0, 1.0, 1.0]}' + " " * (1 << 17))
    for name in ("link", "pipe", "large"):
        assert CoreHistory(tmp_path / f"{name}.json", "probes").alone() is None


def test_no_link_is_followed_that_someone_put_in_the_way(tmp_path, history):
    target = tmp_path / "precious"
    target.write_text("kept")
    (tmp_path / "cores.json").symlink_to(target)
    filled(history, 1.0, 1.0, 1.0)
    assert target.read_text() == "kept"
    assert history.alone() == 1.0


def test_what_a_process_left_that_was_killed_stops_no_other(tmp_path, history):
    (tmp_path / f"cores.json.{os.getpid()}").write_text("half a fi")
    assert filled(history, 1.0, 1.0, 1.0).alone() == 1.0


def test_those_probes_are_remembered_that_were_used_last(tmp_path):
    many = [CoreHistory(tmp_path / "cores.json", str(number)) for number in range(30)]
    for one in many:
        filled(one, 1.0, 1.0, 1.0)
        filled(many[0], 1.0)
    assert many[0].alone() == many[-1].alone() == 1.0
    assert many[1].alone() is None


def test_where_no_one_may_see_the_cores_there_is_a_history(monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_getaffinity", refuse, raising=False)
    history_of_user().alone()


def test_where_nothing_can_be_written_nothing_is_known(tmp_path):
    assert filled(CoreHistory(tmp_path / "no folder" / "cores.json", "probes"), 1.0, 1.0, 1.0).alone() is None
    assert filled(CoreHistory(None, "probes"), 1.0, 1.0, 1.0).alone() is None


def test_where_there_is_no_place_for_temporary_files_nothing_is_known(monkeypatch):
    def refuse():
        raise FileNotFoundError

    monkeypatch.setattr(core_history.tempfile, "gettempdir", refuse)
    assert history_of_user().alone() is None


def test_a_core_that_is_shared_from_the_first_moment_is_told_by_earlier_processes():
    probe = CoreProbe(lambda: 2.0, lambda: 1.1, lambda: None)
    assert not probe.is_contended()
    knowing = CoreProbe(lambda: 2.0, lambda: 1.1, lambda: None, known=1.0)
    assert knowing.is_contended()
    assert CoreProbe(lambda: 1.0, lambda: 1.0, lambda: None, known=1.0).is_contended() is False
    # Nothing slows a probe that much: what is known is of another kind of core.
    assert CoreProbe(lambda: 3.0, lambda: 1.0, lambda: None, known=1.0).is_contended() is False


def test_few_looks_tell_others_nothing():
    probe = CoreProbe(lambda: 1.0, lambda: 1.0, lambda: None)
    assert probe.seen_alone() is None
    for _ in range(400):
        probe.is_contended()
    assert probe.seen_alone() == 1.0


@pytest.mark.skipif(sys.platform == "win32", reason="ticks of 15.6 ms")
def test_a_process_leaves_what_it_saw(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    code = (
        "from profiling.on_device.clock.run_clock import clock_of\n"
        "clock = clock_of(1)\n"
        "for _ in range(400): clock.is_contended\n"
    )
    for _ in range(3):
        subprocess.run([sys.executable, "-c", code], check=True)
    (file,) = tmp_path.glob("splitquant-cores*.json")
    (ratios,) = json.loads(file.read_text()).values()
    assert len(ratios) == 3
    assert min(ratios) > 0
