import pytest

from planner.errors import DataError
from planner.inputs.labels.class_names import check_class_names


@pytest.mark.parametrize(("names", "offset", "classes"), [(3, 0, 3), (1000, 1, 1001), (0, 0, 7), (0, 5, 7)])
def test_as_many_names_as_classes_are_right(names, offset, classes):
    check_class_names([str(n) for n in range(names)], offset, classes, "d")


@pytest.mark.parametrize(("names", "offset", "classes"), [(3, 0, 10), (1000, 0, 1001), (10, 1, 10)])
def test_names_that_would_shift_the_classes_are_refused(names, offset, classes):
    with pytest.raises(
        DataError, match=f"name {names} classes .* but the model has {classes}; give `classes`"
    ):
        check_class_names([str(n) for n in range(names)], offset, classes, "d")
