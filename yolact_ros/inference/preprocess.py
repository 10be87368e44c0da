"""From camera pixels to the network's input."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from yolact_ros.config import NetworkConfig
from yolact_ros.errors import ImageError
from yolact_ros.ops.placement import place_image

__all__ = ["Preprocessor", "check_image", "normalization_of", "prepare_image"]

BORDER_GREY = 114
"""Around an image that keeps its aspect ratio, as Ultralytics' networks were trained."""


class Preprocessor:
    """Resizes an image to the network input and normalises it.

    The image fills the input (YOLACT section 5), or keeps its aspect ratio and gets a grey border,
    as the config says. Bilinear without antialiasing. Not thread-safe: on the CPU every call
    returns the same tensor with new content, as long as images have the same size.
    """

    def __init__(self, config: NetworkConfig, device: torch.device | str = "cpu") -> None:
        self._device = torch.device(device)
        self._prepare: Callable[[NDArray[np.uint8]], Tensor]
        if config.keeps_aspect_ratio:
            self._prepare = _Letterbox(config)
        elif self._device.type == "cpu":
            self._prepare = _Stretch(config)
        else:
            self._prepare = _StretchOnDevice(config, self._device)

    def __call__(self, image_bgr: NDArray[np.uint8]) -> Tensor:
        """The network input of one image, uint8[H, W, 3] BGR with any strides.

        Returns:
            Tensor[1, 3, h, w]: float32, normalised, RGB. On the CPU the next call overwrites it.

        Raises:
            ImageError: not such an array, or an empty one.
        """
        check_image(image_bgr)
        return self._prepare(image_bgr).to(self._device)


class _Stretch:
    """An image that fills the input, through OpenCV.

    In float32: resizing as uint8 would round by up to 0.76 grey levels. Differs from torch's
    ``interpolate`` by at most 2e-4 after normalisation and takes a sixth of the time.
    """

    def __init__(self, config: NetworkConfig) -> None:
        shape = config.input_shape
        self._scale_bgr, self._shift_bgr = normalization_of(config)
        self._source = np.empty((0, 0, 3), np.float32)
        self._resized = np.empty((shape.height_px, shape.width_px, 3), np.float32)
        self._input = torch.empty(1, 3, shape.height_px, shape.width_px)
        red, green, blue = self._input[0].numpy()
        self._planes_bgr = (blue, green, red)

    def __call__(self, image_bgr: NDArray[np.uint8]) -> Tensor:
        if self._source.shape != image_bgr.shape:
            self._source = np.empty(image_bgr.shape, np.float32)
        np.copyto(self._source, image_bgr)
        size = self._resized.shape[1::-1]
        cv2.resize(self._source, size, dst=self._resized, interpolation=cv2.INTER_LINEAR)
        cv2.split(self._resized, self._planes_bgr)
        for plane, scale, shift in zip(
            self._planes_bgr, self._scale_bgr, self._shift_bgr, strict=True
        ):
            plane *= scale
            plane += shift
        return self._input


class _StretchOnDevice:
    """An image that fills the input: its bytes are uploaded and all else happens there."""

    def __init__(self, config: NetworkConfig, device: torch.device) -> None:
        self._side_px = config.input_size_px
        self._device = device
        scale_bgr, shift_bgr = normalization_of(config)
        self._scale = torch.from_numpy(scale_bgr).to(device)[:, None, None]
        self._shift = torch.from_numpy(shift_bgr).to(device)[:, None, None]

    def __call__(self, image_bgr: NDArray[np.uint8]) -> Tensor:
        pixels = torch.from_numpy(np.ascontiguousarray(image_bgr)).to(self._device)
        return prepare_image(pixels, self._scale, self._shift, self._side_px)


class _Letterbox:
    """An image that keeps its aspect ratio, inside of a grey border.

    Resized as uint8, as such networks were trained and are run, and faster: every value of a
    pixel is looked up in a table of 256 normalised ones.
    """

    def __init__(self, config: NetworkConfig) -> None:
        self._shape = config.input_shape
        mean = np.array(config.normalization.mean_bgr, np.float32)
        std = np.array(config.normalization.std_bgr, np.float32)
        greys = np.arange(256, dtype=np.float32)
        self._tables_bgr = [(greys - m) / s for m, s in zip(mean, std, strict=True)]
        self._image_shape: tuple[int, ...] = ()
        self._input = torch.empty(0)
        self._windows_bgr: list[NDArray[np.float32]] = []

    def __call__(self, image_bgr: NDArray[np.uint8]) -> Tensor:
        if image_bgr.shape != self._image_shape:
            self._make_room(image_bgr.shape)
        size = self._windows_bgr[0].shape[::-1]
        if size != image_bgr.shape[1::-1]:
            image_bgr = cv2.resize(image_bgr, size, interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
        for channel, table, window in zip(
            cv2.split(image_bgr), self._tables_bgr, self._windows_bgr, strict=True
        ):
            cv2.LUT(channel, table, dst=window)
        return self._input

    def _make_room(self, image_shape: tuple[int, ...]) -> None:
        place = place_image(*image_shape[:2], self._shape, keep_aspect_ratio=True)
        self._input = torch.empty(1, 3, place.input_height_px, place.input_width_px)
        red, green, blue = self._input[0].numpy()
        rows = slice(place.top_px, place.top_px + place.height_px)
        columns = slice(place.left_px, place.left_px + place.width_px)
        self._windows_bgr = []
        for plane, table in zip((blue, green, red), self._tables_bgr, strict=True):
            plane.fill(table[BORDER_GREY])
            self._windows_bgr.append(plane[rows, columns])
        self._image_shape = image_shape


def prepare_image(pixels_bgr: Tensor, scale_bgr: Tensor, shift_bgr: Tensor, side: int) -> Tensor:
    """Resize and normalise with operations of torch, as :class:`Preprocessor` does.

    ``pixels_bgr`` (uint8[H, W, 3]) to float32[1, 3, side, side], RGB; normalised as ``x * scale +
    shift``, Tensor[3, 1, 1] both.
    """
    image = F.interpolate(
        pixels_bgr.permute(2, 0, 1)[None].float(),
        (side, side),
        mode="bilinear",
        align_corners=False,
    )
    return torch.addcmul(shift_bgr, image, scale_bgr).flip(1)


def normalization_of(config: NetworkConfig) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """``(x - mean) / std`` as ``x * scale + shift``: scale and shift of blue, green and red."""
    mean = np.array(config.normalization.mean_bgr, np.float64)
    std = np.array(config.normalization.std_bgr, np.float64)
    return (1 / std).astype(np.float32), (-mean / std).astype(np.float32)


def check_image(image_bgr: NDArray[np.uint8]) -> None:
    """Raise ImageError where it is not ``uint8[H, W, 3]`` with at least one pixel."""
    if not isinstance(image_bgr, np.ndarray):
        raise ImageError(
            f"the image is a {type(image_bgr).__name__}, expected a NumPy array uint8[H, W, 3]"
        )
    if image_bgr.dtype != np.uint8 or image_bgr.ndim != 3 or image_bgr.shape[2] != 3:
        raise ImageError(
            f"the image is {image_bgr.dtype}{list(image_bgr.shape)}, expected uint8[H, W, 3] in "
            "the order blue, green, red"
        )
    if image_bgr.size == 0:
        raise ImageError(f"the image is empty: {image_bgr.shape[1]} x {image_bgr.shape[0]} pixels")
