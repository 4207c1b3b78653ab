import errno
import os
import threading
import time

import pytest

import planner.output.atomic_folder as module
from planner.errors import OutputError
from planner.output.atomic_folder import atomic_directory


def write(folder, text: str) -> None:
    with atomic_directory(folder, "--out") as fresh:
        (fresh / "a").write_text(text)
        (fresh / "b").write_text(text)


def read(folder) -> tuple[str, str]:
    return (folder / "a").read_text(), (folder / "b").read_text()


@pytest.fixture(params=["exchange", "move"])
def way(request, monkeypatch):
    if request.param == "move":
        monkeypatch.setattr(module, "_exchange", lambda one, other: False)


@pytest.mark.usefixtures("way")
def test_the_new_takes_the_olds_place_and_nothing_stays_beside_it(tmp_path):
    for text in ("old", "new"):
        write(tmp_path / "deep" / "o", text)
        assert read(tmp_path / "deep" / "o") == (text, text)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["o"]


@pytest.mark.usefixtures("way")
def test_a_failure_leaves_the_old(tmp_path):
    write(tmp_path / "o", "old")
    with pytest.raises(ZeroDivisionError), atomic_directory(tmp_path / "o", "--out") as fresh:
        (fresh / "a").write_text(str(1 / 0))
    assert read(tmp_path / "o") == ("old", "old")
    assert [p.name for p in tmp_path.iterdir()] == ["o"]


def test_there_is_no_moment_without_a_whole_folder(tmp_path):
    write(tmp_path / "o", "0")
    stop = threading.Event()
    seen = []

    def watch() -> None:
        while not stop.is_set():
            descriptor = os.open(tmp_path / "o", os.O_RDONLY)  # fails if there is none
            seen.append(descriptor)
            os.close(descriptor)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        for number in range(100):
            write(tmp_path / "o", str(number))
    finally:
        stop.set()
        thread.join()
    assert seen
    assert read(tmp_path / "o") == ("99", "99")


@pytest.mark.usefixtures("way")
def test_writers_at_once_do_not_mix(tmp_path):
    failures = []

    def run(text: str) -> None:
        try:
            for _ in range(20):
                write(tmp_path / "o", text)
        except OutputError as exc:
            failures.append(exc)

    threads = [threading.Thread(target=run, args=(text,)) for text in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    first, second = read(tmp_path / "o")
    assert first == second
    assert [p.name for p in tmp_path.iterdir()] == ["o"]


def test_what_a_killed_writer_left_is_removed_later(tmp_path):
    for name, age in ((".o.x1.new", 7200), (".o.x2.new", 60), (".other.x1.new", 7200)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    write(tmp_path / "o", "1")
    assert {p.name for p in tmp_path.iterdir()} == {"o", ".o.x2.new", ".other.x1.new"}


def test_a_place_that_stays_taken_is_reported(tmp_path, monkeypatch):
    def taken(one, other):
        raise OSError(errno.ENOTEMPTY, "Directory not empty")

    write(tmp_path / "o", "1")
    monkeypatch.setattr(module, "_exchange", taken)
    with pytest.raises(OutputError, match="other runs keep writing there"):
        write(tmp_path / "o", "2")
    assert read(tmp_path / "o") == ("1", "1")
