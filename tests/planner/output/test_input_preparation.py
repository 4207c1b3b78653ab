import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.inputs.image_preprocessing import prepare_image
from planner.output.input_preparation import clip_preparation, model_classes, picture_preparation
from planner.plan.manifest import ClipPreparation, PicturePreparation
from planner.scenario.data_schema import AudioSpec, ImageSpec

NUMBERS = st.floats(0.5, 300).map(float)
PER_CHANNEL = st.one_of(NUMBERS, st.tuples(NUMBERS, NUMBERS, NUMBERS))
SPECS = st.builds(
    ImageSpec,
    layout=st.sampled_from(["nchw", "nhwc"]),
    channels=st.sampled_from(["rgb", "bgr"]),
    crop=st.one_of(st.none(), st.integers(1, 6)),
    divide_by=PER_CHANNEL,
    subtract=PER_CHANNEL,
    scale_by=PER_CHANNEL,
)


def as_the_manifest_says(pixels: np.ndarray, image: PicturePreparation) -> np.ndarray:
    """Prepare a picture as the page on programs of one's own says."""
    if image.crop is not None:
        top, left = ((side - image.crop) // 2 for side in pixels.shape[:2])
        pixels = pixels[top : top + image.crop, left : left + image.crop]
    values = (pixels[..., ::-1] if image.channels == "bgr" else pixels).astype(np.float32)
    divide_by, subtract, scale_by = (
        np.asarray(one, np.float32) for one in (image.divide_by, image.subtract, image.scale_by)
    )
    values = (values / divide_by - subtract) / scale_by
    return values.transpose(2, 0, 1) if image.layout == "nchw" else values


@settings(deadline=None)
@given(SPECS, st.integers(6, 9), st.integers(6, 9), st.integers(0, 2**31))
def test_who_follows_the_manifest_gets_the_plans_input(spec, height, width, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    told = picture_preparation(spec, channels_first=False)
    np.testing.assert_array_equal(as_the_manifest_says(pixels, told), prepare_image(pixels, spec))


def test_what_no_key_says_is_told_too():
    told = picture_preparation(ImageSpec(letterbox=64, letterbox_at="top_left"), channels_first=False)
    assert told == PicturePreparation(
        layout="nchw", channels="rgb", resize_shorter=None, crop=None, letterbox=64, pad=114,
        letterbox_at="top_left", divide_by=(1.0,), subtract=(0.0,), scale_by=(1.0,),
    )  # fmt: skip
    assert clip_preparation(AudioSpec(rate=16000)) == ClipPreparation(
        rate=16000, seconds=None, full_scale=1.0, features=None
    )


def test_a_converted_model_wants_channels_first_whatever_the_scenario_says():
    told = picture_preparation(ImageSpec(layout="nhwc"), channels_first=True)
    assert told is not None
    assert told.layout == "nchw"


def test_arrays_are_not_prepared():
    assert picture_preparation(None, channels_first=True) is None
    assert clip_preparation(None) is None


@pytest.mark.parametrize(("offset", "expected"), [(0, "abc"), (1, ("", "a", "b", "c")), (-2, "c")])
def test_class_names_stand_at_the_models_numbers(offset, expected):
    found = model_classes(("a", "b", "c"), offset)
    assert found == tuple(expected)
    for number, name in enumerate("abc"):
        if number + offset >= 0:
            assert found[number + offset] == name
    assert model_classes((), 1) == ()
