"""Prediction pictures of the same few validation images, to watch a run with one's own eyes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2

from yolact_ros.inference.predictor import Predictor
from yolact_ros.inference.settings import PredictionSettings
from yolact_ros.models.network import Network
from yolact_ros.training.annotations import ImageRecord
from yolact_ros.training.sample import load_sample
from yolact_ros.visualization import draw_overlay

__all__ = ["PictureWriter"]

NUM_IMAGES = 8


class PictureWriter:
    """Draws what a network finds, as the node would publish it.

    Args:
        folder: pictures go to ``<folder>/<image name>/<step>.jpg``.
        records: the first few that have objects are drawn.
    """

    def __init__(self, folder: Path, records: Sequence[ImageRecord]) -> None:
        self._folder = folder
        self._records = [record for record in records if record.objects][:NUM_IMAGES]

    def write(self, network: Network, step: int) -> None:
        """Draw and write the pictures of one step."""
        predictor = Predictor(
            network, device=next(network.parameters()).device, settings=PredictionSettings()
        )
        for record in self._records:
            image = load_sample(record).image_bgr
            overlay = draw_overlay(image, predictor.predict(image), network.config.class_names)
            path = self._folder / record.path.stem / f"{step:07d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), overlay)
        predictor.close()
