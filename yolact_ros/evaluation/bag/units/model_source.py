"""A trained model with its settings, described so that other processes can open it too."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from yolact_ros.evaluation.bag.options import ReplayOptions
from yolact_ros.inference.predictor import Predictor
from yolact_ros.inference.quality.plan import OverrunPolicy
from yolact_ros.inference.quality.runner import BudgetRunner
from yolact_ros.inference.settings import PredictionSettings
from yolact_ros.models.checkpoint import read_config
from yolact_ros.models.zoo import find_model
from yolact_ros.tracking import TrackerSettings

__all__ = ["NODE_SETTINGS", "OFFLINE_SETTINGS", "ModelSource"]

# Offline the paper's protocol, in real time the node's defaults.
OFFLINE_SETTINGS = PredictionSettings(score_threshold=0.05, top_k=100)
NODE_SETTINGS = PredictionSettings()


@dataclass(frozen=True)
class ModelSource:
    """A trained model with its settings.

    Attributes:
        model: name in the manifest or path of a checkpoint.
        class_names: of all classes; empty takes the model's own.
        device: as the Predictor takes it.
        input_size_px: side of the network input; 0 takes the model's own.
        settings: what is kept of a frame.
        num_threads: of torch in each process; 0 leaves torch's choice.
    """

    model: str = "bundled"
    class_names: tuple[str, ...] = ()
    device: str = "auto"
    input_size_px: int = 0
    settings: PredictionSettings = OFFLINE_SETTINGS
    num_threads: int = 0

    def open(self) -> Predictor:
        """Load and warm up the network.

        Raises:
            YolactError: no such model, or a device that is not there.
        """
        predictor = self._load(self.input_size_px)
        predictor.warm_up()
        return predictor

    def open_runner(
        self, replay: ReplayOptions, tracker: TrackerSettings | None = None
    ) -> BudgetRunner:
        """Load the network at every input size of the replay, under its budget.

        Raises:
            YolactError: no such model, a size it cannot have, or a device that is not there.
        """
        own_px = self.input_size_px or read_config(find_model(self.model)).input_size_px
        return BudgetRunner(
            {size_px: self._load(size_px) for size_px in replay.input_sizes_px or (own_px,)},
            self.settings,
            budget_ms=replay.budget_ms,
            policy=OverrunPolicy(replay.overrun_policy),
            tracker=tracker,
        )

    def _load(self, input_size_px: int) -> Predictor:
        if self.num_threads:
            torch.set_num_threads(self.num_threads)
        return Predictor.load(
            self.model,
            runtime="eager",
            input_size_px=input_size_px,
            class_names=self.class_names,
            device=self.device,
            settings=self.settings,
        )

    def describe(self) -> Mapping[str, Any]:
        """The settings, the hash of the model's file and its classes, in JSON types.

        Equal descriptions give equal results.

        Raises:
            CheckpointError: no such model.
        """
        path = find_model(self.model)
        values = {**asdict(self), **asdict(self.settings)}
        for key in ("num_threads", "settings", "class_ids", "masks"):
            del values[key]
        config = read_config(path, class_names=self.class_names)
        return {
            **values,
            "input_size_px": self.input_size_px or config.input_size_px,
            "variant": config.name,
            "sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest(),
            "class_names": list(config.class_names),
        }
