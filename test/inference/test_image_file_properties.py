"""Whatever the bytes, the reader of images gives a picture of the size it tells, or our error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_samples import frames_file, opencv_file, picture, picture_bgr, pillow_file, turned_file

from yolact_ros.errors import ImageError
from yolact_ros.inference.image_file import decode_image, image_size_px

FILES = (
    *(turned_file(kind, orientation) for kind in ("JPEG", "PNG", "WEBP", "TIFF")
      for orientation in (1, 6)),
    pillow_file(picture(), "BMP"),
    pillow_file(picture(), "GIF"),
    pillow_file(picture().convert("CMYK"), "JPEG"),
    pillow_file(picture(), "JPEG", progressive=True),
    pillow_file(picture().convert("1"), "TIFF", compression="group4"),
    pillow_file(picture(), "TIFF", compression="tiff_lzw"),
    opencv_file(picture_bgr().astype(np.uint16) * 256, ".png"),
    opencv_file(picture_bgr().astype(np.float32), ".tiff"),
    *(frames_file(kind) for kind in ("GIF", "WEBP", "TIFF", "PNG")),
)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A file with some bytes changed, and maybe its end cut off or something appended."""
    data = bytearray(draw(st.sampled_from(FILES)))
    for _ in range(draw(st.integers(0, 6))):
        # Headers are at the start: half of the changes are made there.
        last = draw(st.sampled_from([min(64, len(data)), len(data)])) - 1
        data[draw(st.integers(0, last))] = draw(st.integers(0, 255))
    end = draw(st.one_of(st.none(), st.integers(0, len(data))))
    return bytes(data[:end]) + draw(st.binary(max_size=8))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(
    max_examples=400,
)
@given(data=st.one_of(damaged(), st.binary(max_size=200)))
def test_any_bytes_are_a_picture_or_our_error(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    try:
        image = decode_image(data, "file")
    except ImageError:
        image = None
    else:
        assert image.dtype == np.uint8
        assert image.ndim == 3
        assert image.shape[2] == 3
        assert image.flags.c_contiguous
    try:
        size_px = image_size_px(path)
    except ImageError:
        assert image is None
    else:
        assert image is None or image.shape[:2] == size_px
