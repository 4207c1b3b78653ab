"""Which processes use a cache, and where temporary files lie."""

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from profiling.directories import (
    cache_folder,
    claim,
    exclusive_use,
    keeping_temporary_files,
    scratch_folder,
    temporary_folder,
)

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


def test_what_is_claimed_counts_as_used_since_the_process_began(cache):
    entry = cache / "ranges-0.json"
    entry.touch()
    os.utime(entry, (0, 0))
    assert claim(entry)
    with exclusive_use(cache) as users:
        assert entry.stat().st_mtime >= users[scratch_folder()]
    assert not claim(cache / "ranges-1.json")


def test_a_folder_of_a_process_that_was_killed_before_it_had_its_lock_is_removed(cache):
    (cache / "scratch-half").mkdir()
    scratch_folder()
    assert not (cache / "scratch-half").exists()


def test_a_temporary_folder_goes_with_its_block():
    with temporary_folder() as folder:
        (folder / "file").touch()
    assert not folder.exists()


def test_temporary_files_stay_where_they_are_to_be_kept(cache):
    with keeping_temporary_files() as kept:
        with temporary_folder("quantizing-") as folder:
            (folder / "file").touch()
        assert (folder / "file").is_file()
        assert folder.parent == scratch_folder() == kept
    assert kept.parent == cache
    assert scratch_folder() != kept
