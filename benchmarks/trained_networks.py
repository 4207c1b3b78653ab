"""Trained networks and their data where `SPLITQUANT_DATA` points."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Network:
    """Where a trained network and its data lie.

    Parameters
    ----------
    model
        In the shared data.
    samples
        Count, and which part of the data -> inputs of shape [N, 1, height, width, channels]. No sample is in
        two parts.
    """

    model: str
    samples: Callable[[int, int], np.ndarray]

    @property
    def path(self) -> Path:
        """Its ONNX model."""
        return _shared(self.model)


def _shared(path: str) -> Path:
    return Path(os.environ.get("SPLITQUANT_DATA", "")) / path


def is_there() -> bool:
    """Return whether the trained networks are on this machine."""
    return all(network.path.is_file() for network in NETWORKS.values())


def _imagenet(count: int, part: int) -> np.ndarray:
    files = sorted(_shared("imagenet_sample/images").iterdir())[part::4][:count]
    pixels = [np.asarray(Image.open(f).convert("RGB").crop((16, 16, 240, 240)), np.float32) for f in files]
    return np.stack(pixels)[:, None] / 127.5 - 1


def _cifar10(count: int, part: int) -> np.ndarray:
    name = "jpeg_train500_calib" if part == 0 else "jpeg_test2000"
    with np.load(_shared(f"cifar10_data/{name}.npz")) as archive:
        pixels = archive["x"][:count].astype(np.float32) / 255
    mean, spread = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    return ((pixels - mean) / spread).astype(np.float32)[:, None]


def _keywords(count: int, part: int) -> np.ndarray:
    with np.load(_shared("mlperf_tiny/kws01_mfcc_int8.npz")) as archive:
        levels = archive["x"][part::4][:count].astype(np.float32)
        found = (levels - archive["zero_point"]) * archive["scale"]
    return found.transpose(0, 2, 3, 1).astype(np.float32)[:, None]


def test_labels(count: int) -> np.ndarray:
    """Return the classes of the first of part 1 of CIFAR-10."""
    with np.load(_shared("cifar10_data/jpeg_test2000.npz")) as archive:
        labels: np.ndarray = archive["y"][:count]
    return labels


NETWORKS = {
    "MobileNetV2": Network("mobilenetv2_100_224/mobilenetv2_100_224.onnx", _imagenet),
    "ResNet20": Network("cifar10_resnet/resnet20_cifar10.onnx", _cifar10),
    "DS-CNN": Network("mlperf_tiny/dscnn_kws.onnx", _keywords),
}
