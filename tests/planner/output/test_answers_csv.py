import csv
import io

import numpy as np
import pytest

from planner.errors import OutputError
from planner.output.answers_csv import answers_csv, check_names_classes
from planner.plan.manifest import Port

SCORES = np.random.default_rng(5).normal(size=(7, 1, 3)).astype(np.float32)


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("shape", [(7, 1, 3), (7, 1, 3, 1, 1), (7, 3)])
def test_each_sample_has_its_class_with_the_largest_score(shape):
    found = rows_of(answers_csv(SCORES.reshape(shape), (), {"sample": range(7)}))
    for number, row in enumerate(found):
        own = SCORES[number].reshape(-1)
        assert row.keys() == {"sample", "class", "score"}
        assert int(row["sample"]) == number
        assert own[int(row["class"])] == own.max()
        assert float(row["score"]) == pytest.approx(own.max(), rel=1e-6)


def test_names_and_files_may_hold_anything():
    classes = ("cat", 'a "dog", large', "")
    files = [f"{number}, é.png" for number in range(7)]
    found = rows_of(answers_csv(SCORES, classes, {"file": files}))
    assert [row["file"] for row in found] == files
    assert [row["name"] for row in found] == [classes[int(row["class"])] for row in found]


def test_an_output_that_is_the_class_itself_has_no_score():
    found = rows_of(answers_csv(np.array([[2], [0], [9]]), ("a", "b", "c"), {"sample": range(3)}))
    assert [(row["class"], row["name"]) for row in found] == [("2", "c"), ("0", "a"), ("9", "")]
    assert "score" not in found[0]


def test_what_names_no_class_is_refused():
    check_names_classes([Port(name="y", dtype="float32", shape=(1, 10))], "--output a.csv")
    with pytest.raises(
        OutputError, match=r"--output a.csv: a .csv holds classes, and output 'y' \(float32 1x9x4"
    ):
        check_names_classes([Port(name="y", dtype="float32", shape=(1, 9, 4))], "--output a.csv")
