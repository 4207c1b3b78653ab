"""Answers that name a class as a CSV table: a row for each sample, with the class, its name and its score."""

import csv
import io
from collections.abc import Mapping, Sequence

import numpy as np

from planner.errors import OutputError
from planner.inputs.model_answers import names_class
from planner.plan.manifest import Port
from profiling.arrays import Array


def check_names_classes(outputs: Sequence[Port], option: str) -> None:
    """Refuse a table of answers that name no class.

    Parameters
    ----------
    option
        What asked for it, for messages.

    Raises
    ------
    OutputError
        If the first output holds something else.
    """
    first = outputs[0]
    if not names_class(first.dtype, first.shape):
        shape = "x".join(map(str, first.shape))
        raise OutputError(
            f"{option}: a .csv holds classes, and output {first.name!r} ({first.dtype} {shape}) names none; "
            "write .npz"
        )


def answers_csv(scores: Array, classes: Sequence[str], beside: Mapping[str, Sequence[object]]) -> str:
    """Return a table with a header and a row for each sample.

    Parameters
    ----------
    scores
        The output that names a class, of shape [samples, ...]: a score for each, or the number itself.
    classes
        Their names in the model's order; empty where they are not known.
    beside
        Column -> values that stand first in a row, such as the files.
    """
    rows = scores.reshape(len(scores), -1)
    are_numbers = rows.shape[1] == 1
    chosen = rows[:, 0].astype(np.int64) if are_numbers else rows.argmax(axis=1)
    columns: dict[str, Sequence[object]] = dict(beside)
    columns["class"] = chosen.tolist()
    if classes:
        columns["name"] = [classes[n] if 0 <= n < len(classes) else "" for n in chosen.tolist()]
    if not are_numbers:
        columns["score"] = [f"{row[n]:.7g}" for row, n in zip(rows, chosen, strict=True)]
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()
