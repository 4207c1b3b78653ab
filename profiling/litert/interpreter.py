"""The door to LiteRT's interpreter: threads are always explicit, failures are one line."""

import os
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType, SignatureRunner

from profiling.arrays import Array, Feeds
from profiling.errors import ModelError
from profiling.graph.any_model import Stage
from profiling.litert.cut import SIGNATURE, whole_stage
from profiling.litert.load import LitertModel
from profiling.litert.one_operator import one_operator
from profiling.litert.table_access import tensors_of
from profiling.printable_text import first_line

_FEWEST_THREADS = 1
_STDERR = 2
_UNKNOWN_OPERATOR = re.compile(r"unresolved custom op: (.*?)\.(?:Node|$)")


class StageRunner:
    """Runs a stage by its signature.

    Parameters
    ----------
    content
        The bytes of a file with the signature `serving_default`.
    threads
        Of every operator.

    Raises
    ------
    ModelError
        If the runtime refuses the model: it lacks an operator, or a kernel for a type.
    """

    def __init__(self, content: bytes, threads: int = _FEWEST_THREADS) -> None:
        with naming_litert_errors("cannot load the model"):
            self._interpreter = _open(content, threads)
            self._runner: SignatureRunner = self._interpreter.get_signature_runner(SIGNATURE)

    def __call__(self, feeds: Feeds) -> dict[str, Array]:
        """Return the outputs of one sample by name.

        Parameters
        ----------
        feeds
            Input name -> array; names that the stage does not read are left out.
        """
        wanted = self._runner.get_input_details()
        with naming_litert_errors("fails on this model and data"):
            result: dict[str, Array] = self._runner(
                **{name: _fed(feeds, name, wanted[name]) for name in wanted}
            )
        return result


class OpenedStage:
    """Runs a stage whose inputs have the shapes of its file; errors as `StageRunner`.

    Nothing but arrays goes between the caller and the runtime: small stages take microseconds.
    """

    def __init__(self, content: bytes, threads: int = _FEWEST_THREADS) -> None:
        with naming_litert_errors("cannot load the model"):
            self._interpreter = _open(content, threads)
            runner = self._interpreter.get_signature_runner(SIGNATURE)
            self._wanted = runner.get_input_details()
            self._given = {name: int(one["index"]) for name, one in runner.get_output_details().items()}
            del runner  # the interpreter allocates only while nobody else holds it
            self._interpreter.allocate_tensors()

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of what it reads."""
        return tuple(self._wanted)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what it gives."""
        return tuple(self._given)

    def run(self, feeds: Feeds, names: Sequence[str] | None = None) -> list[Array]:
        """Return outputs of one sample, by name or all in order."""
        with naming_litert_errors("fails on this model and data"):
            for name, details in self._wanted.items():
                self._interpreter.set_tensor(details["index"], _fed(feeds, name, details))
            self._interpreter.invoke()
            return [self._interpreter.get_tensor(self._given[name]) for name in names or self._given]


class TimedInterpreter:
    """Runs a stage without copying what goes in and out, so that only computing is timed."""

    def __init__(self, stage: Stage, feeds: Feeds, threads: int = _FEWEST_THREADS) -> None:
        with naming_litert_errors("cannot load the model"):
            self._interpreter = _open(stage.content, threads)
            wanted = self._interpreter.get_signature_runner(SIGNATURE).get_input_details()
            values = {details["index"]: _fed(feeds, name, details) for name, details in wanted.items()}
            for index, value in values.items():
                self._interpreter.resize_tensor_input(index, value.shape)
            self._interpreter.allocate_tensors()
            for index, value in values.items():
                self._interpreter.set_tensor(index, value)

    def __call__(self) -> None:
        """Compute once."""
        self._interpreter.invoke()


def run_chain(
    model: LitertModel, stages: Sequence[Stage], feeds: Feeds, threads: int = _FEWEST_THREADS
) -> dict[str, Array]:
    """Return the outputs of a model by its signature's keys, computed by stages one after another."""
    runners = [StageRunner(stage.content, threads) for stage in stages]
    values = dict(feeds)
    for runner in runners:
        values.update(runner(values))
    return model_outputs(model, values)


def model_outputs(model: LitertModel, values: Mapping[str, Array]) -> dict[str, Array]:
    """Return a model's outputs by its signature's keys, from its tensors by name."""
    return {
        key: model.constant(tensor) if model.is_constant(tensor) else values[model.names[tensor]]
        for key, tensor in model.outputs.items()
    }


def run_model(model: LitertModel, feeds: Feeds, threads: int = _FEWEST_THREADS) -> dict[str, Array]:
    """Return the outputs of a whole model by its signature's keys."""
    return run_chain(model, [whole_stage(model)], feeds, threads)


