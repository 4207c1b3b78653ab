"""Which processes use a cache."""

import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from profiling.cache_lock import live_processes, locked
from profiling.directories import cache_folder, exclusive_use, scratch_folder

_USER = "from profiling.directories import scratch_folder; print(scratch_folder(), flush=True); input()"


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return cache_folder()


@contextmanager
def another_process():
    """Let another process use the cache in the block; yield its folder there."""
    with subprocess.Popen(
        [sys.executable, "-c", _USER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Path(process.stdout.readline().strip())
        process.kill()


def test_a_process_that_uses_the_cache_is_seen_until_it_ends(cache):
    with another_process() as folder, exclusive_use(cache) as users:
        assert list(users) == [scratch_folder(), folder]
    with exclusive_use(cache) as users:
        assert list(users) == [scratch_folder()]


def test_asking_whether_a_process_lives_changes_neither_its_beginning_nor_its_life(cache):
    with another_process() as folder:
        began = (folder / "began").stat().st_mtime
        for _ in range(2):
            with exclusive_use(cache) as users:
                assert users[folder] == began


def test_a_folder_of_a_process_that_was_killed_before_it_had_its_lock_is_removed(cache):
    (cache / "scratch-half").mkdir()
    scratch_folder()
    assert not (cache / "scratch-half").exists()


def test_only_one_process_at_a_time_holds_the_cache(cache, monkeypatch, caplog):
    """Whoever waits too long goes on all the same, and says so."""
    monkeypatch.setattr("profiling.cache_lock._LOCK_WAIT_S", 0.05)
    with locked(cache):
        assert not caplog.records
        with locked(cache):
            assert "is locked by another process" in caplog.text
    caplog.clear()
    with locked(cache):
        assert not caplog.records


def test_this_process_comes_first_of_those_that_live(cache):
    own = scratch_folder()
    with another_process() as folder, locked(cache):
        assert list(live_processes(cache, own)) == [own, folder]
