"""What is written is read again under the same names, those of NumPy's own parameters included."""

import numpy as np
import pytest

from profiling.records.npz_files import write_npz

NAMES = ("file", "allow_pickle", "args", "kwds", "arr_0", "a/b", "../x", "x.npy", "my output: é", "a\nb", "")


def test_arrays_of_any_name_are_read_again(tmp_path):
    arrays = {name: np.full((2, i), i, np.float32) for i, name in enumerate(NAMES)}
    write_npz(tmp_path / "a.npz", arrays)
    with np.load(tmp_path / "a.npz") as archive:
        assert archive.files == list(NAMES)
        for name, array in arrays.items():
            np.testing.assert_array_equal(archive[name], array)


def test_every_type_keeps_its_shape_and_bytes_as_numpy_writes_them(tmp_path):
    arrays = {
        dtype: np.arange(6).astype(dtype).reshape(shape)
        for dtype, shape in {
            "float16": (2, 3),
            "int64": (6,),
            "bool": (1, 6),
            "uint8": (6, 1),
            "<U3": (3, 2),
        }.items()
    } | {"scalar": np.float32(1.5), "none": np.zeros((0, 3))}
    write_npz(tmp_path / "mine.npz", arrays)
    np.savez(tmp_path / "theirs.npz", **arrays)
    with np.load(tmp_path / "mine.npz") as mine, np.load(tmp_path / "theirs.npz") as theirs:
        for name in arrays:
            assert mine[name].dtype == theirs[name].dtype
            assert mine[name].shape == theirs[name].shape
            assert mine[name].tobytes() == theirs[name].tobytes()


def test_objects_are_refused_since_reading_them_may_run_code(tmp_path):
    with pytest.raises(ValueError, match="allow_pickle"):
        write_npz(tmp_path / "a.npz", {"x": np.array([{}], dtype=object)})
