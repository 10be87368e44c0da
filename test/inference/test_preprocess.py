"""Camera pixels to network input, against torch's interpolation and the recorded reference."""

from __future__ import annotations

import golden_recipe
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from devices import needs_cuda
from golden_networks import golden_input, recorded_arrays
from hypothesis import given, settings
from hypothesis import strategies as st

from yolact_ros.config import VARIANTS, variant
from yolact_ros.errors import ImageError
from yolact_ros.inference.preprocess import Preprocessor

LIVE_PATH_TOLERANCE = 2e-4  # what the reference's own two ways of resizing differ by


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_the_input_is_the_references() -> None:
    recorded = recorded_arrays("r50_infer")
    images = Preprocessor(variant("yolact_resnet50"))(golden_recipe.image())
    assert images.shape == (1, 3, 550, 550)
    assert images.dtype == torch.float32
    sample = images[0, :, ::25, ::25].numpy()
    np.testing.assert_allclose(sample, recorded["input_sample"], atol=LIVE_PATH_TOLERANCE)
    np.testing.assert_allclose(sample, recorded["input_cv2_sample"], atol=1e-5)


@pytest.mark.parametrize("name", ["yolact_resnet50", "yolact_darknet53", "yolact_light"])
def test_every_normalization_gives_what_torch_gives(name: str) -> None:
    config = variant(name)
    images = Preprocessor(config)(golden_recipe.image())
    torch.testing.assert_close(images, golden_input(config), atol=LIVE_PATH_TOLERANCE, rtol=0)


@given(height=st.integers(1, 90), width=st.integers(1, 90), size=st.sampled_from([64, 97]))
@settings(max_examples=30)
def test_an_image_of_any_size_is_interpolated_as_torch_does(
    height: int, width: int, size: int
) -> None:
    config = VARIANTS["yolact_darknet53"].with_input_size(size)
    image = picture(height, width)
    expected = F.interpolate(
        torch.from_numpy(image).permute(2, 0, 1)[None].float(),
        (size, size),
        mode="bilinear",
        align_corners=False,
    )
    torch.testing.assert_close(
        Preprocessor(config)(image), expected.flip(1) / 255, atol=2e-5, rtol=0
    )


def test_the_channels_come_out_red_first() -> None:
    blue = np.zeros((8, 8, 3), np.uint8)
    blue[..., 0] = 255
    images = Preprocessor(VARIANTS["yolact_darknet53"].with_input_size(64))(blue)
    assert images[0].amax(dim=(1, 2)).tolist() == pytest.approx([0, 0, 1])


def test_a_view_with_strides_is_taken_as_it_looks() -> None:
    preprocess = Preprocessor(VARIANTS["yolact_light"].with_input_size(64))
    wide = picture(40, 90)
    view = wide[::-1, 10:70:2]
    result = preprocess(view).clone()
    torch.testing.assert_close(result, preprocess(np.ascontiguousarray(view)))


def test_the_image_is_left_alone() -> None:
    image = picture(30, 50)
    before = image.copy()
    Preprocessor(VARIANTS["yolact_light"].with_input_size(64))(image)
    np.testing.assert_array_equal(image, before)


def test_images_of_different_sizes_can_follow_each_other() -> None:
    preprocess = Preprocessor(VARIANTS["yolact_light"].with_input_size(64))
    first = preprocess(picture(30, 50)).clone()
    second = preprocess(picture(60, 20))
    assert second.shape == first.shape
    assert not torch.equal(first, second)
    torch.testing.assert_close(preprocess(picture(30, 50)), first)


def test_the_next_call_overwrites_the_result() -> None:
    preprocess = Preprocessor(VARIANTS["yolact_light"].with_input_size(64))
    first = preprocess(picture(30, 50, seed=1))
    second = preprocess(picture(30, 50, seed=2))
    assert first.data_ptr() == second.data_ptr()


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4), np.uint8), r"uint8\[4, 4\], expected uint8\[H, W, 3\]"),
        (np.zeros((4, 4, 4), np.uint8), r"uint8\[4, 4, 4\]"),
        (np.zeros((4, 4, 3), np.float32), r"float32\[4, 4, 3\]"),
        (np.zeros((0, 4, 3), np.uint8), "empty: 4 x 0"),
        ([[1]], "is a list"),
    ],
)
def test_what_is_not_an_image_is_refused(image: object, message: str) -> None:
    preprocess = Preprocessor(VARIANTS["yolact_light"].with_input_size(64))
    with pytest.raises(ImageError, match=message):
        preprocess(image)  # type: ignore[arg-type]


@needs_cuda
def test_the_device_gives_what_the_host_gives() -> None:
    config = variant("yolact_resnet50")
    image = golden_recipe.image()
    images = Preprocessor(config, "cuda")(image)
    assert images.device.type == "cuda"
    torch.testing.assert_close(
        images.cpu(), Preprocessor(config)(image), atol=LIVE_PATH_TOLERANCE, rtol=0
    )
