import os
import subprocess
import sys

import pytest

from profiling.runtime.crash_journal import SUFFIX, CrashJournal, last_notes

DIES = """
import os, sys
from pathlib import Path
from profiling.runtime.crash_journal import CrashJournal
with CrashJournal(Path(sys.argv[1])).entry(sys.argv[2]):
    os._exit(1)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / f"model{SUFFIX}"


def die_at(path, what: str) -> None:
    subprocess.run([sys.executable, "-c", DIES, str(path), what], check=False)


def test_what_ended_a_process_is_known_to_the_next(path):
    die_at(path, 'unit "ä"\n0')
    journal = CrashJournal(path)
    assert journal.cause_of('unit "ä"\n0') == "it crashed"
    assert journal.cause_of("another unit") == ""


def test_every_death_is_remembered(path):
    for what in ("a", "b"):
        die_at(path, what)
    journal = CrashJournal(path)
    with journal.entry("c"):
        pass
    assert [bool(CrashJournal(path).cause_of(what)) for what in "abc"] == [True, True, False]


def test_what_is_survived_leaves_no_file(path):
    journal = CrashJournal(path)
    with journal.entry("a"):
        assert path.exists()
    assert not path.exists()
    with pytest.raises(ZeroDivisionError), journal.entry("a"):
        raise ZeroDivisionError
    assert not path.exists()


@pytest.mark.parametrize("content", [b"no JSON", b"\xff\xfe", b'"half'])
def test_a_broken_journal_is_an_empty_one(content, path):
    path.write_bytes(content)
    assert CrashJournal(path).cause_of("no JSON") == ""


def test_without_a_folder_nothing_is_remembered_and_nothing_fails(tmp_path):
    journal = CrashJournal(tmp_path / "no such folder" / f"x{SUFFIX}")
    with journal.entry("a"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_last_note_of_each_journal_tells_what_was_being_tried(path):
    die_at(path, "first")
    die_at(path, "second")
    assert last_notes(path.parent, path.stat().st_mtime) == ["second"]
    old = path.with_name(f"old{SUFFIX}")
    die_at(old, "long ago")
    os.utime(old, (1, 1))
    assert last_notes(path.parent, path.stat().st_mtime) == ["second"]
