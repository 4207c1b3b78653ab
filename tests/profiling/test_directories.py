"""What is in use in a cache, and where temporary files lie."""

import os

import pytest

from profiling.directories import (
    cache_folder,
    claim,
    exclusive_use,
    keeping_temporary_files,
    scratch_folder,
    temporary_folder,
)


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return cache_folder()


def test_what_is_claimed_counts_as_used_since_the_process_began(cache):
    entry = cache / "ranges-0.json"
    entry.touch()
    os.utime(entry, (0, 0))
    assert claim(entry)
    with exclusive_use(cache) as users:
        assert entry.stat().st_mtime >= users[scratch_folder()]
    assert not claim(cache / "ranges-1.json")


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
