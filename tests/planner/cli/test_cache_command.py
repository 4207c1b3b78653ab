"""`plan cache` says what is kept, and `plan cache clear` removes it."""

import json
import os

import pytest

from planner.cli.commands import main
from profiling.directories import cache_folder


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = cache_folder()
    for name in ("latency-1.json", "latency-2.json", "solved-1.json", "own.txt"):
        (folder / name).write_text("x" * 1024)
        os.utime(folder / name, (1000, 1000))
    return folder


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as done:
        main(["cache", *arguments])
    out, err = capsys.readouterr()
    return done.value.code or 0, out, err


def test_the_table_says_where_what_and_how_much_within_80_columns(cache, capsys):
    code, out, err = run(capsys)
    assert (code, err) == (0, "")
    where, *table = out.splitlines()
    assert where == str(cache)
    assert max(map(len, table)) <= 80
    assert [row.split()[:5] for row in table if "latency" in row] == [
        ["latency", "profiles", "2", "2.0", "KiB"]
    ]
    assert "20.00 GiB" in out


def test_json_has_the_same(cache, capsys):
    found = json.loads(run(capsys, "--json")[1])
    assert (found["location"], found["entries"], found["size_bytes"]) == (str(cache), 4, 4096)
    kinds = {row["kind"]: (row["entries"], row["size_bytes"]) for row in found["kinds"]}
    assert kinds["latency profiles"] == (2, 2048)


def test_clear_removes_it_and_says_so(cache, capsys):
    assert run(capsys, "clear")[:2] == (0, "removed: 3 (3.0 KiB)\n")
    assert json.loads(run(capsys, "clear", "--json")[1])["removed_entries"] == 0
    assert (cache / "own.txt").exists()


def test_a_cache_that_does_not_exist_is_empty_and_stays_away(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "none"))
    assert json.loads(run(capsys, "--json")[1])["entries"] == 0
    assert run(capsys, "clear")[:2] == (0, "removed: 0 (0 B)\n")
    assert not (tmp_path / "none").exists()
