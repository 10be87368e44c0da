from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from coco_shapes import write_coco

from yolact_ros.config import YolactConfig
from yolact_ros.errors import DataError
from yolact_ros.training.annotations import DataSource, ImageRecord, read_source
from yolact_ros.training.augment import AugmentSettings
from yolact_ros.training.dataset import TrainingImages, normalize_image


def records_of(*sources: DataSource) -> list[ImageRecord]:
    return [record for source in sources for record in read_source(source, ("disc", "box"))[0]]


def make_images(
    records: list[ImageRecord], config: YolactConfig, **options: object
) -> TrainingImages:
    return TrainingImages(records, config, **options)  # type: ignore[arg-type]


def test_an_example_is_the_same_whenever_it_is_asked_for(
    shapes: DataSource, tiny_config: YolactConfig
) -> None:
    first = make_images(records_of(shapes), tiny_config, seed=3)
    second = make_images(records_of(shapes), tiny_config, seed=3, cache=False)
    wanted = {number: first.example(number) for number in (0, 7, 31)}
    for number in (31, 0, 7):
        image, target = second.example(number)
        assert torch.equal(image, wanted[number][0])
        assert torch.equal(target.masks, wanted[number][1].masks)
        assert torch.equal(target.matches.classes, wanted[number][1].matches.classes)
        assert target.name == wanted[number][1].name


def test_another_seed_gives_other_examples(shapes: DataSource, tiny_config: YolactConfig) -> None:
    images = [make_images(records_of(shapes), tiny_config, seed=seed) for seed in (0, 1)]
    assert not torch.equal(images[0].example(0)[0], images[1].example(0)[0])


def test_every_epoch_shows_every_image_once_in_a_new_order(
    shapes: DataSource, tiny_config: YolactConfig
) -> None:
    images = make_images(records_of(shapes), tiny_config)
    names = [images.example(number)[1].name for number in range(18)]
    epochs = [names[:6], names[6:12], names[12:]]
    assert all(len(set(epoch)) == 6 for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_sources_are_drawn_by_weight(tmp_path: Path, tiny_config: YolactConfig) -> None:
    large = replace(write_coco(tmp_path / "a", num_images=9), name="large")
    small = replace(write_coco(tmp_path / "b", num_images=2), name="small")
    images = make_images(
        records_of(large, small), tiny_config, source_weights={"large": 0.5, "small": 0.5}
    )
    names = [images.example(number)[1].name for number in range(44)]
    drawn = Counter(name.split("/")[0] for name in names)
    assert abs(drawn["large"] - drawn["small"]) <= 2
    assert max(Counter(names).values()) <= 12  # both images of the small source in turn
    for start in range(0, 40, 4):  # evenly spread, not in blocks
        assert len({name.split("/")[0] for name in names[start : start + 4]}) == 2


def test_without_weights_sources_are_drawn_by_size(
    tmp_path: Path, tiny_config: YolactConfig
) -> None:
    large = replace(write_coco(tmp_path / "a", num_images=6), name="large")
    small = replace(write_coco(tmp_path / "b", num_images=2), name="small")
    images = make_images(records_of(large, small), tiny_config)
    drawn = Counter(images.example(number)[1].name.split("/")[0] for number in range(16))
    assert drawn == {"large": 12, "small": 4}


def test_outside_of_the_image_becomes_the_mean_colour(
    shapes: DataSource, tiny_config: YolactConfig
) -> None:
    settings = replace(AugmentSettings(), expand_probability=1.0, crop=False)
    images = make_images(records_of(shapes), tiny_config, augment=settings)
    zero = [float((images.example(n)[0] == 0).all(dim=0).float().mean()) for n in range(12)]
    assert max(zero) > 0.5  # normalised mean colour is 0


def test_the_first_examples_can_be_smaller(shapes: DataSource, tiny_config: YolactConfig) -> None:
    images = make_images(records_of(shapes), tiny_config, first_sizes_px=((3, 96), (5, 128)))
    examples = [images.example(number) for number in range(7)]
    assert [image.shape[-1] for image, _ in examples] == [96, 96, 96, 128, 128, 64, 64]
    assert [target.masks.shape[-1] for _, target in examples] == [96, 96, 96, 128, 128, 64, 64]
    assert examples[0][1].matches.classes.shape[0] > examples[6][1].matches.classes.shape[0]


def test_images_without_objects_are_left_out_unless_asked_for(
    shapes: DataSource, tiny_config: YolactConfig
) -> None:
    records = records_of(shapes)
    records[0] = replace(records[0], objects=())
    crowd = replace(records[1].objects[0], is_crowd=True)
    records[1] = replace(records[1], objects=(crowd,))
    assert len(make_images(records, tiny_config)) == 4
    everything = make_images(records, tiny_config, keep_empty=True)
    assert len(everything) == 6
    targets = [everything.example(number)[1] for number in range(6)]
    assert sorted(target.num_positives > 0 for target in targets) == [False] * 2 + [True] * 4


def test_no_image_at_all_is_an_error(shapes: DataSource, tiny_config: YolactConfig) -> None:
    records = [replace(record, objects=()) for record in records_of(shapes)]
    with pytest.raises(DataError, match="no training image is left"):
        make_images(records, tiny_config)


def test_normalisation_reverses_the_channels(tiny_config: YolactConfig) -> None:
    image = np.zeros((2, 2, 3), np.float32) + np.array([0, 127, 255], np.float32)
    normalized = normalize_image(image, tiny_config)
    assert normalized[:, 0, 0].tolist() == pytest.approx([1.0, 0.0, -127 / 128])


def test_a_target_survives_the_way_between_processes(
    shapes: DataSource, tiny_config: YolactConfig
) -> None:
    target = make_images(records_of(shapes), tiny_config).example(4)[1]
    restored = pickle.loads(pickle.dumps(target))
    assert restored.name == target.name
    assert restored.draw == 4
    for name in ("boxes_xyxy", "class_ids", "masks", "labelled"):
        assert torch.equal(getattr(restored, name), getattr(target, name))
    assert torch.equal(restored.matches.box_offsets, target.matches.box_offsets)
    assert torch.equal(restored.matches.object_index, target.matches.object_index)
