from __future__ import annotations

import json
from pathlib import Path

import pytest
from coco_shapes import write_coco

from yolact_ros.errors import ConfigError
from yolact_ros.training.nano_loss import NanoLossSettings
from yolact_ros.training.settings import TrainingSettings, read_yaml, settings_from_dict

DATA = """
data:
  - {images: shapes/images, annotations: shapes/labels.json, labels_only: [disc], weight: 0.5}
"""


def load_settings(path: Path, **changes: object) -> TrainingSettings:
    return settings_from_dict({**read_yaml(path), **changes}, base=path.parent)


def write_yaml(folder: Path, text: str) -> Path:
    write_coco(folder / "shapes")
    path = folder / "train.yaml"
    path.write_text(text)
    return path


def test_the_defaults_are_the_papers_recipe(tmp_path: Path) -> None:
    settings = load_settings(write_yaml(tmp_path, DATA))
    assert (settings.optimizer, settings.learning_rate) == ("sgd", 1e-3)
    assert (settings.momentum, settings.weight_decay) == (0.9, 5e-4)
    assert settings.batch_size == 8
    loss = settings.loss
    assert (loss.class_weight, loss.box_weight, loss.mask_weight) == (1, 1.5, 6.125)
    assert (loss.semantic_weight, loss.rescoring_weight) == (1, 25)
    assert (loss.negatives_per_positive, loss.max_trained_masks) == (3, 100)
    assert settings.augment.expand_ratio == 4


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    settings = load_settings(write_yaml(tmp_path, DATA + "output: runs/a\n"))
    assert settings.output == tmp_path / "runs/a"
    assert settings.sources[0].images == tmp_path / "shapes/images"
    assert settings.sources[0].labels_only == ("disc",)


def test_classes_default_to_those_of_the_data(tmp_path: Path) -> None:
    text = "data:\n  - {images: shapes/images, annotations: shapes/labels.json}\n"
    settings = load_settings(write_yaml(tmp_path, text))
    assert settings.network.class_names == ("disc", "box")
    assert settings.network.name == "yolact_light"


def test_network_fields_and_nested_settings_are_taken_over(tmp_path: Path) -> None:
    text = DATA + (
        "network: {variant: yolact_resnet50, class_names: [disc], num_prototypes: 8}\n"
        "augment: {contrast: [0.8, 1.2]}\nloss: {mask_weight: 2}\nfreeze_batch_norm: yes\n"
    )
    settings = load_settings(write_yaml(tmp_path, text), steps=77)
    assert settings.network.backbone == "resnet50"
    assert settings.network.num_prototypes == 8
    assert settings.augment.contrast == (0.8, 1.2)
    assert settings.loss.mask_weight == 2
    assert settings.freeze_batch_norm == "yes"
    assert settings.steps == 77


def test_first_sizes_end_with_whole_steps(tmp_path: Path) -> None:
    text = DATA + "first_sizes: [[0.5, 96], [0.75, 128]]\nsteps: 9\nbatch_size: 4\n"
    settings = load_settings(write_yaml(tmp_path, text))
    assert settings.first_sizes_px == ((16, 96), (28, 128))


