"""Only regular files of a bounded size are read."""

import os
import socket
from pathlib import Path

import pytest

from profiling.input_files import open_input, read_input


def test_a_file_is_read(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert read_input(tmp_path / "a", 5) == b"12345"
    with open_input(tmp_path / "a", 5) as file:
        assert file.read() == b"12345"


def test_a_larger_file_is_refused_with_the_bound(tmp_path):
    (tmp_path / "a").write_bytes(bytes(2**20 + 1))
    with pytest.raises(OSError, match="is larger than 1 MiB, the most that is read here"):
        read_input(tmp_path / "a", 2**20)
    with pytest.raises(OSError, match="is larger than 2 KiB"):
        open_input(tmp_path / "a", 2048)


def test_a_file_that_says_no_size_is_bounded_too():
    with pytest.raises(OSError, match="is larger than 0 KiB"):
        read_input(Path("/proc/self/status"), 10)


def test_a_pipe_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="is a named pipe; a regular file is needed"):
        open_input(tmp_path / "pipe", 10)


def test_other_kinds_are_refused(tmp_path):
    with pytest.raises(OSError, match="is a device; a regular file is needed"):
        open_input(Path("/dev/zero"), 10)
    with pytest.raises(IsADirectoryError):
        open_input(tmp_path, 10)
    with pytest.raises(FileNotFoundError):
        open_input(tmp_path / "none", 10)
    with pytest.raises(OSError, match="NUL character"):
        open_input(Path("a\0b"), 10)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "s"))
        with pytest.raises(OSError, match=r"No such device|socket"):
            open_input(tmp_path / "s", 10)


def test_a_link_to_a_file_is_a_file(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").symlink_to("a")
    assert read_input(tmp_path / "b", 1) == b"1"
