"""What an exported plan runs on: arrays that fit the model, or images, prepared as the scenario says."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from planner.errors import DataError, PlannerError
from planner.inputs.dataset import Input, Samples, fit
from planner.inputs.image_preprocessing import IMAGE_SUFFIXES, placement_in_input, prepare_image, read_size
from planner.inputs.image_samples import read_fitted_image
from planner.inputs.load_samples import load_data
from planner.inputs.npz_samples import opened_archive
from planner.metrics.annotated_picture import AnnotatedPicture, PlacedPicture
from planner.output.record_files import held_scenario
from planner.output.saved_plan import PLAN, read_plan
from planner.plan.manifest import SCENARIO, Port
from planner.scenario.data_schema import ImageSpec, SampleSpec
from planner.scenario.file_kind import SCENARIO_SUFFIXES
from planner.scenario.loader import load_ready_scenario, parse_scenario
from profiling.arrays import Array, Feeds

_GIVEN = "inputs"  # what messages call arrays in memory
_SCENARIOS = (*SCENARIO_SUFFIXES, ".json")


@dataclass(frozen=True, slots=True)
class RunInput:
    """Samples to run, and the file of each where they are images.

    Parameters
    ----------
    placed
        Number of a sample -> its picture's own size, and where it lies in the input; None of arrays.
    """

    samples: Sequence[Feeds]
    files: tuple[str, ...] = ()
    placed: Callable[[int], PlacedPicture] | None = None


def read_run_input(source: Path, ports: Sequence[Port], outer: Collection[str], folder: Path) -> RunInput:
    """Return the samples of an .npz file, a folder of images (by name), one image, or a scenario to evaluate.

    Arrays that fit are taken as they are, others prepared as the scenario of the plan says.

    Parameters
    ----------
    ports
        Inputs of the stages that run.
    outer
        Names of the model's inputs: only these can be images.

    Raises
    ------
    DataError
        If something is missing or does not fit.
    ScenarioError
        If a scenario is wrong.
    """
    inputs = [Input(port.name, port.dtype, port.shape, port.channels_last) for port in ports]
    where = f"--input {source}"
    if source.suffix in _SCENARIOS:
        return _evaluation_input(source, inputs, outer, where)
    if source.is_dir():
        names = _pictures_in(source)
        if not names:
            raise DataError(f"{where}: holds no pictures ({', '.join(sorted(IMAGE_SUFFIXES))})")
        return _image_input([source / name for name in names], source, inputs, outer, folder, where)
    if source.suffix.lower() in IMAGE_SUFFIXES:
        return _image_input([source], source.parent, inputs, outer, folder, where)
    return _ArrayInput(_ArchiveFile(source, where), outer, folder, where).given(inputs)


def _pictures_in(folder: Path) -> list[str]:
    """Return the pictures of a folder by name; of one that has none, those of its folders."""
    for pattern in ("*", "*/*"):
        found = (path for path in folder.glob(pattern) if path.suffix.lower() in IMAGE_SUFFIXES)
        names = sorted(path.relative_to(folder).as_posix() for path in found)
        if names:
            return names
    return []


def given_run_input(
    arrays: Mapping[str, Array], ports: Sequence[Port], outer: Collection[str], folder: Path
) -> RunInput:
    """Return the samples of arrays by name, as `read_run_input` does those of an .npz file.

    Raises
    ------
    DataError
        If something is missing or does not fit.
    """
    inputs = [Input(port.name, port.dtype, port.shape, port.channels_last) for port in ports]
    return _ArrayInput(_GivenArrays(arrays), outer, folder, _GIVEN).given(inputs)


def _evaluation_input(
    scenario: Path, inputs: Sequence[Input], outer: Collection[str], where: str
) -> RunInput:
    inner = [tensor.name for tensor in inputs if tensor.name not in outer]
    if inner:
        raise DataError(
            f"{where}: a scenario has samples of the model; here an .npz must give {', '.join(inner)}"
        )
    evaluation = load_ready_scenario(scenario).data.evaluation
    data = load_data(evaluation, inputs, f"{where}: data.evaluation")
    if not data.files or data.labels is None:
        return RunInput(data.samples)
    pictures: list[AnnotatedPicture] = data.labels.tolist()
    return RunInput(data.samples, data.files, lambda index: pictures[index].placed)


def _image_input(
    files: Sequence[Path],
    root: Path,
    inputs: Sequence[Input],
    outer: Collection[str],
    folder: Path,
    where: str,
) -> RunInput:
    """Return pictures prepared as the scenario says, each named by its way from `root`."""
    if len(inputs) != 1 or inputs[0].name not in outer:
        names = ", ".join(tensor.name for tensor in inputs)
        if not any(tensor.name in outer for tensor in inputs):
            names += ", which the stages before write"
        raise DataError(f"{where}: pictures feed a model with one input; here an .npz must give {names}")
    spec = _preparation_in_scenario(folder, "images", where)

    def read(index: int) -> Feeds:
        return {inputs[0].name: read_fitted_image(files[index], inputs[0], spec.image, where)}

    relative = tuple(path.relative_to(root).as_posix() for path in files)

    def placed(index: int) -> PlacedPicture:
        height, width = read_size(files[index], where)
        return PlacedPicture(width, height, placement_in_input(height, width, spec.image or ImageSpec()))

    return RunInput(Samples(range(len(files)), read), relative, placed)


def _preparation_in_scenario(folder: Path, source: str, where: str) -> SampleSpec:
    """Return the part of the scenario's data that says how images are prepared: evaluation goes first.

    Parameters
    ----------
    source
        `images` or `npz`: a part that reads such a source goes before one that does not.
    """
    parts = [part for part in _data_of(folder, where) if part.image is not None]
    if not parts:
        raise DataError(f"{where}: the plan's scenario does not say how pictures are prepared; give arrays")
    return min(parts, key=lambda part: getattr(part, source) is None)


def _data_of(folder: Path, where: str) -> tuple[SampleSpec, SampleSpec]:
    """Return the scenario's data, evaluation first."""
    text = _scenario_text(folder)
    if text is None:
        raise DataError(
            f"{where}: must be prepared as the scenario says, which is in {PLAN}; put that beside the "
            "manifest, or give arrays as the model wants them"
        )
    data = parse_scenario(text).data
    return data.evaluation, data.calibration


