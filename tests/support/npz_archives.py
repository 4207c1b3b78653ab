"""Arrays of an npz archive whose file is closed again."""

from pathlib import Path
from typing import Any

import numpy as np


def arrays_of(path: Path | str) -> dict[str, np.ndarray[Any, Any]]:
    """Return all arrays of an archive by name; an archive left open fails a later test at random."""
    with np.load(path) as archive:
        return dict(archive)
