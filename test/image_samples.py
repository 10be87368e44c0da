"""Small image files of every kind that people have, as bytes."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
from PIL import Image

HEIGHT_PX, WIDTH_PX = 8, 12


def picture_bgr() -> np.ndarray:
    """Blue at the top left, red at the top right, green below: uint8 [8, 12, 3]."""
    image = np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    image[:4, :6] = (250, 0, 0)
    image[:4, 6:] = (0, 0, 250)
    image[4:] = (0, 250, 0)
    return image


def picture() -> Image.Image:
    return Image.fromarray(picture_bgr()[:, :, ::-1].copy())


def pillow_file(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def opencv_file(pixels: np.ndarray, suffix: str) -> bytes:
    return cv2.imencode(suffix, pixels)[1].tobytes()


def turned_file(kind: str, orientation: int) -> bytes:
    """The stored rows are those of `picture_bgr`; EXIF says how to turn them."""
    if kind == "TIFF":
        return pillow_file(picture(), kind, tiffinfo={274: orientation})
    exif = Image.Exif()
    exif[274] = orientation
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}
    return pillow_file(picture(), kind, exif=exif.tobytes(), **options.get(kind, {}))


def frames_file(kind: str, count: int = 3, **options: Any) -> bytes:
    frames = [Image.new("RGB", (WIDTH_PX, HEIGHT_PX), (80 * n, 0, 0)) for n in range(count)]
    return pillow_file(frames[0], kind, save_all=True, append_images=frames[1:], **options)
