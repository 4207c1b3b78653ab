"""What lies in the cache is told by kind, and removed unless a running command may use it."""

import os
import subprocess
import sys
from contextlib import contextmanager

import pytest

from profiling.directories import cache_folder, scratch_folder
from profiling.records.cache_eviction import (
    LIMIT_VARIABLE,
    EntryKind,
    clear,
    evict,
    limit_bytes,
    list_entries,
)

_USER = (
    "from profiling.directories import claim, cache_folder, scratch_folder; scratch_folder(); "
    "print(claim(cache_folder() / 'ranges-2.json'), flush=True); input()"
)


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = cache_folder()
    for age, name in enumerate(("ranges-1.json", "ranges-2.json", "latency-3.json", "solved-4.json")):
        (folder / name).write_text("x" * 100)
        os.utime(folder / name, (1000 - age, 1000 - age))
    (folder / "converted-5").mkdir()
    (folder / "converted-5" / "model.onnx").write_text("x" * 400)
    os.utime(folder / "converted-5", (2000, 2000))
    return folder


def names(folder) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"lock", scratch_folder().name}


@contextmanager
def a_running_command():
    """Let another process use ranges-2.json in the block."""
    with subprocess.Popen(
        [sys.executable, "-c", _USER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "True\n"
        yield
        process.kill()


def test_entries_are_told_by_kind_and_size_the_oldest_first(cache):
    found = [(entry.path.name, entry.kind, entry.size_bytes) for entry in list_entries(cache)]
    assert found[0] == ("solved-4.json", "solved problems", 100)
    assert found[-1] == ("converted-5", "converted models", 400)
    assert len(found) == 5


def test_every_kind_of_entry_has_a_name(cache):
    for kind in EntryKind:
        (cache / f"{kind}-new.json").touch()
    assert all(entry.is_ours for entry in list_entries(cache))


def test_a_folder_that_does_not_exist_holds_nothing(tmp_path):
    assert list_entries(tmp_path / "none") == []


def test_clearing_removes_everything(cache):
    done = clear(cache)
    assert len(done.removed) == 5
    assert names(cache) == set()


def test_clearing_keeps_what_a_running_command_uses(cache):
    with a_running_command():
        done = clear(cache)
        assert "ranges-2.json" in names(cache)
        assert len(done.removed) == 4
        assert {entry.kind for entry in done.in_use} == {"activation ranges", "files of running commands"}
    clear(cache)
    assert names(cache) == set()


def test_what_this_tool_did_not_write_is_never_removed(cache):
    (cache / "letter.txt").write_text("dear")
    clear(cache)
    evict(cache, 0)
    assert names(cache) == {"letter.txt"}


def test_a_link_is_removed_and_not_what_it_points_to(cache, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").touch()
    (cache / "converted-6").symlink_to(tmp_path / "elsewhere")
    os.utime(cache / "converted-6", (0, 0), follow_symlinks=False)
    clear(cache)
    assert (tmp_path / "elsewhere" / "file").exists()
    assert names(cache) == set()


def test_what_was_used_longest_ago_makes_room(cache):
    evict(cache, 650)
    assert names(cache) == {"ranges-2.json", "ranges-1.json", "converted-5"}
    evict(cache, 650)
    assert len(names(cache)) == 3


def test_no_room_is_made_at_the_cost_of_a_running_command(cache):
    with a_running_command():
        evict(cache, 0)
        assert "ranges-2.json" in names(cache)


@pytest.mark.parametrize(("text", "gibibytes"), [("1.5", 1.5), ("0", 0), ("x", 20), ("-1", 20)])
def test_the_limit_is_a_number_of_gib(monkeypatch, text, gibibytes):
    monkeypatch.setenv(LIMIT_VARIABLE, text)
    assert limit_bytes() == gibibytes * 2**30
