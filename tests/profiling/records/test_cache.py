from functools import partial
from pathlib import Path

import numpy as np

from profiling.directories import cache_folder, scratch_folder
from profiling.records.cache import cache_key, cached, samples_hash
from profiling.records.json_files import load_json, save_json
from profiling.records.profile import TensorNoise


def test_a_value_is_made_once(tmp_path):
    made = []

    def make() -> TensorNoise:
        made.append(1)
        return TensorNoise("t", 0.5)

    path = tmp_path / "e.json"
    assert cached(path, TensorNoise, make) == cached(path, TensorNoise, make) == TensorNoise("t", 0.5)
    assert len(made) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["e.json"]


def test_a_corrupt_entry_is_made_anew(tmp_path):
    path = tmp_path / "e.json"
    for text in ("", "{", '{"tensor": 3, "power": "x"}', "\x00\x01"):
        path.write_text(text)
        assert cached(path, TensorNoise, lambda: TensorNoise("t", 0.5)).power == 0.5
        assert cached(path, TensorNoise, lambda: TensorNoise("other", 0.1)).tensor == "t"


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path):
    path = tmp_path / "missing" / "e.json"
    assert cached(path, TensorNoise, lambda: TensorNoise("t", 0.5)).power == 0.5


def test_keys_depend_on_every_part():
    key = partial(cache_key, samples_hash)
    assert key(a=1, b=2) == key(b=2, a=1)
    assert len({key(a=1), key(a=2), key(b=1), key(a=1, b=1)}) == 4


def test_samples_with_other_values_names_or_types_have_another_hash():
    one = {"x": np.zeros(3, np.float32)}
    others = [{"x": np.ones(3, np.float32)}, {"y": np.zeros(3, np.float32)}, {"x": np.zeros(3)}]
    assert samples_hash([one]) == samples_hash([dict(one)])
    assert len({samples_hash([s]) for s in (one, *others)}) == 4


def test_the_cache_lives_in_the_users_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert tmp_path in cache_folder().parents


def test_a_written_file_is_as_readable_as_any_other(tmp_path):
    (tmp_path / "plain").touch()
    save_json(TensorNoise("t", 0.5), tmp_path / "e.json")
    assert (tmp_path / "e.json").stat().st_mode == (tmp_path / "plain").stat().st_mode
    (tmp_path / "link").symlink_to(tmp_path / "e.json")
    save_json(TensorNoise("u", 0.5), tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert load_json(tmp_path / "e.json", TensorNoise).tensor == "u"


def test_where_the_cache_cannot_be_written_a_passing_folder_is_used_and_told_once(
    monkeypatch, tmp_path, caplog
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = cache_folder()
    assert folder.is_dir()
    assert cache_folder() == folder
    assert [scratch_folder().parent, scratch_folder().parent] == [folder, folder]
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(f"cache {tmp_path}/file/splitquant: Not a directory")


def test_without_a_home_nothing_is_written_into_the_working_folder(monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", "")  # set back afterwards
    found = Path("~/.cache/splitquant")  # where neither HOME nor the system knows a home
    monkeypatch.setattr("platformdirs.user_cache_path", lambda _: found)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert scratch_folder().is_absolute()
    assert not (tmp_path / "~").exists()
    assert "there is no home folder" in caplog.text