def runtime_version() -> str:
    """Return LiteRT's version."""
    return version("ai-edge-litert")


def tensor_values(model: LitertModel, samples: Sequence[Feeds]) -> Iterator[dict[int, Array]]:
    """Yield, for each sample, what each computed or fed tensor of the graph holds."""
    stage = whole_stage(model)
    kept = sorted({*model.inputs.values(), *model.outputs.values(), *_used(model)})
    readable = [t for t in kept if model.element_type(t).can_be_handed_over and not model.is_constant(t)]
    with naming_litert_errors("cannot load the model"), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that to keep all tensors takes memory
        interpreter = _open(stage.content, _FEWEST_THREADS, keeping_all=True)
        runner = interpreter.get_signature_runner(SIGNATURE)
    wanted = runner.get_input_details()
    numbers = {model.names[tensor]: tensor for tensor in readable}
    for feeds in samples:
        with naming_litert_errors("fails on this model and data"):
            runner(**{name: _fed(feeds, name, wanted[name]) for name in wanted})
            found = {d["name"]: d["index"] for d in interpreter.get_tensor_details() if d["name"] in numbers}
        held = {numbers[name]: _held(interpreter, index) for name, index in found.items()}
        yield {tensor: value for tensor, value in held.items() if value is not None}


def is_delegated(content: bytes) -> bool:
    """Return whether all of a stage's operators run in the delegate that is there by default, XNNPACK.

    Yes where the runtime does not tell.

    Raises
    ------
    ModelError
        If the runtime refuses the stage.
    """
    with naming_litert_errors("cannot load the model"):
        interpreter = _open(content, _FEWEST_THREADS)
        interpreter.allocate_tensors()
    if not hasattr(interpreter, "_get_ops_details"):
        return True
    delegates = [one for one in interpreter._get_ops_details() if one["op_name"] == "DELEGATE"]  # noqa: SLF001
    ends = [
        {int(end["index"]) for end in find()}
        for find in (interpreter.get_input_details, interpreter.get_output_details)
    ]
    return len(delegates) == 1 and all(
        end <= {int(tensor) for tensor in delegates[0][field]}
        for end, field in zip(ends, ("inputs", "outputs"), strict=True)
    )


def _open(content: bytes, threads: int, *, keeping_all: bool = False) -> Interpreter:
    hide_announcement()
    interpreter = Interpreter(
        model_content=content, num_threads=threads, experimental_preserve_all_tensors=keeping_all
    )
    if interpreter.get_input_details():
        return interpreter
    # The delegate that is there by default fails where there are constants only.
    return Interpreter(
        model_content=content,
        num_threads=threads,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=keeping_all,
    )


@cache
def hide_announcement() -> None:
    """Have the runtime say once, to nobody, that it has made its delegate: it writes to descriptor 2."""
    sys.stderr.flush()
    kept, nowhere = os.dup(_STDERR), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, _STDERR)
        Interpreter(model_content=one_operator(), num_threads=1).allocate_tensors()
    finally:
        os.dup2(kept, _STDERR)
        os.close(kept)
        os.close(nowhere)


def _held(interpreter: Interpreter, index: int) -> Array | None:
    """Return what a tensor holds, None where the runtime never made room for it."""
    try:
        value: Array = interpreter.get_tensor(index)
    except ValueError:
        return None
    return value


def _used(model: LitertModel) -> Iterator[int]:
    for operator in model.operators:
        yield from (*tensors_of(operator.inputs), *tensors_of(operator.outputs))


def _fed(feeds: Feeds, name: str, details: Mapping[str, object]) -> Array:
    if name not in feeds:
        raise ModelError(f"the input {name!r} is missing; given are {', '.join(map(repr, feeds))}")
    value = np.asarray(feeds[name])
    if value.dtype != details["dtype"]:
        wanted = np.dtype(details["dtype"]).name  # type: ignore[call-overload]
        raise ModelError(f"the input {name!r} is {value.dtype.name}, the model wants {wanted}")
    return np.asarray(value, order="C")  # a scalar stays one


@contextmanager
def naming_litert_errors(what: str) -> Iterator[None]:
    """Raise what LiteRT raises in the block as a ModelError: it raises built-in exceptions."""
    try:
        yield
    except (RuntimeError, ValueError) as exc:
        said = first_line(exc)
        if unknown := _UNKNOWN_OPERATOR.search(said):
            said = f"it has no operator {unknown[1]}, a custom one that its Python package does not bring"
        raise ModelError(f"LiteRT {what}: {said}") from exc
