"""Pictures of a run: a video that plays in real time, and a sheet of evenly spaced frames."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact_ros.errors import ImageError

__all__ = ["ContactSheet", "OverlayVideo", "write_image"]

LONGEST_HOLD_S = 10.0
JPEG_QUALITY = 90
CAPTION_HEIGHT_PX = 26
FONT = cv2.FONT_HERSHEY_SIMPLEX


class OverlayVideo:
    """Writes frames that come at any pace into a video of a steady rate.

    A frame is repeated until the next one's time, but for ten seconds at most, so the video lasts
    as long as the run did, however slow the results were.

    Args:
        path: of the ``.mp4`` file; its folder exists.
        rate_hz: of the video.
    """

    def __init__(self, path: Path, rate_hz: float) -> None:
        self.path = path
        self.rate_hz = rate_hz
        self.frames_written = 0
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._first_s = 0.0
        self._held: NDArray[np.uint8] | None = None

    def add(self, image_bgr: NDArray[np.uint8], time_s: float) -> None:
        """Append a frame (uint8 [H, W, 3]) that was taken at ``time_s``; times must not fall.

        The first frame fixes the size; others are scaled to it.

        Raises:
            ImageError: the video cannot be written.
        """
        if self._writer is None:
            self._open(image_bgr, time_s)
        if self._held is not None:
            held = round((time_s - self._first_s) * self.rate_hz) - self.frames_written
            longest = round(LONGEST_HOLD_S * self.rate_hz)
            if held > longest:
                # The times after the silence count from where it is cut.
                self._first_s += (held - longest) / self.rate_hz
                held = longest
            self._write(max(held, 0))
        self._held = image_bgr

    def close(self) -> None:
        """Write the last frame and finish the file."""
        if self._writer is None:
            return
        self._write(1)
        self._writer.release()
        self._writer = None
        self._held = None

    def _open(self, image_bgr: NDArray[np.uint8], time_s: float) -> None:
        height_px, width_px = image_bgr.shape[:2]
        self._size = (width_px, height_px)
        self._first_s = time_s
        fourcc = cv2.VideoWriter.fourcc(*"mp4v")
        self._writer = cv2.VideoWriter(str(self.path), fourcc, self.rate_hz, self._size)
        if not self._writer.isOpened():
            raise ImageError(
                f"{self.path}: OpenCV cannot write a video there; is the folder writable, and "
                "is there room?"
            )

    def _write(self, times: int) -> None:
        if self._held is None or self._writer is None:
            return
        image_bgr = self._held
        if image_bgr.shape[1::-1] != self._size:
            image_bgr = np.asarray(cv2.resize(image_bgr, self._size), dtype=np.uint8)
        for _ in range(times):
            self._writer.write(image_bgr)
        self.frames_written += times


class ContactSheet:
    """Keeps evenly spaced frames of a run of unknown length and draws them on one sheet.

    Args:
        pictures: on the sheet, at most.
        columns: of the sheet.
        picture_width_px: of each picture.
    """

    def __init__(self, pictures: int = 12, columns: int = 4, picture_width_px: int = 480) -> None:
        self._pictures = pictures
        self._columns = columns
        self._width_px = picture_width_px
        self._kept: list[tuple[NDArray[np.uint8], str]] = []
        self._stride = 1
        self._seen = 0

    def add(self, image_bgr: NDArray[np.uint8], caption: str) -> None:
        """Offer a frame (uint8 [H, W, 3]) with a line of text about it."""
        if self._seen % self._stride == 0:
            height_px = max(round(image_bgr.shape[0] * self._width_px / image_bgr.shape[1]), 1)
            small = cv2.resize(
                image_bgr, (self._width_px, height_px), interpolation=cv2.INTER_AREA
            )
            # Compressed: an hour of a run would otherwise need gigabytes before it is thinned.
            _, jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
            self._kept.append((jpeg, caption))
            if len(self._kept) >= self._pictures * 20:
                self._kept = self._kept[::2]
                self._stride *= 2
        self._seen += 1

    def __len__(self) -> int:
        return min(len(self._kept), self._pictures)

    def draw(self) -> NDArray[np.uint8]:
        """The sheet, uint8 [H, W, 3] BGR.

        Raises:
            ImageError: no frame was added.
        """
        if not self._kept:
            raise ImageError("a contact sheet needs at least one picture")
        chosen = np.linspace(0, len(self._kept) - 1, len(self)).round().astype(int)
        tiles = [self._tile(*self._kept[index]) for index in chosen]
        columns = min(self._columns, len(tiles))
        height_px = max(tile.shape[0] for tile in tiles)
        rows = -(-len(tiles) // columns)
        sheet = np.full((rows * height_px, columns * self._width_px, 3), 24, np.uint8)
        for position, tile in enumerate(tiles):
            top = position // columns * height_px
            left = position % columns * self._width_px
            sheet[top : top + tile.shape[0], left : left + self._width_px] = tile
        return sheet

    def save(self, path: Path) -> None:
        """Draw the sheet into an image file.

        Raises:
            ImageError: no frame was added, or the file cannot be written.
        """
        write_image(path, self.draw())

    def _tile(self, jpeg: NDArray[np.uint8], caption: str) -> NDArray[np.uint8]:
        picture = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
        bar = np.full((CAPTION_HEIGHT_PX, self._width_px, 3), 24, np.uint8)
        text = caption
        while text and cv2.getTextSize(text, FONT, 0.5, 1)[0][0] > self._width_px - 12:
            text = text[:-1]
        cv2.putText(bar, text, (6, 18), FONT, 0.5, (235, 235, 235), 1, cv2.LINE_AA)
        return np.concatenate([np.asarray(picture, dtype=np.uint8), bar])


def write_image(path: Path, image: NDArray[np.uint8]) -> None:
    """Write uint8 [H, W] or BGR [H, W, 3] in the format of the file's suffix.

    Raises:
        ImageError: the file cannot be written.
    """
    encoded, data = cv2.imencode(path.suffix, image)
    if not encoded:
        raise ImageError(f"{path}: OpenCV cannot encode an image of {image.shape} for it")
    try:
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise ImageError(f"{path}: cannot be written: {error.strerror}") from error