def test_two_data_sets_of_one_name_stay_apart(tmp_path: Path) -> None:
    entry = "  - {images: shapes/images, annotations: shapes/labels.json}\n"
    settings = load_settings(write_yaml(tmp_path, "data:\n" + entry * 2))
    assert [source.name for source in settings.sources] == ["labels", "labels_1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (DATA + "setps: 3", r"unknown keys \['setps'\].*steps"),
        (DATA + "augment: {zoom: 3}", r"augment has unknown keys \['zoom'\].*expand_ratio"),
        (DATA + "optimizer: adam", "optimizer is 'adam', expected one of"),
        (DATA + "precision: int8", "precision is 'int8'"),
        (DATA + "steps: 0", "steps is 0, expected at least 1"),
        (DATA + "steps: ten", "steps is 'ten', expected a whole number"),
        (DATA + "seed: -1", "seed is -1, expected at least 0"),
        (DATA + "workers: -1", "workers is -1, expected at least 0"),
        (DATA + "learning_rate: .nan", r"learning_rate is nan, expected 0\.\.inf"),
        (
            DATA + "learning_rate: 1e-3",
            "learning_rate is '1e-3', expected a number such as 1.0e-3",
        ),
        (DATA + "momentum: 1.5", r"momentum is 1\.5, expected 0\.\.1"),
        (DATA.replace("weight: 0.5", "weight: -1"), "data labels: weight is -1, expected 0"),
        (DATA.replace("weight: 0.5", "holdout: 1.5"), r"data labels: holdout is 1\.5, expected 0"),
        (DATA + "first_sizes: [[0.5, 8]]", r"first_sizes is \[\[0\.5, 8\]\], expected pairs"),
        (DATA + "first_sizes: [[0.9, 96], [0.5, 64]]", "expected pairs of a growing share"),
        (DATA + "first_sizes: 3", "first_sizes is 3"),
        (DATA + "ema_decay: 1", "ema_decay is 1"),
        (
            DATA + "start_from: nothing\nfreeze_batch_norm: yes",
            "freeze_batch_norm is yes and start_from nothing",
        ),
        (DATA + "start_from: nothing\nfreeze_blocks: 2", "freeze_blocks is 2 and start_from noth"),
        (DATA + "network: 3", "network is 3, expected a variant or a mapping"),
        (DATA + "network: yolact_huge", "no network variant 'yolact_huge'"),
        ("data: [5]", r"data\[0\] is 5, expected images: and annotations:"),
        ("data: 5", "data is 5, expected a list"),
        ("network: {class_names: [a]}", "no data"),
        ("- 1", "has no settings"),
        ("a: [", "is not YAML"),
    ],
)
def test_a_wrong_file_gets_one_clear_message(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_settings(write_yaml(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*none\.yaml"):
        load_settings(tmp_path / "none.yaml")


def test_settings_can_be_written_as_json(tiny_settings: TrainingSettings) -> None:
    values = json.loads(json.dumps(tiny_settings.to_dict()))
    assert values["network"]["class_names"] == ["disc", "box"]
    assert values["sources"][0]["name"] == "shapes"


def test_names_in_yaml_stay_as_they_are_written(tmp_path: Path) -> None:
    entry = (
        "{images: shapes/images, annotations: shapes/labels.json, name: 007, labels_only: [no]}"
    )
    names = "[no, yes, 007, 1e3, null, 2024-01-01, disc]"
    text = f"data: [{entry}]\nnetwork: {{class_names: {names}}}\nfreeze_batch_norm: no\n"
    settings = load_settings(write_yaml(tmp_path, text))
    assert settings.network.class_names == (
        "no", "yes", "007", "1e3", "null", "2024-01-01", "disc",
    )  # fmt: skip
    assert (settings.sources[0].name, settings.sources[0].labels_only) == ("007", ("no",))
    assert settings.freeze_batch_norm == "no"
    assert settings.cache_images is False


def test_yolact_nano_has_losses_of_its_own(tmp_path: Path) -> None:
    text = DATA + "network: yolact_nano\nloss: {mask_weight: 3.0}\n"
    settings = load_settings(write_yaml(tmp_path, text))
    assert (settings.network.family, settings.network.input_size_px) == ("nano", 416)
    assert settings.loss == NanoLossSettings(mask_weight=3.0)


@pytest.mark.parametrize(
    ("network", "recipe"),
    [("yolact_nano", ("adamw", "cosine", 0.3)), ("yolact_light", ("sgd", "step", 1.0))],
)
def test_yolact_nano_has_a_recipe_that_it_survives_and_that_settings_replace(
    tmp_path: Path, network: str, recipe: tuple[str, str, float]
) -> None:
    text = DATA + f"network: {network}\nlearning_rate: 0.002\n"
    settings = load_settings(write_yaml(tmp_path, text))
    assert (settings.optimizer, settings.schedule, settings.backbone_rate) == recipe
    assert settings.learning_rate == 0.002
