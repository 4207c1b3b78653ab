"""The door to LiteRT's quantizer: what it is asked for each operator, and what it has no form for."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from io import StringIO
from typing import Any

import numpy as np
from litert_quantizer import algorithm_manager, qtyping, recipe_manager
from litert_quantizer.quantizer import Quantizer
from litert_quantizer.utils import tfl_flatbuffer_utils

from profiling.arrays import Array
from profiling.errors import QuantizeError
from profiling.litert.interpreter import hide_announcement
from profiling.litert.modes import Mode, WeightUse
from profiling.printable_text import first_line

_ALGORITHMS = algorithm_manager.AlgorithmName
_LONGEST_SCOPE = 10000  # characters of an operator's scope that rules are compared with
_NAMES: Mapping[int, Any] = tfl_flatbuffer_utils.TFL_OP_CODE_TO_NAME

Statistics = Mapping[str, tuple[float, float, int]]
"""Tensor name -> least and largest value, number of dimensions."""


@dataclass(frozen=True, slots=True)
class Request:
    """What one operator is to become.

    Parameters
    ----------
    outputs
        Names of the tensors that it writes, each occurring once in the model, letters and digits only.
    builtin_code
        Of the operator's type.
    """

    outputs: tuple[str, ...]
    builtin_code: int
    mode: Mode


def why_refused(builtin_code: int, mode: Mode) -> str:
    """Return why the quantizer has no form of an operator type in a mode; empty if it has one."""
    name = _NAMES.get(builtin_code)
    if name is None:
        return "LiteRT's quantizer does not know it"
    try:
        with _quiet():
            _add_rule(recipe_manager.RecipeManager(), Request(("x",), builtin_code, mode))
            algorithm_manager.get_quantization_func(_algorithm(mode), name, qtyping.QuantizeMode.MATERIALIZE)
    except ValueError:
        return f"LiteRT's quantizer has no {mode.name} form of it"
    return ""


def run_quantizer(content: bytes, requests: Sequence[Request], statistics: Statistics) -> bytes:
    """Return a model in which some operators are quantized, if the quantizer can: what it did is to be read.

    Raises
    ------
    QuantizeError
        If it fails over the model.
    """
    qsvs: dict[str, dict[str, Array]] = {
        name: {
            "min": np.full((1,) * dimensions, low, np.float32),
            "max": np.full((1,) * dimensions, high, np.float32),
        }
        for name, (low, high, dimensions) in statistics.items()
    }
    try:
        hide_announcement()  # it opens interpreters of its own
        with _quiet():
            quantizer = Quantizer(content)
            for request in requests:
                _add_rule(quantizer, request)
            static = any(request.mode.is_static for request in requests)
            result = quantizer.quantize(qsvs if static else None, None, False, False)  # noqa: FBT003
    except Exception as exc:  # its own share no public base class
        raise QuantizeError(f"LiteRT's quantizer fails on this model: {first_line(exc)}") from exc
    return bytes(result.quantized_model)


def _add_rule(target: Any, request: Request) -> None:
    scope = "".join(f"{name};" for name in request.outputs)[:_LONGEST_SCOPE]
    pattern, name, mode = f"^{scope}$", _NAMES[request.builtin_code], request.mode
    if mode.weight_use is WeightUse.BESIDE_INTEGERS:
        target.add_static_config(pattern, name, mode.activation_bits, mode.weight_bits)
    elif mode.weight_use is WeightUse.BESIDE_ROUNDED:
        target.add_dynamic_config(pattern, name, mode.weight_bits)
    else:
        target.add_weight_only_config(pattern, name, mode.weight_bits, algorithm_key=_algorithm(mode))


def _algorithm(mode: Mode) -> str:
    is_cast = mode.weight_type == "float16"
    return str((_ALGORITHMS.FLOAT_CASTING if is_cast else _ALGORITHMS.MIN_MAX_UNIFORM_QUANT).value)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantizer's log and progress bars out of the program's own output."""
    root = logging.getLogger()
    level = root.level
    logger = logging.getLogger("absl")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    root.setLevel(max(level, logging.ERROR))
    try:
        # The bars of one of its steps cannot be turned off.
        with warnings.catch_warnings(), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
        root.setLevel(level)
