"""Log lines go to stderr and into a file as options say, before and behind a command's name."""

import json
import logging
import warnings
from pathlib import Path

import pytest
from repository import ROOT

from planner.cli.commands import main
from planner.cli.process.logging_setup import MessageOptions, messages
from planner.errors import OutputError, UsageError
from profiling.directories import temporary_folder

PROBLEM = str(ROOT / "scenarios" / "problem.json")
log = logging.getLogger("planner.test")


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as done:
        main(arguments)
    out, err = capsys.readouterr()
    return done.value.code or 0, out, err


@pytest.mark.parametrize(
    "arguments",
    [
        ("-v", "solve", PROBLEM, "--json"),
        ("solve", PROBLEM, "--json", "-v"),
        ("solve", "--verbose", PROBLEM, "--json"),
        ("--debug", "solve", PROBLEM, "--json"),
        ("-vv", "solve", PROBLEM, "--json"),
    ],
)
def test_what_is_done_is_said_on_stderr_and_the_answer_stands_alone(arguments, capsys):
    code, out, err = run(capsys, *arguments)
    assert code == 0
    json.loads(out)
    assert "INFO planner." in err


@pytest.mark.parametrize(
    "arguments", [("solve", PROBLEM), ("-q", "solve", PROBLEM), ("solve", PROBLEM, "--quiet")]
)
def test_without_being_asked_nothing_is_said(arguments, capsys):
    assert run(capsys, *arguments)[::2] == (0, "")


@pytest.mark.parametrize("arguments", [("--help",), ("solve", "--help"), ("cache", "clear", "--help")])
def test_help_shows_each_option_once(arguments, capsys):
    _, out, _ = run(capsys, *arguments)
    assert [out.count(option) for option in ("--verbose", "--quiet", "--log-file", "--debug")] == [1] * 4


def test_a_log_file_holds_everything_and_is_added_to(tmp_path, capsys):
    path = tmp_path / "plan.log"
    for _ in range(2):
        assert run(capsys, "solve", PROBLEM, "--log-file", str(path))[::2] == (0, "")
    assert path.read_text().count("INFO planner.cli.process.logging_setup: splitquant") == 2


def test_a_log_file_that_cannot_be_written_is_told(tmp_path, capsys):
    code, out, err = run(capsys, "schema", "--log-file", str(tmp_path / "none" / "plan.log"))
    assert (code, out) == (1, "")
    assert err == f"--log-file {tmp_path}/none/plan.log: No such file or directory\n"


def test_an_error_has_a_traceback_only_where_it_is_asked_for(tmp_path, capsys):
    broken = tmp_path / "broken.yaml"
    broken.write_text("model: 1\n")
    plain, debug = (run(capsys, *options, str(broken)) for options in ((), ("--debug",)))
    assert (plain[0], debug[0]) == (1, 1)
    assert "Traceback" not in plain[2]
    assert "Traceback" in debug[2]
    assert debug[2].endswith(plain[2])


def test_quiet_does_not_go_with_more_words(capsys):
    assert run(capsys, "-q", "-v", "schema")[0] == 2


def test_no_text_from_outside_is_more_than_its_line(capsys):
    with messages(MessageOptions(verbose=1)):
        log.info("read %s", "a\x1b[2J\nERROR planner: all is lost")
    (said,) = [line for line in capsys.readouterr().err.splitlines() if "planner.test" in line]
    assert said.endswith("read a\\x1b[2J\\nERROR planner: all is lost")


def test_a_traceback_has_no_control_characters(capsys):
    with pytest.raises(ValueError, match="bad"), messages(MessageOptions(debug=True)):
        raise ValueError("bad \x1b[31m")
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "\x1b" not in err


def test_debug_keeps_temporary_files_and_says_where(capsys):
    with messages(MessageOptions(debug=True)), temporary_folder() as folder:
        (folder / "file").touch()
    assert (folder / "file").exists()
    assert f"temporary files are in {folder.parent}" in capsys.readouterr().err
    with temporary_folder() as folder:
        pass
    assert not folder.exists()


def test_warnings_are_one_line_and_quiet_drops_them(capsys):
    for quiet in (False, True):
        with messages(MessageOptions(quiet=quiet)):
            log.warning("beware")
            with warnings.catch_warnings():
                warnings.simplefilter("always")
                warnings.warn("old", DeprecationWarning, stacklevel=1)
        err = capsys.readouterr().err
        assert len(err.splitlines()) == (0 if quiet else 2), err


def test_afterwards_everything_is_as_before(tmp_path):
    before = (list(logging.root.handlers), logging.getLogger("planner").level, logging.raiseExceptions)
    with messages(MessageOptions(verbose=2, log_file=tmp_path / "log")):
        pass
    with pytest.raises(UsageError), messages(MessageOptions(verbose=1, quiet=True)):
        pass
    with pytest.raises(OutputError), messages(MessageOptions(log_file=tmp_path)):
        pass
    assert before == (
        list(logging.root.handlers),
        logging.getLogger("planner").level,
        logging.raiseExceptions,
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
def test_a_log_that_cannot_be_written_is_told_and_stops_nothing(capsys):
    code, out, err = run(capsys, "schema", "--log-file", "/dev/full")
    assert (code, err) == (0, "--log-file: No space left on device\n")
    json.loads(out)
