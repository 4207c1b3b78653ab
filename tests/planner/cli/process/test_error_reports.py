"""An error inside the program leaves its traceback in a file that the message names."""

import re
from pathlib import Path

import pytest

import planner.cli.commands
from planner.cli.commands import main
from planner.cli.process.error_reports import MOST_REPORTS, report_crash, report_exception
from profiling.directories import cache_folder


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return cache_folder()


def fail() -> None:
    raise KeyError("x" * 1000 + "\x1b")


def test_an_internal_error_is_one_line_that_names_a_file_with_the_traceback(cache, monkeypatch, capsys):
    monkeypatch.setattr(planner.cli.commands, "scenario_schema", fail)
    with pytest.raises(SystemExit) as done:
        main(["schema"])
    err = capsys.readouterr().err
    assert done.value.code == 1
    assert re.fullmatch(r"internal error, please report it: KeyError: .*; its traceback is in (.*)\n", err)
    report = Path(err.strip().rpartition(" ")[2])
    assert report.parent == cache / "errors"
    text = report.read_text()
    assert "in fail" in text
    assert "\x1b" not in text
    assert text.startswith("time: ")


def test_the_newest_reports_stay(cache):
    (cache / "errors").mkdir()
    for number in range(MOST_REPORTS + 5):
        (cache / "errors" / f"20200101-0000{number:02}-1.log").touch()
    report_crash("SIGSEGV", "stack")
    names = sorted(path.name for path in (cache / "errors").iterdir())
    assert len(names) == MOST_REPORTS
    assert names[0] == "20200101-000006-1.log"
    assert "SIGSEGV" in (cache / "errors" / names[-1]).read_text()


def test_where_no_cache_can_be_written_a_report_is_among_temporary_files(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    where = report_exception(ValueError("x"))
    assert where.startswith(f"its traceback is in {tmp_path}/splitquant-errors/")


def test_where_nothing_can_be_written_the_message_says_what_to_do(monkeypatch, tmp_path):
    (tmp_path / "splitquant-errors").touch()
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert "--debug" in report_exception(ValueError("x"))
