"""From camera pixels to the network's input."""

from __future__ import annotations

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

BORDER_GREY = 114.0
"""Around an image that keeps its aspect ratio, as Ultralytics' networks were trained."""


class Preprocessor:
    """Resizes an image to the square network input and normalises it (YOLACT section 5).

    The image fills the input, or keeps its aspect ratio and gets a grey border, as the config
    says. Bilinear without antialiasing, in float32: resizing as uint8 would round by up to 0.76
    grey levels. On the CPU through OpenCV, which differs from torch's
    ``interpolate`` by at most 2e-4 after normalisation and takes a sixth of the time; on other
    devices the bytes of an image that fills the input are uploaded and all else happens there.

    Not thread-safe: on the CPU every call returns the same tensor with new content.

    Args:
        config: of the network; gives input size and normalisation.
        device: where the result is wanted.
    """

    def __init__(self, config: NetworkConfig, device: torch.device | str = "cpu") -> None:
        self._size_px = config.input_size_px
        self._device = torch.device(device)
        self._scale_bgr, self._shift_bgr = normalization_of(config)
        self._runs_on_device = self._device.type != "cpu" and not config.keeps_aspect_ratio
        if self._runs_on_device:
            self._scale = torch.from_numpy(self._scale_bgr).to(self._device)[:, None, None]
            self._shift = torch.from_numpy(self._shift_bgr).to(self._device)[:, None, None]
            return
        side = self._size_px
        self._keeps_aspect_ratio = config.keeps_aspect_ratio
        self._source = np.empty((0, 0, 3), np.float32)
        self._resized = np.empty((side, side, 3), np.float32)
        self._window = self._resized
        self._input = torch.empty(1, 3, side, side)
        red, green, blue = self._input[0].numpy()
        self._planes_bgr = (blue, green, red)

    def __call__(self, image_bgr: NDArray[np.uint8]) -> Tensor:
        """The network input of one image.

        Args:
            image_bgr (uint8[H, W, 3]): blue, green, red; any strides.

        Returns:
            Tensor[1, 3, S, S]: float32, normalised, RGB. On the CPU the next call overwrites it.

        Raises:
            ImageError: not such an array, or an empty one.
        """
        check_image(image_bgr)
        if self._runs_on_device:
            return self._on_device(image_bgr)
        if self._source.shape != image_bgr.shape:
            self._source = np.empty(image_bgr.shape, np.float32)
            self._window = self._window_of(*image_bgr.shape[:2])
        np.copyto(self._source, image_bgr)
        size = self._window.shape[1::-1]
        cv2.resize(self._source, size, dst=self._window, interpolation=cv2.INTER_LINEAR)
        cv2.split(self._resized, self._planes_bgr)
        for plane, scale, shift in zip(
            self._planes_bgr, self._scale_bgr, self._shift_bgr, strict=True
        ):
            plane *= scale
            plane += shift
        return self._input.to(self._device)

    def _window_of(self, height_px: int, width_px: int) -> NDArray[np.float32]:
        """The part of the resized image that shows the source; the rest becomes border."""
        placement = place_image(
            height_px, width_px, self._size_px, keep_aspect_ratio=self._keeps_aspect_ratio
        )
        self._resized.fill(BORDER_GREY)
        top, left = placement.top_px, placement.left_px
        return self._resized[top : top + placement.height_px, left : left + placement.width_px]

    def _on_device(self, image_bgr: NDArray[np.uint8]) -> Tensor:
        pixels = torch.from_numpy(np.ascontiguousarray(image_bgr)).to(self._device)
        return prepare_image(pixels, self._scale, self._shift, self._size_px)


def prepare_image(pixels_bgr: Tensor, scale_bgr: Tensor, shift_bgr: Tensor, side: int) -> Tensor:
    """Resize and normalise with operations of torch, as :class:`Preprocessor` does.

    Args:
        pixels_bgr (Tensor[H, W, 3]): uint8.
        scale_bgr, shift_bgr (Tensor[3, 1, 1]): normalisation as ``x * scale + shift``.
        side: of the network input, in pixels.

    Returns:
        Tensor[1, 3, side, side]: float32, RGB.
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
    """Whether it is ``uint8[H, W, 3]`` with at least one pixel.

    Raises:
        ImageError: it is not.
    """
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
