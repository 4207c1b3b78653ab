"""How a call ends that fails or is interrupted, for a caller from Python."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from planner.errors import DataError
from profiling.errors import SplitquantError, naming_runtime_errors

# The command's options whose parameter has another name than the option with underscores.
_PARAMETERS = {"bandwidth": "bandwidths", "input": "inputs", "link": "links"}
_OPTION = re.compile(r"(?<![\w-])--([a-z][a-z-]*)")
_COMMAND = re.compile(r"\bplan (?:[a-z]+|SCENARIO) ")


@contextmanager
def public_call() -> Iterator[None]:
    """Let errors of the runtime be public ones in the block, and an interrupt be an interrupt.

    Interrupted code of the user's (a metric, a reader) fails with a DataError: whoever interrupted it in a
    notebook wants the cell to end, and not the next call to begin.
    """
    try:
        with naming_runtime_errors():
            yield
    except DataError as exc:
        if isinstance(exc.__cause__, KeyboardInterrupt):
            raise KeyboardInterrupt from exc
        raise


@contextmanager
def naming_parameters() -> Iterator[None]:
    """Let errors in the block speak of parameters where they speak of the command's options.

    What follows a command that they advise stays as it is; `--out` is the file or folder that it names.
    """
    try:
        yield
    except SplitquantError as exc:
        exc.args = tuple(in_parameters(arg) if isinstance(arg, str) else arg for arg in exc.args)
        raise


def in_parameters(text: str) -> str:
    """Return a message with parameters for the options of a command.

    Examples
    --------
    >>> in_parameters("--time-limit-s 0: must be seconds > 0")
    'time_limit_s 0: must be seconds > 0'
    >>> in_parameters("--out mine: holds files; try plan compare s.yaml --bandwidth 1")
    'mine: holds files; try plan compare s.yaml --bandwidth 1'
    >>> in_parameters("give what `plan SCENARIO --out DIR` wrote")
    'give what `plan SCENARIO --out DIR` wrote'
    """
    command = _COMMAND.search(text)
    end = command.start() if command else len(text)
    said = text[:end].replace("--out ", "")
    return _OPTION.sub(_parameter, said) + text[end:]


def _parameter(option: re.Match[str]) -> str:
    return _PARAMETERS.get(option[1], option[1].replace("-", "_"))
