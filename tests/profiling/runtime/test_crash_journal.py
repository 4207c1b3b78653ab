import os
import subprocess
import sys
import time

import pytest

from profiling.runtime.crash_journal import SUFFIX, CrashJournal, confirm_crash

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


def die_at(path, what: str) -> int:
    """Return the number of a process that died over something."""
    with subprocess.Popen([sys.executable, "-c", DIES, str(path), what]) as process:
        process.wait()
    return process.pid


def test_what_a_process_left_may_be_tried_once_more(path):
    die_at(path, "a")
    journal = CrashJournal(path)
    assert journal.cause_of("a") == ""
    with journal.entry("a"):
        pass
    assert not path.exists()


def test_what_ended_two_processes_is_known_to_the_next(path):
    for _ in range(2):
        die_at(path, 'unit "ä"\n0')
    journal = CrashJournal(path)
    assert journal.cause_of('unit "ä"\n0') == "it crashed"
    assert journal.cause_of("another unit") == ""


def test_a_crash_that_somebody_saw_is_known_at_once(path):
    began, process = time.time(), die_at(path, "a")
    assert confirm_crash(path.parent, process, began) == "a"
    assert CrashJournal(path).cause_of("a") == "it crashed"


def test_nobody_is_blamed_for_the_crash_of_another(path):
    began, process = time.time(), die_at(path, "a")
    assert confirm_crash(path.parent, process + 1, began) == ""
    assert CrashJournal(path).cause_of("a") == ""
    os.utime(path, (1, 1))  # of an earlier process of that number
    assert confirm_crash(path.parent, process, began) == ""


def test_every_crash_is_remembered(path):
    for what in ("a", "b"):
        began, process = time.time(), die_at(path, what)
        assert confirm_crash(path.parent, process, began) == what
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


@pytest.mark.parametrize("content", [b"no JSON", b"\xff\xfe", b'"half', b'"of an older version"\n'])
def test_a_broken_journal_is_an_empty_one(content, path):
    path.write_bytes(content)
    assert CrashJournal(path).cause_of("no JSON") == ""


def test_without_a_folder_nothing_is_remembered_and_nothing_fails(tmp_path):
    journal = CrashJournal(tmp_path / "no such folder" / f"x{SUFFIX}")
    with journal.entry("a"):
        pass
    assert list(tmp_path.iterdir()) == []
