"""Images of every encoding, with padding and either byte order, against naive twins."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from pixel_twins import BAYER_PATTERNS, bayer_at, color_at, gray_at, naive_bgr, yuv_at

from yolact_ros.errors import FrameFault
from yolact_ros.inference.bit_depth import FULL_BITS, BitDepth
from yolact_ros.inference.cdr import CompressedImageMessage, ImageMessage, MessageHeader
from yolact_ros.inference.encodings import (
    SUPPORTED_ENCODINGS,
    compressed_to_bgr,
    image_to_bgr,
    observe_depth,
)

HEIGHT_PX, WIDTH_PX = 6, 10
HEADER = MessageHeader(1, 2, "camera")
COLOR_ORDERS = {
    "bgr8": "BGR",
    "8UC3": "BGR",
    "rgb8": "RGB",
    "bgra8": "BGRA",
    "8UC4": "BGRA",
    "rgba8": "RGBA",
}
YUV_ORDERS = {"yuv422_yuy2": "YUYV", "yuyv": "YUYV", "yuv422": "UYVY", "uyvy": "UYVY"}
BYTES_PER_PIXEL = {
    **{name: len(order) for name, order in COLOR_ORDERS.items()},
    **dict.fromkeys(YUV_ORDERS, 2),
    **dict.fromkeys(("mono8", "8UC1"), 1),
    **dict.fromkeys(("mono16", "16UC1"), 2),
    **{f"bayer_{pattern}8": 1 for pattern in BAYER_PATTERNS},
    **{f"bayer_{pattern}16": 2 for pattern in BAYER_PATTERNS},
}


def make_image(encoding: str, *, padding_bytes: int = 0, big_endian: bool = False) -> ImageMessage:
    """Random bytes, so that a wrong byte, row or channel cannot go unnoticed."""
    step = WIDTH_PX * BYTES_PER_PIXEL[encoding] + padding_bytes
    data = np.random.default_rng(7).integers(0, 256, HEIGHT_PX * step, np.uint8)
    return ImageMessage(HEADER, HEIGHT_PX, WIDTH_PX, encoding, big_endian, step, data)


def pixel_rows(image: ImageMessage) -> list[bytes]:
    """The rows without their padding; of 16-bit pixels the high byte."""
    rows = []
    for y in range(image.height_px):
        start = y * image.step_bytes
        row = bytes(image.data[start : start + image.width_px * BYTES_PER_PIXEL[image.encoding]])
        if image.encoding.endswith("16") or image.encoding == "16UC1":
            row = row[0 if image.is_bigendian else 1 :: 2]
        rows.append(row)
    return rows


def twin_of(image: ImageMessage) -> np.ndarray:
    rows, encoding = pixel_rows(image), image.encoding
    if encoding in COLOR_ORDERS:
        order = COLOR_ORDERS[encoding]
        return naive_bgr(rows, HEIGHT_PX, WIDTH_PX, lambda r, x, y: color_at(r, x, y, order))
    if encoding in YUV_ORDERS:
        order = YUV_ORDERS[encoding]
        return naive_bgr(rows, HEIGHT_PX, WIDTH_PX, lambda r, x, y: yuv_at(r, x, y, order))
    if encoding.startswith("bayer"):
        pattern = BAYER_PATTERNS[encoding[6:10]]

        def inside(r: list[bytes], x: int, y: int) -> tuple[float, float, float]:
            # OpenCV copies the edge from its neighbour inside.
            x, y = min(max(x, 1), WIDTH_PX - 2), min(max(y, 1), HEIGHT_PX - 2)
            return bayer_at(r, x, y, pattern)

        return naive_bgr(rows, HEIGHT_PX, WIDTH_PX, inside)
    return naive_bgr(rows, HEIGHT_PX, WIDTH_PX, gray_at)


def test_the_twins_cover_every_supported_encoding() -> None:
    assert set(SUPPORTED_ENCODINGS) == set(BYTES_PER_PIXEL)


@pytest.mark.parametrize("big_endian", [False, True], ids=["little", "big"])
@pytest.mark.parametrize("padding_bytes", [0, 5])
@pytest.mark.parametrize("encoding", SUPPORTED_ENCODINGS)
def test_every_encoding_gives_the_bgr_of_its_definition(
    encoding: str, padding_bytes: int, big_endian: bool
) -> None:
    image = make_image(encoding, padding_bytes=padding_bytes, big_endian=big_endian)
    bgr = image_to_bgr(image, BitDepth(FULL_BITS))
    assert bgr.shape == (HEIGHT_PX, WIDTH_PX, 3)
    assert bgr.dtype == np.uint8
    assert bgr.flags.c_contiguous
    interpolated = encoding in YUV_ORDERS or encoding.startswith("bayer")
    np.testing.assert_allclose(bgr, twin_of(image), atol=1.0 if interpolated else 0.0)


def test_an_unpadded_bgr8_image_is_not_copied() -> None:
    image = make_image("bgr8")
    assert np.shares_memory(image_to_bgr(image, BitDepth()), image.data)


@pytest.mark.parametrize(
    ("change", "cause", "text"),
    [
        ({"encoding": "rgb16"}, "encoding", "'rgb16' is not supported"),
        ({"encoding": ""}, "encoding", "'' is not supported"),
        ({"width_px": 0}, "size", "0x6 pixels is empty"),
        ({"height_px": 0}, "size", "10x0 pixels is empty"),
        ({"step_bytes": 0}, "size", "step of 0 bytes is less than a row"),
        ({"step_bytes": 29}, "size", "step of 29 bytes is less than a row"),
        ({"height_px": 7}, "truncated", "end after 180 of 210 bytes"),
        ({"height_px": 2**32 - 1, "step_bytes": 2**32 - 1}, "truncated", "end after 180 of"),
        ({"encoding": "yuyv", "width_px": 9}, "size", "9 pixels wide, expected an even"),
        ({"encoding": "bayer_rggb8", "height_px": 1}, "size", "less than 2x2"),
    ],
)
def test_what_is_wrong_with_an_image_is_named(
    change: dict[str, object], cause: str, text: str
) -> None:
    image = make_image("bgr8")
    fields = {name: getattr(image, name) for name in image.__dataclass_fields__} | change
    with pytest.raises(FrameFault, match=text) as fault:
        image_to_bgr(ImageMessage(**fields), BitDepth())
    assert fault.value.cause == cause


def compressed(file: bytes, image_format: str = "jpeg") -> CompressedImageMessage:
    return CompressedImageMessage(HEADER, image_format, np.frombuffer(file, np.uint8))


def smooth_picture() -> np.ndarray:
    ramp = np.linspace(0, 255, 64, dtype=np.float32)
    return np.stack([np.add.outer(ramp, ramp) / 2] * 3, axis=-1).astype(np.uint8)


@pytest.mark.parametrize(("suffix", "tolerance"), [(".jpg", 6), (".png", 0)])
def test_jpeg_and_png_are_decoded(suffix: str, tolerance: int) -> None:
    picture = smooth_picture()
    bgr = compressed_to_bgr(compressed(cv2.imencode(suffix, picture)[1].tobytes()), BitDepth())
    np.testing.assert_allclose(bgr, picture, atol=tolerance)


def test_corrupt_compressed_images_are_faults() -> None:
    jpeg = cv2.imencode(".jpg", smooth_picture())[1].tobytes()
    for file, cause in ((b"", "decode"), (b"not an image", "decode"), (jpeg[:-20], "truncated")):
        with pytest.raises(FrameFault) as fault:
            compressed_to_bgr(compressed(file), BitDepth())
        assert fault.value.cause == cause


def test_video_in_a_compressed_image_names_its_format_and_a_cure() -> None:
    packet = b"\0\0\0\1\x67" + b"\x11" * 200
    with pytest.raises(FrameFault, match=r"format 'h264' is no JPEG .* publish JPEG") as fault:
        compressed_to_bgr(compressed(packet, "h264"), BitDepth())
    assert fault.value.cause == "decode"


def message_of(values: np.ndarray, encoding: str, *, big_endian: bool = False) -> ImageMessage:
    """Rows with one byte of padding, so that values lie at odd addresses too."""
    height, width = values.shape
    rows = values.astype(">u2" if big_endian else "<u2").view(np.uint8).reshape(height, -1)
    data = np.pad(rows, ((0, 0), (0, 1))).reshape(-1)
    return ImageMessage(HEADER, height, width, encoding, big_endian, 2 * width + 1, data)


@pytest.mark.parametrize("big_endian", [False, True], ids=["little", "big"])
@pytest.mark.parametrize("encoding", ["mono16", "16UC1", "bayer_rggb16"])
def test_ten_bits_in_sixteen_look_like_eight(encoding: str, big_endian: bool) -> None:
    grey = smooth_picture()[:, :, 0]
    depth = BitDepth()
    wide = image_to_bgr(
        message_of(grey.astype(np.uint16) * 4, encoding, big_endian=big_endian), depth
    )
    narrow = ImageMessage(HEADER, 64, 64, encoding.replace("16", "8"), False, 64, grey.reshape(-1))
    if encoding == "16UC1":
        narrow = ImageMessage(HEADER, 64, 64, "mono8", False, 64, grey.reshape(-1))
    assert np.array_equal(wide, image_to_bgr(narrow, BitDepth()))
    assert depth.bits == 10


def test_a_16_bit_png_of_ten_bits_looks_like_eight() -> None:
    picture = smooth_picture()
    png = cv2.imencode(".png", picture.astype(np.uint16) * 4)[1].tobytes()
    depth = BitDepth()
    assert np.array_equal(compressed_to_bgr(compressed(png, "16UC1; png"), depth), picture)
    assert depth.bits == 10


def test_images_of_8_bits_do_not_touch_the_depth() -> None:
    depth = BitDepth()
    for encoding in ("mono8", "bgr8", "yuyv", "bayer_rggb8"):
        image_to_bgr(make_image(encoding), depth)
    compressed_to_bgr(compressed(cv2.imencode(".jpg", smooth_picture())[1].tobytes()), depth)
    assert depth.bits == 0


@pytest.mark.parametrize(
    ("image", "bits"),
    [
        (message_of(np.full((4, 4), 3000), "mono16"), 12),
        (compressed(cv2.imencode(".png", np.full((4, 4), 3000, np.uint16))[1].tobytes()), 12),
        (compressed(cv2.imencode(".png", np.full((4, 4), 255, np.uint8))[1].tobytes()), 0),
        (compressed(b"no image"), 0),
        (make_image("bgr8"), 0),
    ],
    ids=["mono16", "16-bit PNG", "8-bit PNG", "no image", "bgr8"],
)
def test_an_image_that_is_passed_over_counts_as_one_that_is_decoded(
    image: ImageMessage | CompressedImageMessage, bits: int
) -> None:
    depth = BitDepth()
    observe_depth(image, depth)
    assert depth.bits == bits
