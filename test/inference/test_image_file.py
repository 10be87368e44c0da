"""The reader of image files: orientation, depth, limits; each value is checked against Pillow or
worked out by hand."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from image_samples import (
    HEIGHT_PX,
    WIDTH_PX,
    frames_file,
    opencv_file,
    picture,
    picture_bgr,
    pillow_file,
    turned_file,
)
from PIL import Image, ImageOps

from yolact_ros.errors import DataError, ImageError
from yolact_ros.inference.image_file import (
    decode_image,
    image_size_px,
    read_annotated_image,
    read_image,
)

BLUE, GREEN, RED = (250, 0, 0), (0, 250, 0), (0, 0, 250)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_header(width: int, height: int, bits: int = 1, color: int = 0) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)


def test_a_photograph_that_was_taken_upright_stands_upright(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(turned_file("JPEG", 6))  # turn it right: the left column becomes the top row
    image = read_image(path)
    assert image.shape == (WIDTH_PX, HEIGHT_PX, 3)
    corners = {"top left": image[0, 0], "top right": image[0, -1], "bottom right": image[-1, -1]}
    for name, color in (("top left", GREEN), ("top right", BLUE), ("bottom right", RED)):
        np.testing.assert_allclose(corners[name], color, atol=8, err_msg=name)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_as_pillow_turns_it(
    tmp_path: Path, kind: str, orientation: int
) -> None:
    data = turned_file(kind, orientation)
    path = tmp_path / "photo"
    path.write_bytes(data)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))[:, :, ::-1]
    image = decode_image(data, "photo")
    np.testing.assert_allclose(image, expected, atol=2)
    assert image.flags.c_contiguous
    assert image_size_px(path) == expected.shape[:2]


def test_the_exif_of_a_png_file_may_come_after_its_pixels() -> None:
    exif = Image.Exif()
    exif[274] = 6
    png = pillow_file(picture(), "PNG")
    late = png[:-12] + chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")) + png[-12:]
    assert tuple(decode_image(late, "late.png")[0, 0]) == GREEN


@pytest.mark.parametrize("value", [0, 9, 77, 65535])
def test_an_orientation_that_there_is_not_turns_nothing(value: int) -> None:
    assert tuple(decode_image(turned_file("PNG", value), "odd.png")[0, 0]) == BLUE


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_annotations_of_the_stored_size_get_the_stored_pixels(
    tmp_path: Path, kind: str, orientation: int
) -> None:
    path = tmp_path / "photo"
    path.write_bytes(turned_file(kind, orientation))
    stored, as_stored = read_annotated_image(path, (HEIGHT_PX, WIDTH_PX))
    assert as_stored
    assert np.array_equal(stored, picture_bgr())
    turned, as_stored = read_annotated_image(path, (WIDTH_PX, HEIGHT_PX))
    assert not as_stored
    assert np.array_equal(turned, read_image(path))
    with pytest.raises(DataError, match=r"photo: is 8x12, its annotations are for 9x9"):
        read_annotated_image(path, (9, 9))


def test_an_image_without_orientation_is_not_turned_to_fit(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(pillow_file(picture(), "PNG"))
    with pytest.raises(DataError, match="is 12x8, its annotations are for 8x12"):
        read_annotated_image(path, (WIDTH_PX, HEIGHT_PX))


GREY_16 = np.full((HEIGHT_PX, WIDTH_PX), 200 * 256 + 250, np.uint16)
TEN_BITS = np.full((HEIGHT_PX, WIDTH_PX), 800, np.uint16)


@pytest.mark.parametrize(
    ("data", "top_left_bgr"),
    [
        (opencv_file(GREY_16, ".png"), (200, 200, 200)),
        (opencv_file(GREY_16, ".tiff"), (200, 200, 200)),
        (opencv_file(np.dstack([GREY_16] * 3), ".png"), (200, 200, 200)),
        (opencv_file(np.dstack([GREY_16] * 4), ".png"), (200, 200, 200)),
        (opencv_file(TEN_BITS, ".png"), (200, 200, 200)),
        (opencv_file(TEN_BITS, ".tiff"), (200, 200, 200)),
        (pillow_file(Image.new("1", (WIDTH_PX, HEIGHT_PX), 1), "PNG"), (255, 255, 255)),
        (pillow_file(Image.new("1", (WIDTH_PX, HEIGHT_PX), 1), "TIFF"), (255, 255, 255)),
        (pillow_file(Image.new("L", (WIDTH_PX, HEIGHT_PX), 77), "BMP"), (77, 77, 77)),
        (pillow_file(Image.new("LA", (WIDTH_PX, HEIGHT_PX), (77, 9)), "PNG"), (77, 77, 77)),
        (pillow_file(Image.new("RGBA", (WIDTH_PX, HEIGHT_PX), (9, 8, 7, 0)), "PNG"), (7, 8, 9)),
        (pillow_file(picture().quantize(8), "PNG"), BLUE),
        (pillow_file(picture().quantize(8), "PNG", transparency=0), BLUE),
        (pillow_file(picture().quantize(8), "GIF"), BLUE),
        (pillow_file(picture().convert("CMYK"), "TIFF"), BLUE),
        (pillow_file(picture().convert("CMYK"), "JPEG", quality=100), BLUE),
    ],
    ids=[
        "16-bit grey PNG", "16-bit grey TIFF", "16-bit colour PNG", "16-bit PNG with alpha",
        "10-bit PNG", "10-bit TIFF", "1-bit PNG", "1-bit TIFF", "grey BMP", "grey with alpha",
        "transparent", "palette", "palette with a transparent entry", "GIF", "CMYK TIFF",
        "CMYK JPEG",
    ],
)  # fmt: skip
def test_every_kind_of_pixel_becomes_8_bit_bgr(
    data: bytes, top_left_bgr: tuple[int, int, int]
) -> None:
    image = decode_image(data, "image")
    assert (image.shape, image.dtype) == ((HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    np.testing.assert_allclose(image[0, 0], top_left_bgr, atol=3)


@pytest.mark.parametrize(
    ("pixels", "found"),
    [
        (np.full((4, 6), 0.5, np.float32), "32 bits"),
        (np.full((4, 6, 3), 0.5, np.float32), "float32"),
        (np.full((4, 6), 0.5, np.float64), "float64"),
        (np.full((4, 6), 70000, np.int32), "32 bits"),
    ],
)
def test_pixels_of_more_than_16_bits_have_no_black_and_white(
    pixels: np.ndarray, found: str
) -> None:
    with pytest.raises(ImageError, match=f"deep.tiff: its pixels are {found} a channel, expected"):
        decode_image(opencv_file(pixels, ".tiff"), "deep.tiff")


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "PNG"])
def test_several_frames_are_no_picture(kind: str) -> None:
    with pytest.raises(ImageError, match="a: has 3 frames or pages, expected one picture"):
        decode_image(frames_file(kind), "a")


def test_the_thumbnail_of_a_tiff_file_is_no_page_and_the_preview_of_a_telephone_no_frame() -> None:
    photo, thumbnail = picture(), Image.new("RGB", (3, 2))
    thumbnail.encoderinfo = {"tiffinfo": {254: 1}}
    tiff = pillow_file(photo, "TIFF", save_all=True, append_images=[thumbnail])
    assert tuple(decode_image(tiff, "photo.tif")[0, 0]) == BLUE
    mpo = pillow_file(photo, "MPO", save_all=True, append_images=[thumbnail], quality=100)
    np.testing.assert_allclose(decode_image(mpo, "photo.jpg")[0, 0], BLUE, atol=60)


def test_an_image_over_the_limit_of_opencv_names_size_limit_and_cure(tmp_path: Path) -> None:
    path = tmp_path / "map.png"
    path.write_bytes(png_header(33000, 33000) + chunk(b"IDAT", zlib.compress(b"\0" * 99)))
    with pytest.raises(ImageError) as error:
        read_image(path)
    assert str(error.value) == (
        f"{path}: 33000x33000 pixels are more than the 1073741824 that OpenCV reads; scale it "
        "down or cut it into tiles, or set OPENCV_IO_MAX_IMAGE_PIXELS=1089000000"
    )
    assert image_size_px(path) == (33000, 33000)


def test_a_side_over_the_limit_is_named_too() -> None:
    with pytest.raises(ImageError, match="2000000x3 pixels are more than 1048576 on a side"):
        decode_image(png_header(2_000_000, 3) + chunk(b"IDAT", b""), "strip.png")


def test_a_size_is_known_without_the_pixels(tmp_path: Path) -> None:
    photo = turned_file("JPEG", 6)
    for name, data in (("cut.jpg", photo[: photo.index(b"\xff\xda") + 20]), ("whole.jpg", photo)):
        (tmp_path / name).write_bytes(data)
        assert image_size_px(tmp_path / name) == (WIDTH_PX, HEIGHT_PX)
    (tmp_path / "grey.pgm").write_bytes(b"P5 3 2 255\n" + bytes(6))  # a kind without a header here
    assert image_size_px(tmp_path / "grey.pgm") == (2, 3)


def test_a_photograph_that_is_cut_off_is_not_filled_with_grey() -> None:
    photo = turned_file("JPEG", 1)
    with pytest.raises(ImageError, match=rf"cut off after {len(photo) - 9} bytes"):
        decode_image(photo[:-9], "photo.jpg")
    # What a camera appends to the file is no part of the picture.
    assert decode_image(photo + b"trailer" * 50, "photo.jpg").shape == (HEIGHT_PX, WIDTH_PX, 3)


@pytest.mark.parametrize("read", [read_image, image_size_px])
def test_what_is_no_image_is_named(tmp_path: Path, read) -> None:
    with pytest.raises(ImageError, match=r"none\.png: cannot be read: No such file"):
        read(tmp_path / "none.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ImageError, match=r"folder\.png: cannot be read: Is a directory"):
        read(tmp_path / "folder.png")
    (tmp_path / "text.png").write_bytes(b"no image at all")
    with pytest.raises(ImageError, match=r"text\.png: not an image that OpenCV reads, or damaged"):
        read(tmp_path / "text.png")
    (tmp_path / "empty.png").touch()
    with pytest.raises(ImageError, match=r"empty\.png: not an image .* \(0 bytes\)"):
        read(tmp_path / "empty.png")