def _scenario_text(folder: Path) -> bytes | None:
    """Return the scenario that lies in a folder by itself or in its plan, if either does."""
    if (folder / SCENARIO).is_file():
        return (folder / SCENARIO).read_bytes()
    if (folder / PLAN).is_file():
        return bytes(read_plan(folder / PLAN).scenario)
    return held_scenario(folder)


class _Arrays(Protocol):
    """Arrays by name: of a file, of which only those that are used are read, or in memory."""

    path: Path | None

    def named(self, choose: Callable[[Sequence[str]], str]) -> Array:
        """Return the array that a function chooses among their names."""


class _ArchiveFile:
    """The arrays of an .npz file."""

    def __init__(self, path: Path, where: str) -> None:
        self.path: Path | None = path
        self._path, self._where = path, where

    def named(self, choose: Callable[[Sequence[str]], str]) -> Array:
        with opened_archive(self._path, self._where) as archive:
            name = choose(archive.names)
            archive.check_size([name])
            return archive.read(name)


class _GivenArrays:
    """Arrays that are in memory."""

    path: Path | None = None

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self._arrays = arrays

    def named(self, choose: Callable[[Sequence[str]], str]) -> Array:
        name = choose(list(self._arrays))
        try:
            return np.asarray(self._arrays[name])
        except (ValueError, TypeError, RuntimeError) as exc:  # lists of different lengths, tensors elsewhere
            raise DataError(f"{_GIVEN}: {name!r} is no array: {exc}") from exc


