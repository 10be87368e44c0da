from __future__ import annotations

import pytest
import torch

from yolact_ros.config import YolactConfig
from yolact_ros.errors import WorkerError
from yolact_ros.training.annotations import DataSource, read_source
from yolact_ros.training.dataset import Batch, TrainingImages
from yolact_ros.training.loader import step_parts
from yolact_ros.training.processes import Processes


def load(
    source: DataSource,
    config: YolactConfig,
    *,
    first_step: int = 0,
    accumulate: int = 1,
    processes: Processes | None = None,
    workers: int = 0,
) -> list[list[Batch]]:
    records, _ = read_source(source, config.class_names)
    with step_parts(
        TrainingImages(records, config),
        first_step=first_step,
        steps=3,
        batch_size=8,
        accumulate=accumulate,
        processes=processes or Processes(),
        workers=workers,
    ) as parts:
        return list(parts)


def test_processes_and_parts_share_out_the_images_of_a_step(
    shapes: DataSource, tiny_config: YolactConfig
) -> None:
    whole = load(shapes, tiny_config)
    shared = [
        load(shapes, tiny_config, accumulate=2, processes=Processes(rank, 2)) for rank in (0, 1)
    ]
    for step in range(3):
        draws = [
            target.draw
            for part in range(2)
            for rank in range(2)
            for target in shared[rank][step][part].targets
        ]
        assert draws == [target.draw for target in whole[step][0].targets]


def test_a_later_start_gives_the_same_later_steps(
    shapes: DataSource, tiny_config: YolactConfig
) -> None:
    whole = load(shapes, tiny_config)
    rest = load(shapes, tiny_config, first_step=2)
    assert len(rest) == 1
    assert torch.equal(rest[0][0].images, whole[2][0].images)


def test_worker_processes_give_the_same_images(
    shapes: DataSource, tiny_config: YolactConfig
) -> None:
    here, there = load(shapes, tiny_config), load(shapes, tiny_config, workers=2)
    for step in range(3):
        assert torch.equal(here[step][0].images, there[step][0].images)
        assert here[step][0].num_positives == there[step][0].num_positives > 0


def test_what_goes_wrong_in_a_worker_is_one_line(
    shapes: DataSource, tiny_config: YolactConfig
) -> None:
    records, _ = read_source(shapes, tiny_config.class_names)
    for image in shapes.images.iterdir():
        image.unlink()
    numbers = {"first_step": 0, "steps": 3, "batch_size": 2, "accumulate": 1}
    images = TrainingImages(records, tiny_config)
    with (
        pytest.raises(
            WorkerError, match=r"^preparing an image failed: ImageError: .*\.png"
        ) as error,
        step_parts(images, **numbers, processes=Processes(), workers=1) as parts,
    ):
        next(parts)
    assert "\n" not in str(error.value)
