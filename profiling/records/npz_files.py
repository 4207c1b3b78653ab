"""Arrays by name as an .npz file, whatever the names are."""

import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from profiling.arrays import Feeds


def write_npz(target: Path | IO[bytes], arrays: Feeds) -> None:
    """Write arrays as `numpy.savez` does, which takes those that are called like its parameters for these.

    Raises
    ------
    OSError
        If the target cannot be written.
    """
    with zipfile.ZipFile(target, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)  # type: ignore[no-untyped-call]
