"""Predictions as files: overlays, per-instance masks, and COCO results."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact_ros.datasets.categories import default_category_ids
from yolact_ros.datasets.coco_results import CocoResult
from yolact_ros.evaluation.output_folder import make_output_folder, write_json
from yolact_ros.evaluation.recording import OverlayVideo, write_image
from yolact_ros.inference.sources import Frame, FrameSource
from yolact_ros.prediction import Prediction

__all__ = ["PredictionFiles"]

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
        ConfigError: the folder cannot be made or written to.
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
        make_output_folder(folder)
        if masks:
            make_output_folder(folder / "masks")

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
        self._results += prediction.to_coco(image_id, self._category_ids)
        if self._draw is not None:
            overlay = self._draw(frame, prediction)
            if self._video is not None:
                self._video.add(overlay, frame.time_s)
            else:
                self.write(f"{name}_overlay.jpg", overlay)
        if self._masks:
            for number, found in enumerate(prediction):
                file_name = f"{name}_{number:02d}_{_file_name(self._class_names[found.class_id])}"
                if found.mask is not None:
                    self.write(f"masks/{file_name}.png", found.mask.astype(np.uint8) * 255)
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
            ConfigError: they cannot be written.
        """
        self.finish_source()
        categories = [
            {"id": category_id, "name": name}
            for category_id, name in zip(self._category_ids, self._class_names, strict=True)
        ]
        described = {"images": list(self._images.values()), "categories": categories}
        for name, content in (("results.json", self._results), ("images.json", described)):
            write_json(self.folder / name, content, indent=None)
            self.written.append(self.folder / name)

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


def _file_name(text: str) -> str:
    return re.sub(r"[^\w-]+", "_", text)