class _ArrayInput:
    """Arrays as samples of a model or a stage."""

    def __init__(self, arrays: _Arrays, outer: Collection[str], folder: Path, where: str) -> None:
        self._arrays, self._outer, self._folder, self._where = arrays, outer, folder, where

    def given(self, inputs: Sequence[Input]) -> RunInput:
        """Return its samples."""
        own_part = self._own_part()
        columns: dict[str, Array] = {}
        specs: dict[str, ImageSpec | None] = {}
        for tensor in inputs:
            value = self._arrays.named(partial(self._name, tensor, own_part))
            columns[tensor.name], specs[tensor.name] = self._prepared(value, tensor, own_part)
        counts = {name: len(column) for name, column in columns.items()}
        if len(set(counts.values())) > 1:
            raise DataError(f"{self._where}: arrays hold different numbers of samples: {counts}")
        count = next(iter(counts.values()), 0)
        if count == 0:
            raise DataError(f"{self._where}: holds no samples")

        def read(index: int) -> Feeds:
            sample_name = f"{self._where}: sample {index}"
            return {
                t.name: fit(prepare_image(columns[t.name][index], specs[t.name]), t, sample_name)
                for t in inputs
            }

        return RunInput(Samples(range(count), read))

    def _prepared(
        self, value: Array, tensor: Input, own_part: SampleSpec | None
    ) -> tuple[Array, ImageSpec | None]:
        """Return an input's samples along the first axis, and how they become what the model wants."""
        is_model_input = tensor.name in self._outer
        if not (is_model_input and own_part is not None and own_part.image is not None):
            # An array that fits is taken as it is, unless the scenario prepares this very file.
            fits = _column(value, tensor)
            if fits is not None:
                return fits, None
        if is_model_input and _may_be_image(value, tensor, own_part):
            part = own_part or _preparation_in_scenario(
                self._folder, "npz", f"{self._where}: {tensor.name!r}"
            )
            return _as_batch(value), part.image
        raise DataError(
            f"{self._where}: {tensor.name!r} wants {tensor.dtype}, shape {list(tensor.shape)} or "
            f"[samples, ...], got {value.dtype} {list(value.shape)}"
        )

    def _own_part(self) -> SampleSpec | None:
        """Return the part of the scenario's data that names this very file, if there is one."""
        if self._arrays.path is None:
            return None
        try:
            parts = _data_of(self._folder, self._where)
        except PlannerError:  # arrays that fit need no scenario
            return None
        path = self._arrays.path.resolve()
        return next(
            (part for part in parts if part.npz is not None and Path(part.npz).resolve() == path), None
        )

    def _name(self, tensor: Input, own_part: SampleSpec | None, names: Sequence[str]) -> str:
        """Return the name of an input's array: its own, or what the scenario calls it."""
        candidates = [tensor.name]
        if own_part is not None:
            candidates.insert(0, own_part.inputs.get(tensor.name, tensor.name))
        elif tensor.name not in names and _scenario_text(self._folder) is not None:
            candidates += [p.inputs.get(tensor.name, "") for p in _data_of(self._folder, self._where)]
        array_name = next((name for name in candidates if name in names), None)
        if array_name is None:
            available = ", ".join(names) or "none"
            raise DataError(f"{self._where}: has no array {tensor.name!r}; it has {available}")
        return array_name


def _may_be_image(value: Array, tensor: Input, own_part: SampleSpec | None) -> bool:
    """Return whether an array may hold pixels: what the scenario prepares, or bytes for a float input."""
    if own_part is not None:
        return own_part.image is not None
    return value.dtype == np.uint8 and "float" in tensor.dtype and value.ndim in (3, 4)


def _as_batch(pixels: Array) -> Array:
    return pixels[None] if pixels.ndim == 3 else pixels  # noqa: PLR2004


def _column(value: Array, tensor: Input) -> Array | None:
    """Return an array whose first axis counts samples, or None if it does not fit an input.

    The whole shape is one sample, without or with the model's leading 1; one more axis counts samples.
    """
    wanted_type = np.dtype(tensor.dtype)
    floats = np.issubdtype(value.dtype, np.floating) and np.issubdtype(wanted_type, np.floating)
    if value.dtype != wanted_type and not floats:
        return None
    shapes = [tensor.shape, tensor.shape[1:] if tensor.shape[:1] == (1,) else tensor.shape]
    if tensor.channels_last and len(tensor.shape) > 2:  # noqa: PLR2004
        *leading, channels, height, width = tensor.shape
        channels_last = (*leading, height, width, channels)
        shapes += [channels_last, channels_last[1:] if channels_last[:1] == (1,) else channels_last]
    for shape in shapes:
        if value.shape == shape:
            return value[None]
        if value.ndim == len(shape) + 1 and value.shape[1:] == shape:
            return value
    return None
