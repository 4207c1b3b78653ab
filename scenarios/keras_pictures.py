"""Random pictures as ResNet50 wants them, for a scenario that has to run without downloads.

A reader gives one sample at a time, as ONNX Runtime's CalibrationDataReader does: a dictionary of arrays,
then None. Channels come last, as Keras has them.
"""

import numpy as np

SIDE, PATCHES = 224, 8
# What keras.applications.resnet.preprocess_input takes off, channels blue, green, red.
MEAN = np.array([103.939, 116.779, 123.68], np.float32)


class Pictures:
    """Soft patches of colour under some grain."""

    def __init__(self, seed: int, count: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._left = count

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next picture, or None after the last one."""
        if not self._left:
            return None
        self._left -= 1
        patches = self._rng.uniform(0, 255, (PATCHES, PATCHES, 3))
        pixels = blurred(np.kron(patches, np.ones((SIDE // PATCHES, SIDE // PATCHES, 1))))
        pixels = np.clip(pixels + self._rng.normal(0, 12, pixels.shape), 0, 255).astype(np.float32)
        return {"input_layer": (pixels - MEAN)[None]}


def blurred(pixels: np.ndarray) -> np.ndarray:
    """Return pixels averaged over a window as wide as a patch, in both directions."""
    width = SIDE // PATCHES
    for axis in (0, 1):
        edges = [(0, 0)] * 3
        edges[axis] = (width // 2, width - width // 2)
        sums = np.cumsum(np.pad(pixels, edges, mode="edge"), axis=axis)
        ahead, behind = (np.take(sums, np.arange(SIDE) + shift, axis=axis) for shift in (width, 0))
        pixels = (ahead - behind) / width
    return pixels


class Calibration(Pictures):
    """What ranges and noise are measured on."""

    def __init__(self) -> None:
        super().__init__(seed=1, count=96)


class Evaluation(Pictures):
    """What the plan is judged on."""

    def __init__(self) -> None:
        super().__init__(seed=2, count=32)
