"""The door to LiteRT's interpreter: threads are always explicit, failures are one line."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version

from ai_edge_litert.interpreter import Interpreter, SignatureRunner

from profiling.arrays import Array, Feeds
from profiling.errors import ModelError
from profiling.graph.any_model import Stage
from profiling.litert.cut import SIGNATURE, whole_stage
from profiling.litert.load import LitertModel
from profiling.litert.one_operator import one_operator
from profiling.litert.table_access import tensors_of
from profiling.on_device.litert.interpreter import (
    FEWEST_THREADS,
    FeedError,
    KeepingModel,
    OpenedModel,
    TimedModel,
    fed,
    open_interpreter,
)
from profiling.on_device.litert.interpreter import hide_announcement as hide_announcement_with
from profiling.printable_text import first_line

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

    def __init__(self, content: bytes, threads: int = FEWEST_THREADS) -> None:
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
                **{name: fed(feeds, name, wanted[name]) for name in wanted}
            )
        return result


class OpenedStage(OpenedModel):
    """Runs a stage whose inputs have the shapes of its file; errors as `StageRunner`."""

    def __init__(self, content: bytes, threads: int = FEWEST_THREADS) -> None:
        hide_announcement()
        with naming_litert_errors("cannot load the model"):
            super().__init__(content, threads)

    def run(self, names: Sequence[str] | None, feeds: Feeds, _options: object = None, /) -> list[Array]:
        """Return outputs of one sample, by name or all in order."""
        with naming_litert_errors("fails on this model and data"):
            return super().run(names, feeds)


class TimedInterpreter(TimedModel):
    """Runs a stage without copying what goes in and out, so that only computing is timed."""

    def __init__(self, stage: Stage, feeds: Feeds, threads: int = FEWEST_THREADS) -> None:
        hide_announcement()
        with naming_litert_errors("cannot load the model"):
            super().__init__(stage.content, feeds, threads)


def run_chain(
    model: LitertModel, stages: Sequence[Stage], feeds: Feeds, threads: int = FEWEST_THREADS
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


def run_model(model: LitertModel, feeds: Feeds, threads: int = FEWEST_THREADS) -> dict[str, Array]:
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
    numbers = {model.names[tensor]: tensor for tensor in readable}
    hide_announcement()
    with naming_litert_errors("cannot load the model"):
        keeping = KeepingModel(stage.content, numbers.keys())
    for feeds in samples:
        with naming_litert_errors("fails on this model and data"):
            held = keeping.values(feeds)
        yield {numbers[name]: value for name, value in held.items()}


def is_delegated(content: bytes) -> bool:
    """Return whether all of a stage's operators run in the delegate that is there by default, XNNPACK.

    Yes where the runtime does not tell.

    Raises
    ------
    ModelError
        If the runtime refuses the stage.
    """
    with naming_litert_errors("cannot load the model"):
        interpreter = _open(content, FEWEST_THREADS)
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


def _open(content: bytes, threads: int) -> Interpreter:
    hide_announcement()
    return open_interpreter(content, threads)


@cache
def hide_announcement() -> None:
    """Have the runtime say once, to nobody, that it has made its delegate."""
    hide_announcement_with(one_operator())


def _used(model: LitertModel) -> Iterator[int]:
    for operator in model.operators:
        yield from (*tensors_of(operator.inputs), *tensors_of(operator.outputs))


@contextmanager
def naming_litert_errors(what: str) -> Iterator[None]:
    """Raise what LiteRT raises in the block as a ModelError: it raises built-in exceptions."""
    try:
        yield
    except FeedError as exc:
        raise ModelError(str(exc)) from exc
    except (RuntimeError, ValueError) as exc:
        said = first_line(exc)
        if unknown := _UNKNOWN_OPERATOR.search(said):
            said = f"it has no operator {unknown[1]}, a custom one that its Python package does not bring"
        raise ModelError(f"LiteRT {what}: {said}") from exc
