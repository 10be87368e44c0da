"""A trained model with its settings, described so that other processes can open it too."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from yolact_ros.evaluation.bag.replay_options import ReplayOptions
from yolact_ros.evaluation.bag.segmenter import Segmenter
from yolact_ros.inference.predictor import Predictor
from yolact_ros.inference.quality.plan import OverrunPolicy
from yolact_ros.inference.quality.runner import BudgetRunner
from yolact_ros.inference.settings import PredictionSettings
from yolact_ros.models.checkpoint import read_config
from yolact_ros.models.zoo import find_model
from yolact_ros.prediction import Prediction

__all__ = ["ModelSource"]

HASH_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class ModelSource:
    """A trained model with its settings.

    Attributes:
        model: name in the manifest or path of a checkpoint.
        class_names: of all classes; empty takes the model's own.
        device: as the Predictor takes it.
        input_size_px: side of the network input; 0 takes the model's own.
        score_threshold: least score kept.
        top_k: most instances kept of a frame.
        nms_threshold: IoU above which the lower score of a class is dropped.
        nms: ``fast``, ``cross-class`` or ``standard``; None is the network's own.
        num_threads: of torch in each process; 0 leaves torch's choice.
    """

    model: str = "bundled"
    class_names: tuple[str, ...] = ()
    device: str = "auto"
    input_size_px: int = 0
    score_threshold: float = 0.05
    top_k: int = 100
    nms_threshold: float = 0.5
    nms: str | None = None
    num_threads: int = 0

    def open(self) -> Segmenter:
        """Load and warm up the network.

        Raises:
            YolactError: no such model, or a device that is not there.
        """
        self._set_threads()
        predictor = self._load(self.input_size_px)
        predictor.warm_up()
        return _PredictorSegmenter(predictor)

    def open_runner(self, replay: ReplayOptions) -> BudgetRunner:
        """Load the network at every input size of the replay, under its budget.

        Raises:
            YolactError: no such model, a size it cannot have, or a device that is not there.
        """
        self._set_threads()
        own = self.input_size_px or read_config(find_model(self.model)).input_size_px
        sizes_px = replay.input_sizes_px or (own,)
        return BudgetRunner(
            {size_px: self._load(size_px) for size_px in sizes_px},
            self._settings(),
            budget_ms=replay.budget_ms,
            policy=OverrunPolicy(replay.overrun_policy),
        )

    def _load(self, input_size_px: int) -> Predictor:
        return Predictor.load(
            self.model,
            runtime="eager",
            input_size_px=input_size_px,
            class_names=self.class_names,
            device=self.device,
            settings=self._settings(),
        )

    def _settings(self) -> PredictionSettings:
        return PredictionSettings(
            score_threshold=self.score_threshold,
            top_k=self.top_k,
            nms_threshold=self.nms_threshold,
            nms=self.nms,  # type: ignore[arg-type]
        )

    def _set_threads(self) -> None:
        if self.num_threads:
            torch.set_num_threads(self.num_threads)

    def describe(self) -> Mapping[str, Any]:
        """The settings, the hash of the model's file and its classes.

        Raises:
            CheckpointError: no such model.
        """
        path = find_model(self.model)
        values = {key: value for key, value in asdict(self).items() if key != "num_threads"}
        config = read_config(path, class_names=self.class_names)
        return {
            **values,
            "input_size_px": self.input_size_px or config.input_size_px,
            "variant": config.name,
            "sha256": _hash(path),
            "class_names": list(config.class_names),
        }


class _PredictorSegmenter:
    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self.class_names: Sequence[str] = predictor.class_names

    def segment(self, image_bgr: NDArray[np.uint8]) -> tuple[Prediction, Mapping[str, float]]:
        prediction, times = self._predictor.predict_timed(image_bgr)
        return prediction, {
            "preprocess": times.preprocess_ms,
            "inference": times.inference_ms,
            "postprocess": times.postprocess_ms,
        }

    def close(self) -> None:
        self._predictor.close()


def _hash(path: str | os.PathLike[str]) -> str:
    digest = hashlib.sha256()
    with Path(path).open("rb") as stream:
        while block := stream.read(HASH_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
