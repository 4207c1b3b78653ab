"""What is said of the files of tests that take longest."""

from longest_files import LONGEST_FILES
from repository import ROOT


def test_they_are_there_once_each():
    assert len(set(LONGEST_FILES)) == len(LONGEST_FILES)
    assert [name for name in LONGEST_FILES if not (ROOT / "tests" / name).is_file()] == []


def test_they_come_first_in_their_order(request):
    """In whichever part of the tests is run."""
    order = {ROOT / "tests" / name: rank for rank, name in enumerate(LONGEST_FILES)}
    ranks = [order.get(item.path, len(order)) for item in request.session.items]
    assert ranks == sorted(ranks)
