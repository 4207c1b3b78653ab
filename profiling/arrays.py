"""Types of the numbers that go in and out of a model."""

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]
"""Input name -> array, one sample of a model whose shapes are static."""
