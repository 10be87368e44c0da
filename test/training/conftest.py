"""A small data set, a small network and short settings for the training tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from coco_shapes import write_coco

from yolact_ros.config import YolactConfig, variant
from yolact_ros.training.annotations import DataSource
from yolact_ros.training.settings import TrainingSettings


@pytest.fixture
def shapes(tmp_path: Path) -> DataSource:
    """Six images of discs and boxes."""
    return write_coco(tmp_path / "shapes")


@pytest.fixture(scope="session")
def tiny_config() -> YolactConfig:
    """The light network made as small as it goes."""
    return variant(
        "yolact_light",
        input_size_px=64,
        class_names=("disc", "box"),
        num_prototypes=4,
        fpn_channels=8,
        proto_channels=8,
    )


@pytest.fixture
def tiny_settings(
    tmp_path: Path, shapes: DataSource, tiny_config: YolactConfig
) -> TrainingSettings:
    """Six steps of four images from random weights, in the test's own process."""
    return TrainingSettings(
        output=tmp_path / "run",
        network=tiny_config,
        sources=(shapes,),
        start_from="nothing",
        steps=6,
        batch_size=4,
        workers=0,
        freeze_batch_norm="no",
        device="cpu",
        log_every=2,
        checkpoint_every=2,
        validate_every=0,
        pictures_every=0,
    )
