"""Samples that are WAV clips in a folder, with their labels."""

from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path

import numpy as np

from planner.errors import DataError
from planner.inputs.dataset import Dataset, Input, fit
from planner.inputs.file_samples import dataset_of_files
from planner.inputs.labels.folder_files import FileKind
from planner.inputs.labels.labelled_files import labelled_files
from planner.inputs.wav_file import read_wav
from planner.scenario.data_schema import AudioSpec, SampleSpec
from planner.user_objects import calling, import_object
from profiling.arrays import Array

CLIPS = FileKind("clips", "clips", frozenset({".wav", ".wave"}))
Features = Callable[[Array, int], object]


def clip_samples(spec: SampleSpec, inputs: Sequence[Input], where: str) -> Dataset:
    """Return WAV clips of a folder, prepared as the scenario says, with their labels."""
    folder, audio = Path(str(spec.clips)), spec.audio
    if not folder.is_dir():
        raise DataError(f"{where}.clips: {folder} is not a folder")
    if len(inputs) != 1 or audio is None:
        raise DataError(f"{where}.clips: the model has {len(inputs)} inputs; clips feed one")
    target = audio.features
    features = None if target is None else import_object(target, f"{where}.audio.features")
    preparation = _Preparation(audio, features, inputs[0], where)
    files = labelled_files(spec, folder, CLIPS, where)

    return dataset_of_files(spec, folder, files, inputs[0].name, preparation.read, where)


class _Preparation:
    """Makes clips into what an input of a model takes."""

    def __init__(self, audio: AudioSpec, features: Features | None, tensor: Input, where: str) -> None:
        self._audio, self._features, self._tensor, self._where = audio, features, tensor, where
        self._length = None if audio.seconds is None else round(audio.seconds * audio.rate)
        if features is None:
            self._check_shape()

    def _check_shape(self) -> None:
        """Refuse an input that takes no row of samples, or one of another length."""
        shape = self._tensor.shape
        wanted = f"input {self._tensor.name!r} wants shape {list(shape)}"
        if sum(size != 1 for size in shape) != 1:
            raise DataError(
                f"{self._where}.audio: {wanted}, which is no row of samples; name the function that makes it "
                "of them: features: module:function"
            )
        if self._length is not None and self._length != prod(shape):
            raise DataError(
                f"{self._where}.audio: {self._audio.seconds:g} s at {self._audio.rate} Hz are {self._length} "
                f"samples, but {wanted}"
            )
        self._length = prod(shape)

    def read(self, path: Path) -> Array:
        """Return a clip as the input takes it.

        Raises
        ------
        DataError
            If it cannot be read, has another rate, or does not fit.
        """
        rate, samples = read_wav(path, f"{self._where}.clips")
        if rate != self._audio.rate:
            raise DataError(
                f"{self._where}.clips: {path} has {rate} Hz, but audio.rate says {self._audio.rate}: "
                "resample it"
            )
        samples = self._of_length(samples) * np.float32(self._audio.full_scale)
        value = samples if self._features is None else self._featured(self._features, samples, path)
        name = f"{self._where}: {path.name}"
        if [size for size in value.shape if size != 1] == [size for size in self._tensor.shape if size != 1]:
            value = value.reshape(self._tensor.shape)
        return fit(value, self._tensor, name)

    def _of_length(self, samples: Array) -> Array:
        if self._length is None:
            return samples
        return np.pad(samples[: self._length], (0, max(0, self._length - len(samples))))

    def _featured(self, features: Features, samples: Array, path: Path) -> Array:
        """Return what the user's function makes of a clip."""
        name = str(self._audio.features).rpartition("/")[2]
        with calling(f"{self._where}.audio.features: {name} failed on {path.name}"):
            value = np.array(features(samples, self._audio.rate))
        if value.dtype == object or not np.issubdtype(value.dtype, np.number):
            raise DataError(f"{self._where}.audio.features: {name} gives no array of numbers on {path.name}")
        return value
