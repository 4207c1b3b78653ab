import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from planner.errors import DataError
from planner.inputs.image_preprocessing import placement_in_input, prepare_image, read_pixels
from planner.scenario.data_schema import ImageSpec

PIXELS = np.random.default_rng(0).integers(0, 256, size=(7, 9, 3)).astype(np.uint8)


def test_without_a_word_pixels_stay_as_they_are():
    assert prepare_image(PIXELS, None) is PIXELS


@settings(max_examples=30, deadline=None)
@given(st.floats(1, 255), st.tuples(*[st.floats(0, 1)] * 3), st.floats(0.1, 4))
def test_each_value_is_divided_lowered_and_scaled_by_its_channel(divide, subtract, scale):
    spec = ImageSpec(divide_by=divide, subtract=subtract, scale_by=scale)
    found = prepare_image(PIXELS, spec)
    want = (PIXELS / divide - np.array(subtract)) / scale
    np.testing.assert_allclose(found, want.transpose(2, 0, 1), rtol=1e-4, atol=1e-4)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous


def test_axes_and_channels_stand_as_the_model_wants_them():
    plain = prepare_image(PIXELS, ImageSpec(layout="nhwc"))
    np.testing.assert_array_equal(plain, PIXELS)
    turned = prepare_image(PIXELS, ImageSpec(channels="bgr"))
    np.testing.assert_array_equal(turned, PIXELS[..., ::-1].transpose(2, 0, 1))


@pytest.mark.parametrize(("crop", "top", "left"), [(5, 1, 2), (7, 0, 1), (4, 1, 2)])
def test_the_crop_is_the_middle_square(crop, top, left):
    found = prepare_image(PIXELS, ImageSpec(crop=crop, layout="nhwc"))
    np.testing.assert_array_equal(found, PIXELS[top : top + crop, left : left + crop])


@pytest.mark.parametrize(
    ("shape", "side", "wanted"),
    [((8, 16, 3), 4, (4, 8)), ((30, 10, 1), 5, (15, 5)), ((3, 3, 2), 9, (9, 9))],
)
def test_the_shorter_side_is_resized_and_the_other_keeps_the_ratio(shape, side, wanted):
    flat = np.full(shape, 77, np.uint8)
    found = prepare_image(flat, ImageSpec(resize_shorter=side, layout="nhwc"))
    assert found.shape == (*wanted, shape[-1])
    assert (found == 77).all()


@pytest.mark.parametrize(
    ("pixels", "changes", "message"),
    [
        (PIXELS[0], {}, r"must be height x width x channels, got shape \[9, 3\]"),
        (PIXELS, {"crop": 8}, r"cannot crop 8 x 8 out of \[7, 9\] pixels"),
        (PIXELS, {"subtract": (1.0, 2.0)}, r"image.subtract: give one number or one per channel \(3\)"),
        (PIXELS.astype(np.float32), {"resize_shorter": 4}, "pixels must be uint8, got float32"),
        (PIXELS[:0], {"resize_shorter": 4}, "so no pixels"),
        (np.zeros((1, 9000, 1), np.uint8), {"resize_shorter": 100}, "more than 80000000 altogether"),
    ],
)
def test_what_cannot_be_prepared_is_told(pixels, changes, message):
    with pytest.raises(DataError, match=message):
        prepare_image(pixels, ImageSpec(**changes))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1"])
def test_pictures_of_every_mode_are_read_in_one_or_three_channels(tmp_path, mode):
    Image.fromarray(PIXELS).convert(mode).save(tmp_path / "a.png")
    assert read_pixels(tmp_path / "a.png", 3, "profiled_here").shape == (7, 9, 3)
    grey = read_pixels(tmp_path / "a.png", 1, "profiled_here")
    assert grey.shape == (7, 9, 1)
    if mode == "RGB":
        np.testing.assert_array_equal(read_pixels(tmp_path / "a.png", 3, "profiled_here"), PIXELS)
        weights = np.array([0.299, 0.587, 0.114])
        np.testing.assert_allclose(grey[..., 0], PIXELS @ weights, atol=1)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 24), st.sampled_from(["centre", "top_left"]))
def test_a_letterbox_holds_the_whole_picture_at_its_ratio_and_pads_the_rest(height, width, side, at):
    picture = np.full((height, width, 3), 200, np.uint8)
    spec = ImageSpec(letterbox=side, pad=7, letterbox_at=at, layout="nhwc")
    found = prepare_image(picture, spec)
    assert found.shape == (side, side, 3)
    rows, columns = ((found == 200).all(axis=2).any(axis=axis) for axis in (1, 0))
    longer = max(height, width)
    wanted = [max(1, round(length * side / longer)) for length in (height, width)]
    assert [int(rows.sum()), int(columns.sum())] == wanted
    assert set(np.unique(found)) <= {7.0, 200.0}
    for taken, inside in zip((rows, columns), wanted, strict=True):
        first = int(np.flatnonzero(taken)[0])
        assert first == (0 if at == "top_left" else (side - inside) // 2)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"pad": 3}, "pad needs letterbox"),
        ({"letterbox_at": "centre"}, "letterbox_at needs letterbox"),
        ({"letterbox": 8, "crop": 4}, "leave out resize_shorter and crop"),
        ({"letterbox": 8, "resize_shorter": 4}, "leave out resize_shorter and crop"),
    ],
)
def test_keys_that_do_not_go_together_are_refused(keys, message):
    with pytest.raises(ValueError, match=message):
        ImageSpec(**keys)


@pytest.mark.parametrize("spec", [
    {}, {"letterbox": 96}, {"letterbox": 96, "letterbox_at": "top_left"}, {"letterbox": 31},
    {"resize_shorter": 70, "crop": 64}, {"crop": 40}, {"resize_shorter": 50},
])  # fmt: skip
@settings(max_examples=20, deadline=None)
@given(height=st.integers(40, 90), width=st.integers(40, 90))
def test_what_is_seen_in_the_input_is_found_where_it_lies_in_the_picture(spec, height, width):
    top, left, bottom, right = height // 3, width // 3, height // 3 + 12, width // 3 + 12
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[top:bottom, left:right] = 255
    given_spec = ImageSpec(
        **{"layout": "nhwc", "pad": 0} | spec if "letterbox" in spec else {"layout": "nhwc"} | spec
    )
    seen = prepare_image(pixels, given_spec)[..., 0]
    placement = placement_in_input(height, width, given_spec)
    assert seen.shape == (placement.height, placement.width)
    rows, columns = np.nonzero(seen > 127)
    corners = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], float)
    found = placement.in_picture(corners)[0]
    # To a pixel of the input.
    tolerance = 1.01 / min(placement.scale_x, placement.scale_y)
    np.testing.assert_allclose(found, [left, top, right, bottom], atol=tolerance)
