import numpy as np

from planner.conversion.random_samples import random_samples
from planner.conversion.request import SourceInput


def test_samples_have_the_types_and_shapes_of_the_inputs_and_are_the_same_each_time():
    ends = [
        SourceInput(name="image", dtype="float32", shape=(1, 4, 4, 3), channels_last=False),
        SourceInput(name="key", dtype="int64", shape=(1, 5), channels_last=False),
    ]
    samples = random_samples(ends, 3)
    again = random_samples(ends, 3)
    for one, other in zip(samples, again, strict=True):
        assert {name: (value.dtype.name, value.shape) for name, value in one.items()} == {
            "image": ("float32", (1, 4, 4, 3)),
            "key": ("int64", (1, 5)),
        }
        assert all(np.array_equal(one[name], other[name]) for name in one)
        assert set(np.unique(one["key"])) <= {0, 1}
    assert not np.array_equal(samples[0]["image"], samples[1]["image"])
    np.testing.assert_array_equal(random_samples(ends, 1)[0]["image"], samples[0]["image"])
