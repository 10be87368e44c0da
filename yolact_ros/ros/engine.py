"""The loaded network behind the node: from BGR pixels to a prediction."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from yolact_ros.inference.postprocess import PostprocessConfig
from yolact_ros.inference.predictor import Predictor, StageTimes
from yolact_ros.models.checkpoint import load_network
from yolact_ros.models.zoo import find_model
from yolact_ros.ros.parameters import FixedParameters, LiveParameters, class_ids_of
from yolact_ros.structures import Prediction

__all__ = ["Engine", "ModelDescription"]


@dataclass(frozen=True)
class ModelDescription:
    """What runs, for diagnostics and logs.

    Attributes:
        name: as the user named it.
        path: its file.
        variant: of the network.
        input_size_px: side of the network input.
        num_prototypes: k.
        num_classes: foreground classes.
    """

    name: str
    path: Path
    variant: str
    input_size_px: int
    num_prototypes: int
    num_classes: int


class Engine:
    """One network on one device. Worker thread only, except for the attributes.

    Args:
        predictor: warmed up.
        description: of its model.
        class_names: of its model.

    Attributes:
        description: of the model.
        class_names: the index is the class id.
    """

    def __init__(
        self, predictor: Predictor, description: ModelDescription, class_names: Sequence[str]
    ) -> None:
        self.description = description
        self.class_names = tuple(class_names)
        self._predictor = predictor

    @classmethod
    def load(cls, fixed: FixedParameters) -> Engine:
        """Load, check and warm up the network that the parameters name.

        Raises:
            YolactError: no such model, a wrong file, or a device that is not there.
        """
        path = find_model(fixed.model)
        model = load_network(path, num_prototypes=fixed.num_prototypes)
        predictor = Predictor(model, device=fixed.device)
        predictor.warm_up()
        config = model.config
        description = ModelDescription(
            name=fixed.model,
            path=path,
            variant=config.name,
            input_size_px=config.input_size_px,
            num_prototypes=config.num_prototypes,
            num_classes=config.num_classes,
        )
        return cls(predictor, description, config.class_names)

    @property
    def device(self) -> torch.device:
        """Where the network runs."""
        return self._predictor.device

    def settings(self, live: LiveParameters, *, masks: bool) -> PostprocessConfig:
        """The live parameters as the predictor takes them.

        Raises:
            ConfigError: ``classes`` names one that the model does not have.
        """
        return PostprocessConfig(
            score_threshold=live.score_threshold,
            top_k=live.top_k,
            nms_threshold=live.nms_threshold,
            class_ids=class_ids_of(live.classes, self.class_names),
            masks=masks,
        )

    def predict(
        self, image_bgr: NDArray[np.uint8], settings: PostprocessConfig
    ) -> tuple[Prediction, StageTimes]:
        """What is in the image (uint8[H, W, 3]), and what each stage took."""
        self._predictor.settings = settings
        return self._predictor.predict_timed(image_bgr)

    def close(self) -> None:
        """Free the network and its memory on the device."""
        self._predictor.close()
        gc.collect()
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
