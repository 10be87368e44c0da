"""int8 networks in the engine cache: what they were made from, and what int8 costs them."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from yolact_ros.errors import RuntimeUnavailableError
from yolact_ros.inference.runtimes.calibration import images_digest
from yolact_ros.inference.runtimes.engine_cache import EngineCache

__all__ = ["QuantizedEngine"]

CALIBRATION_FILE = "calibration.json"
ACCURACY_FILE = "accuracy.json"

_logger = logging.getLogger(__name__)


class QuantizedEngine:
    """The int8 network of one model, one a key; other images make it anew.

    So it can be opened later without naming the images.

    Args:
        images: to calibrate on; None takes what was made before.
    """

    def __init__(self, cache: EngineCache, key: str, images: Sequence[Path] | None) -> None:
        self._cache = cache
        self._key = key
        self._images = images

    def builder(self, quantize: Callable[[Path, Sequence[Path]], None]) -> Callable[[Path], None]:
        """What makes it in the cache; one that was made with other images goes now.

        ``quantize`` writes the network into a folder, calibrated on images. Without images what
        is returned raises RuntimeUnavailableError.
        """
        images = self._images
        if images is None:
            return _refuse
        digest = images_digest(images)
        if _read(self.folder / CALIBRATION_FILE).get("digest", digest) != digest:
            _logger.info("the int8 network was made with other images and is made anew")
            self._cache.discard(self._key)

        def build(folder: Path) -> None:
            _logger.info("quantising to int8 with %d images; this can take minutes", len(images))
            begun_s = time.perf_counter()
            quantize(folder, images)
            _logger.info("quantised in %.0f s", time.perf_counter() - begun_s)
            facts = {"images": len(images), "digest": digest}
            (folder / CALIBRATION_FILE).write_text(json.dumps(facts))

        return build

    def record_accuracy(self, summary: str, values: Mapping[str, Any]) -> None:
        """Keep what int8 costs beside the network; it goes when the network is made anew.

        ``summary`` is one line for people, ``values`` are plain JSON types.
        """
        path = self.folder / ACCURACY_FILE
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps({"summary": summary, **values}, indent=1))
        os.replace(temporary, path)

    @property
    def folder(self) -> Path:
        """Where it is, once it is made."""
        return self._cache.folder / self._key

    @property
    def summary(self) -> str:
        """What it was calibrated on and what int8 costs, in one line."""
        count = _read(self.folder / CALIBRATION_FILE).get("images", "unknown")
        cost = _read(self.folder / ACCURACY_FILE).get("summary", "its accuracy was not measured")
        return f"int8 calibrated on {count} images, {cost}"


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _refuse(_folder: Path) -> None:
    raise RuntimeUnavailableError(
        "precision int8 needs images to calibrate on: its network has not been made yet for this "
        "model, input size and machine, or is damaged; make it with `yolact quantize MODEL "
        "--images FOLDER`, or name a calibration folder with some dozen images like those of the "
        "camera"
    )
