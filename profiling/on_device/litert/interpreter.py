"""Opens and runs `.tflite` models: threads are always explicit."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np

from profiling.on_device.runtime_session import Feeds

SIGNATURE = "serving_default"
FEWEST_THREADS = 1
_STDERR = 2
_PACKAGES = (  # that have the interpreter, the one that is meant first
    ("ai_edge_litert.interpreter", "ai-edge-litert"),
    ("tflite_runtime.interpreter", "tflite-runtime"),
    ("tensorflow.lite.python.interpreter", "tensorflow"),
)


class FeedError(Exception):
    """What is fed does not fit the model."""


class _Package(NamedTuple):
    """A package with the interpreter, and its name in the package index."""

    module: Any
    distribution: str


@cache
def _package() -> _Package:
    """Return the first package that is installed.

    Raises
    ------
    ImportError
        If none is, or it cannot be loaded.
    """
    here = [one for one in _PACKAGES if find_spec(one[0].partition(".")[0]) is not None]
    module, distribution = (here or _PACKAGES)[0]
    return _Package(import_module(module), distribution)


def litert_version() -> str:
    """Return name and version of the package that has the interpreter."""
    module, distribution = _package()
    try:
        return f"{distribution} {metadata.version(distribution)}"
    except metadata.PackageNotFoundError:  # built for the board, or of another distribution
        top = sys.modules[module.__name__.partition(".")[0]]
        return f"{distribution} {getattr(top, '__version__', 'of unknown version')}"


def open_interpreter(content: bytes, threads: int, *, keeping_all: bool = False) -> Any:
    """Return an interpreter of a model, its tensors not allocated.

    Parameters
    ----------
    keeping_all
        Whether what lies between operators can be read after a run.
    """
    module = _package().module
    interpreter = module.Interpreter(
        model_content=content, num_threads=threads, experimental_preserve_all_tensors=keeping_all
    )
    if interpreter.get_input_details():
        return interpreter
    # The delegate that is there by default fails where there are constants only.
    return module.Interpreter(
        model_content=content,
        num_threads=threads,
        experimental_op_resolver_type=module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=keeping_all,
    )


@cache
def hide_announcement(tiny: bytes) -> None:
    """Have the runtime say once, to nobody, that it has made its delegate: it writes to descriptor 2.

    Parameters
    ----------
    tiny
        A model that the delegate takes.
    """
    with _silenced():
        open_interpreter(tiny, FEWEST_THREADS).allocate_tensors()


@contextmanager
def _silenced() -> Iterator[None]:
    sys.stderr.flush()
    kept, nowhere = os.dup(_STDERR), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, _STDERR)
        yield
    finally:
        os.dup2(kept, _STDERR)
        os.close(kept)
        os.close(nowhere)


class OpenedEnd(NamedTuple):
    """An input or output of an opened model."""

    name: str


class OpenedModel:
    """Runs a model, or a stage, whose inputs have the shapes of its file.

    Nothing but arrays goes between the caller and the runtime: small stages take microseconds.

    Parameters
    ----------
    content
        The bytes of a file with the signature `serving_default`.
    threads
        Of every operator.
    """

    def __init__(self, content: bytes, threads: int) -> None:
        self._interpreter = open_interpreter(content, threads)
        runner = self._interpreter.get_signature_runner(SIGNATURE)
        self._wanted = runner.get_input_details()
        self._given = {name: int(one["index"]) for name, one in runner.get_output_details().items()}
        del runner  # the interpreter allocates only while nobody else holds it
        self._interpreter.allocate_tensors()

    def get_inputs(self) -> Sequence[OpenedEnd]:
        """Return what it reads."""
        return [OpenedEnd(name) for name in self._wanted]

    def get_outputs(self) -> Sequence[OpenedEnd]:
        """Return what it gives."""
        return [OpenedEnd(name) for name in self._given]

    def run(self, names: Sequence[str] | None, feeds: Feeds, _options: object = None, /) -> list[Any]:
        """Return outputs of one sample, by name or all in order.

        Raises
        ------
        FeedError
            If the sample does not fit the model.
        """
        for name, details in self._wanted.items():
            self._interpreter.set_tensor(details["index"], fed(feeds, name, details))
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(self._given[name]) for name in names or self._given]


class TimedModel:
    """Runs a stage without copying what goes in and out, so that only computing is timed."""

    def __init__(self, content: bytes, feeds: Feeds, threads: int) -> None:
        self._interpreter = open_interpreter(content, threads)
        wanted = self._interpreter.get_signature_runner(SIGNATURE).get_input_details()
        values = {details["index"]: fed(feeds, name, details) for name, details in wanted.items()}
        for index, value in values.items():
            self._interpreter.resize_tensor_input(index, value.shape)
        self._interpreter.allocate_tensors()
        for index, value in values.items():
            self._interpreter.set_tensor(index, value)

    def __call__(self) -> None:
        """Compute once."""
        self._interpreter.invoke()


class KeepingModel:
    """Runs a whole model, and tells what tensors between its operators hold.

    Parameters
    ----------
    names
        Of those tensors, as the file has them.
    """

    def __init__(self, content: bytes, names: Collection[str]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that to keep all tensors takes memory
            self._interpreter = open_interpreter(content, FEWEST_THREADS, keeping_all=True)
            self._runner = self._interpreter.get_signature_runner(SIGNATURE)
        self._wanted = self._runner.get_input_details()
        self._names = frozenset(names)

    def values(self, feeds: Feeds) -> dict[str, Any]:
        """Return tensor -> array for one sample, without those that the runtime never made room for."""
        self._runner(**{name: fed(feeds, name, details) for name, details in self._wanted.items()})
        found = {one["name"]: one["index"] for one in self._interpreter.get_tensor_details()}
        held = {name: _held(self._interpreter, found[name]) for name in found if name in self._names}
        return {name: value for name, value in held.items() if value is not None}


def fed(feeds: Feeds, name: str, details: Mapping[str, Any]) -> Any:
    """Return the array that is fed to an input.

    Raises
    ------
    FeedError
        If there is none, or one of another type.
    """
    if name not in feeds:
        raise FeedError(f"the input {name!r} is missing; given are {', '.join(map(repr, feeds))}")
    value = np.asarray(feeds[name])
    if value.dtype != details["dtype"]:
        wanted = np.dtype(details["dtype"]).name
        raise FeedError(f"the input {name!r} is {value.dtype.name}, the model wants {wanted}")
    return np.asarray(value, order="C")  # a scalar stays one


def _held(interpreter: Any, index: int) -> Any:
    """Return what a tensor holds, None where the runtime never made room for it."""
    try:
        return interpreter.get_tensor(index)
    except ValueError:
        return None
