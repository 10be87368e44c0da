"""Predictions as files: overlays, per-instance masks, and COCO results."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact_ros.datasets.categories import default_category_ids
from yolact_ros.datasets.coco_results import CocoResult
from yolact_ros.errors import ImageError
from yolact_ros.evaluation.recording import OverlayVideo
from yolact_ros.evaluation.results import prediction_to_results
from yolact_ros.inference.sources import Frame, FrameSource
from yolact_ros.prediction import Prediction
from yolact_ros.structures import MaskCrop

__all__ = ["PredictionFiles", "write_image"]

Draw = Callable[[Frame, Prediction], NDArray[np.uint8]]


class PredictionFiles:
    """Writes the predictions of sources into a folder, source by source.

    Leaves ``<image>_overlay.jpg`` or ``<video>_overlay.mp4``, masks as
    ``masks/<image>_<number>_<class>.png`` (255 inside), ``results.json`` (COCO results) and
    ``images.json`` (the images and categories that its ids stand for, with the names of the image
    files). An image whose name is a number, as in COCO, keeps it as its id.

    Args:
        folder: made if it does not exist.
        class_names: of the model.
        draw: makes the overlay; None writes none.
        masks: write a PNG for every instance.

    Raises:
        ImageError: the folder cannot be made or written to.
    """

    def __init__(
        self, folder: Path, class_names: Sequence[str], *, draw: Draw | None, masks: bool
    ) -> None:
        self.folder = folder
        self.written: list[Path] = []
        self._class_names = class_names
        self._category_ids = default_category_ids(class_names)
        self._draw = draw
        self._masks = masks
        self._results: list[CocoResult] = []
        self._images: dict[int, dict[str, Any]] = {}
        self._names: set[str] = set()
        self._video: OverlayVideo | None = None
        try:
            (folder / "masks" if masks else folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ImageError(f"{folder}: cannot be made: {error.strerror}") from error

    def open(self, source: FrameSource) -> None:
        """Begin a source; the frames added next are its."""
        self.finish_source()
        self._prefix = f"{self._unique(source.name)}_" if source.is_video else ""
        if source.is_video and self._draw is not None:
            path = self.folder / f"{self._prefix}overlay.mp4"
            self._video = OverlayVideo(path, source.steady_rate_hz())
            self.written.append(path)

    def add(self, frame: Frame, prediction: Prediction) -> str:
        """Write one frame's files and return the name they begin with.

        Raises:
            ImageError: a file cannot be written.
        """
        name = self._prefix + frame.name if self._prefix else self._unique(frame.name)
        image_id = self._image_id(frame.name if not self._prefix else "")
        self._images[image_id] = {
            "id": image_id,
            "file_name": frame.file_name or name,
            "height": prediction.image_height_px,
            "width": prediction.image_width_px,
        }
        self._results += prediction_to_results(prediction, image_id, self._category_ids)
        if self._draw is not None:
            overlay = self._draw(frame, prediction)
            if self._video is not None:
                self._video.add(overlay, frame.time_s)
            else:
                self.write(f"{name}_overlay.jpg", overlay)
        if self._masks:
            for number, crop in enumerate(prediction.mask_crops):
                class_name = self._class_names[int(prediction.class_ids[number])]
                mask = _full_mask(crop, prediction.image_height_px, prediction.image_width_px)
                self.write(f"masks/{name}_{number:02d}_{_file_name(class_name)}.png", mask)
        return name

    def write(self, relative: str, image: NDArray[np.uint8]) -> None:
        """Write one more image into the folder.

        Raises:
            ImageError: it cannot be written.
        """
        write_image(self.folder / relative, image)
        self.written.append(self.folder / relative)

    def finish_source(self) -> None:
        """Finish the video of the source, if it is one."""
        if self._video is not None:
            self._video.close()
            self._video = None

    def close(self) -> None:
        """Finish, and write the JSON files.

        Raises:
            ImageError: they cannot be written.
        """
        self.finish_source()
        categories = [
            {"id": category_id, "name": name}
            for category_id, name in zip(self._category_ids, self._class_names, strict=True)
        ]
        described = {"images": list(self._images.values()), "categories": categories}
        for name, content in (("results.json", self._results), ("images.json", described)):
            path = self.folder / name
            try:
                path.write_text(json.dumps(content), encoding="utf-8")
            except OSError as error:
                raise ImageError(f"{path}: cannot be written: {error.strerror}") from error
            self.written.append(path)

    def _image_id(self, name: str) -> int:
        if name.isdecimal() and int(name) not in self._images:
            return int(name)
        return max(self._images, default=0) + 1

    def _unique(self, name: str) -> str:
        candidate, count = name, 1
        while candidate in self._names:
            count += 1
            candidate = f"{name}_{count}"
        self._names.add(candidate)
        return candidate


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


def _full_mask(crop: MaskCrop, height_px: int, width_px: int) -> NDArray[np.uint8]:
    full = np.zeros((height_px, width_px), dtype=np.uint8)
    count = crop.width * crop.height
    bits = np.unpackbits(crop.bits, count=count).reshape(crop.height, crop.width)
    rows = slice(crop.y_offset, crop.y_offset + crop.height)
    full[rows, crop.x_offset : crop.x_offset + crop.width] = bits * 255
    return full


def _file_name(text: str) -> str:
    return re.sub(r"[^\w-]+", "_", text)
