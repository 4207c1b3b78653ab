import os
import pty
import re
import subprocess
import sys
import time

from hypothesis import given
from hypothesis import strategies as st

from planner.cli.process.terminal_progress import progress_hidden, step_after, terminal_progress

APART_S = 0.05
_DRAWS = """
import time
from planner.cli.process.terminal_progress import terminal_progress
with terminal_progress() as progress:
    for number in range(3):
        progress("noise [of] units", number, 3)
        time.sleep(0.2)
"""


def waited_for(capsys, text: str, report) -> str:
    """What was written on stderr until a text was there."""
    written, ends_s = "", time.monotonic() + 20
    while text not in written and time.monotonic() < ends_s:
        report()
        time.sleep(APART_S)
        written += capsys.readouterr().err
    return written


def test_where_no_terminal_is_a_line_says_how_far_it_is_and_what_is_left(capsys):
    with terminal_progress(APART_S) as progress:
        progress("noise", 0, 12)
        time.sleep(0.6)  # so that the six others take long enough to be written about
        written = waited_for(capsys, "left", lambda: progress("noise", 6, 12))
    (first, *_) = [row for row in written.splitlines() if "left" in row]
    assert re.fullmatch(r"noise: 6 of 12, about \d+ s left, \d+ s in all", first)


@given(st.lists(st.integers(1, 1000), min_size=2, max_size=20))
def test_the_seconds_left_never_rise_and_are_only_told_from_half_on(seconds):
    step, now_s, told_s = None, 0, []
    for done, part in enumerate([*seconds, 0]):
        step = step_after(step, "noise", done, len(seconds), now_s)
        for waited in (0, part / 2, part):
            (count, *left) = step.how_far(now_s + waited)
            assert count == f"{done} of {len(seconds)}"
            assert not left or 2 * done >= len(seconds)
            told_s.extend(int(re.fullmatch(r"about (\d+) s left", text)[1]) for text in left)
        now_s += part
    assert told_s == sorted(told_s, reverse=True)


def test_the_seconds_left_are_those_of_the_pace_so_far():
    step = step_after(step_after(None, "noise", 0, 8, 100.0), "noise", 4, 8, 120.0)
    assert step.how_far(120.0) == ["4 of 8", "about 20 s left"]
    assert step.how_far(133.0) == ["4 of 8", "about 7 s left"]
    assert step.how_far(141.0) == ["4 of 8"]


def test_another_step_begins_anew():
    step = step_after(step_after(None, "noise", 0, 8, 100.0), "noise", 4, 8, 120.0)
    assert step_after(step, "latency", 0, 4, 121.0).how_far(122.0) == ["0 of 4"]


def test_a_step_that_takes_long_is_told_though_nothing_is_reported_meanwhile(capsys):
    with terminal_progress(APART_S) as progress:
        progress("solving", 0, 1)
        written = waited_for(capsys, "solving", lambda: None)
    assert re.fullmatch(r"solving, \d+ s in all", written.splitlines()[0])


def test_what_is_soon_done_writes_nothing(capsys):
    with terminal_progress() as progress:
        progress("noise", 1, 2)
    assert capsys.readouterr() == ("", "")


def test_no_line_comes_after_the_end(capsys):
    with terminal_progress(APART_S) as progress:
        progress("noise", 1, 2)
    capsys.readouterr()
    time.sleep(4 * APART_S)
    assert capsys.readouterr() == ("", "")


def test_quiet_writes_nothing(capsys):
    token = progress_hidden.set(True)
    try:
        with terminal_progress(APART_S) as progress:
            progress("noise", 1, 2)
            time.sleep(4 * APART_S)
    finally:
        progress_hidden.reset(token)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_shows_a_bar_with_names_as_they_are_and_clears_it():
    own, theirs = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", _DRAWS], stderr=theirs, stdout=subprocess.DEVNULL) as done:
        os.close(theirs)
        drawn = b""
        while True:
            try:
                part = os.read(own, 65536)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            drawn += part
    os.close(own)
    assert done.returncode == 0
    assert b"noise [of] units" in drawn
    assert b"2 of 3" in drawn
    assert b"in all" in drawn
