"""Image files as 8-bit BGR pixels: the one reader of predict, train, evaluate and quantize.

OpenCV decodes; Pillow reads the header: size, EXIF orientation and number of frames. So every
version of OpenCV turns the same files, and a size costs no decoding.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from yolact_ros.errors import DataError, ImageError
from yolact_ros.inference.bit_depth import BitDepth

__all__ = [
    "IMAGE_SUFFIXES",
    "decode_image",
    "image_size_px",
    "read_annotated_image",
    "read_image",
]

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")

Pixels = NDArray[np.uint8]

# What is wrong with EXIF that nobody needs is no news; a picture that cannot be read is an error.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

# Opened by their own classes: Image.open refuses large images before it tells their size.
_READERS: tuple[tuple[bytes, type[ImageFile.ImageFile]], ...] = (
    (b"\xff\xd8\xff", JpegImagePlugin.JpegImageFile),
    (b"\x89PNG\r\n\x1a\n", PngImagePlugin.PngImageFile),
    (b"RIFF", WebPImagePlugin.WebPImageFile),
    (b"II", TiffImagePlugin.TiffImageFile),
    (b"MM", TiffImagePlugin.TiffImageFile),
    (b"BM", BmpImagePlugin.BmpImageFile),
    (b"GIF8", GifImagePlugin.GifImageFile),
)
_JPEG_END = b"\xff\xd9"
_LARGEST_PIXELS, _LONGEST_SIDE_PX = 1 << 30, 1 << 20  # OpenCV's own limits
_REDUCED_PAGE = 1  # of a TIFF, such as a thumbnail: bit of the tag NewSubfileType

# EXIF orientation: what is done to the stored rows and columns for the picture to stand upright.
_TURNS: Mapping[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[::-1],
}
_INVERSE_ORIENTATION = {6: 8, 8: 6}  # the others undo themselves


def read_image(path: Path) -> Pixels:
    """Read an image file as uint8 BGR [H, W, 3], turned as its EXIF orientation says.

    16-bit pixels become 8 by the bits that the file uses (:class:`BitDepth`). Transparency is
    dropped: the colour that is stored under it stays, as OpenCV and Pillow's ``convert("RGB")``
    have it (a TIFF file's is blended with black by libtiff). Grey, palette, 1-bit and CMYK images
    become BGR.

    Raises:
        ImageError: missing, unreadable, no image that OpenCV decodes, cut off, over OpenCV's
            limit of pixels, of several frames or pages, or of more than 16 bits a channel.
    """
    return decode_image(_read_bytes(path), str(path))


def decode_image(data: bytes, name: str) -> Pixels:
    """Decode the bytes of an image file as :func:`read_image` does; errors call it ``name``."""
    return _decode(data, name)[0]


def read_annotated_image(path: Path, size_px: tuple[int, int]) -> tuple[Pixels, bool]:
    """Read an image whose annotations are made for a size.

    Some tools annotate the rows and columns as stored, whatever EXIF says. Their size then fits
    the image before it is turned and not after, and it is read so.

    Returns:
        the image, uint8 BGR [height, width, 3], and whether it is left as stored.

    Raises:
        ImageError: as :func:`read_image`.
        DataError: it is of neither size.
    """
    image_bgr, orientation = _decode(_read_bytes(path), str(path))
    shape = image_bgr.shape[:2]
    if shape == size_px:
        return image_bgr, False
    if orientation >= 5 and shape == size_px[::-1]:
        return _turn(image_bgr, _INVERSE_ORIENTATION.get(orientation, orientation)), True
    raise DataError(
        f"{path}: is {shape[1]}x{shape[0]}, its annotations are for {size_px[1]}x{size_px[0]}"
    )


def image_size_px(path: Path) -> tuple[int, int]:
    """Height and width of what :func:`read_image` would return, from the file's header.

    Only a kind of file that Pillow has no reader for here is decoded.
    """
    try:
        with path.open("rb") as stream:
            header = _read_header(stream)
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror}") from error
    if header is not None:
        return header.shown_size_px
    height_px, width_px = read_image(path).shape[:2]
    return height_px, width_px


@dataclass(frozen=True)
class _Header:
    """What a file says of its image.

    Attributes:
        orientation: of EXIF, 1 to 8.
        frames: of an animation, or pages.
        bits: of a channel, where it is a TIFF file; else 8.
        turned_by_decoder: OpenCV turns it whether asked to or not.
        scan_offset: where the pixels of a JPEG file begin; else 0.
    """

    height_px: int
    width_px: int
    orientation: int
    frames: int = 1
    bits: int = 8
    turned_by_decoder: bool = False
    scan_offset: int = 0

    @property
    def shown_size_px(self) -> tuple[int, int]:
        stored = (self.height_px, self.width_px)
        return stored[::-1] if self.orientation >= 5 else stored


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror}") from error


def _decode(data: bytes, name: str) -> tuple[Pixels, int]:
    """The picture, and the orientation that it was turned by."""
    header = _read_header(io.BytesIO(data))
    if header is not None:
        _check(header, data, name)
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    if header is not None:
        flags |= cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image: Any = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise ImageError(f"{name}: not enough memory for its pixels; scale it down") from error
        image = None
    if image is None:
        raise ImageError(_why_not(header, data, name))
    if image.dtype == np.uint16:
        image = BitDepth().to_8_bits(image)
    if image.dtype != np.uint8:
        raise ImageError(_too_deep(name, str(image.dtype)))
    if header is None:
        return image, 1
    expected = header.shown_size_px
    if not header.turned_by_decoder:
        image = _turn(image, header.orientation)
    if image.shape[:2] != expected:
        raise ImageError(_not_an_image(name, data))
    return image, header.orientation


def _check(header: _Header, data: bytes, name: str) -> None:
    if header.frames > 1:
        raise ImageError(
            f"{name}: has {header.frames} frames or pages, expected one picture; save those that "
            "you want as files of their own, or an animation as a video"
        )
    if header.bits > 16:
        raise ImageError(_too_deep(name, f"{header.bits} bits"))
    if header.scan_offset and data.find(_JPEG_END, header.scan_offset) < 0:
        # libjpeg fills what is missing with grey and only prints a warning.
        raise ImageError(f"{name}: damaged: the JPEG file is cut off after {len(data)} bytes")


def _too_deep(name: str, found: str) -> str:
    return (
        f"{name}: its pixels are {found} a channel, expected 8 or 16 bits; save it with the "
        "values that should be black and white at 0 and 65535"
    )


def _why_not(header: _Header | None, data: bytes, name: str) -> str:
    if header is not None:
        height_px, width_px = header.height_px, header.width_px
        size = f"{name}: {width_px}x{height_px} pixels are more than"
        limit = _limit("OPENCV_IO_MAX_IMAGE_PIXELS", _LARGEST_PIXELS)
        if height_px * width_px > limit:
            return (
                f"{size} the {limit} that OpenCV reads; scale it down or cut it into tiles, or "
                f"set OPENCV_IO_MAX_IMAGE_PIXELS={height_px * width_px}"
            )
        for side_px, variable in (
            (width_px, "OPENCV_IO_MAX_IMAGE_WIDTH"),
            (height_px, "OPENCV_IO_MAX_IMAGE_HEIGHT"),
        ):
            limit = _limit(variable, _LONGEST_SIDE_PX)
            if side_px > limit:
                return (
                    f"{size} {limit} on a side, which OpenCV reads; cut it into tiles, or set "
                    f"{variable}={side_px}"
                )
    depth = _depth(data) if header is None else None
    return _too_deep(name, depth) if depth else _not_an_image(name, data)


def _depth(data: bytes) -> str | None:
    """The type of a channel where it is too deep for a picture and Pillow knows none such."""
    try:
        image: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    return str(image.dtype) if image is not None and image.dtype.itemsize > 2 else None


def _not_an_image(name: str, data: bytes) -> str:
    return f"{name}: not an image that OpenCV reads, or damaged ({len(data)} bytes)"


def _limit(variable: str, default: int) -> int:
    text = os.environ.get(variable, "")
    return int(text) if text.isdecimal() else default


def _turn(image: Pixels, orientation: int) -> Pixels:
    turn = _TURNS.get(orientation)
    return image if turn is None else np.ascontiguousarray(turn(image))


def _read_header(stream: BinaryIO) -> _Header | None:
    """The header, or None where Pillow has no reader for it here or it is damaged."""
    start = stream.read(8)
    stream.seek(0)
    reader = next((cls for magic, cls in _READERS if start.startswith(magic)), None)
    if reader is None:
        return None
    try:
        with reader(stream) as image:
            return _header_of(image, stream)
    except Exception:  # Pillow raises errors of many types over damaged files
        return None


def _header_of(image: ImageFile.ImageFile, stream: BinaryIO) -> _Header:
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        tags = image.tag_v2
        # Pillow's own size is turned or not, depending on its version.
        return _Header(
            height_px=int(tags[TiffImagePlugin.IMAGELENGTH]),
            width_px=int(tags[TiffImagePlugin.IMAGEWIDTH]),
            orientation=_valid_orientation(tags.get(ExifTags.Base.Orientation)),
            frames=_pages(image),
            bits=max(tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))),
            turned_by_decoder=True,
        )
    is_jpeg = isinstance(image, JpegImagePlugin.JpegImageFile)
    scan_offset = stream.tell() if is_jpeg else 0
    return _Header(
        height_px=image.height,
        width_px=image.width,
        orientation=_orientation(image, stream),
        frames=int(getattr(image, "n_frames", 1)),
        scan_offset=scan_offset,
    )


def _orientation(image: ImageFile.ImageFile, stream: BinaryIO) -> int:
    tag = ExifTags.Base.Orientation
    if isinstance(image, PngImagePlugin.PngImageFile):
        # Its own method would decode the whole image to look behind the pixels.
        exif = Image.Image.getexif(image)
        return _valid_orientation(exif.get(tag) or _exif_behind_pixels(stream).get(tag))
    return _valid_orientation(image.getexif().get(tag))


def _exif_behind_pixels(stream: BinaryIO) -> Image.Exif:
    """The EXIF of a PNG file that comes after its pixels, as the format allows."""
    exif = Image.Exif()
    stream.seek(8)
    while len(start := stream.read(8)) == 8:
        length, kind = int.from_bytes(start[:4], "big"), start[4:]
        if kind == b"eXIf":
            exif.load(stream.read(length))
            break
        stream.seek(length + 4, io.SEEK_CUR)
    return exif


def _pages(image: TiffImagePlugin.TiffImageFile) -> int:
    """Pages that are no smaller copies of others."""
    count = 0
    for index in range(image.n_frames):
        image.seek(index)
        count += not int(image.tag_v2.get(ExifTags.Base.NewSubfileType, 0)) & _REDUCED_PAGE
    return count


def _valid_orientation(value: object) -> int:
    return value if isinstance(value, int) and value in _TURNS else 1
