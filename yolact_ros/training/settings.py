"""Everything a training run is determined by, as frozen values read from YAML and flags."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import yaml

from yolact_ros.config import MIN_INPUT_SIZE_PX, NetworkConfig, YolactConfig
from yolact_ros.errors import ConfigError
from yolact_ros.models.families import network_variant
from yolact_ros.models.nano import NanoConfig
from yolact_ros.training.annotations import DataSource, category_names
from yolact_ros.training.augment import AugmentSettings
from yolact_ros.training.loss import LossSettings
from yolact_ros.training.nano_loss import NanoLossSettings

__all__ = ["TrainingSettings", "read_yaml", "settings_from_dict"]

Settings = TypeVar("Settings")

OPTIMIZERS = ("sgd", "adamw")
SCHEDULES = ("step", "cosine")
PRECISIONS = ("fp32", "bf16", "fp16")
DEFAULT_VARIANT = "yolact_light"
START_WITHOUT_CHECKPOINT = ("imagenet", "nothing")
TEXT_KEYS = (
    *("class_names", "labels_only", "name", "variant", "start_from", "output"),
    *("images", "annotations", "freeze_batch_norm"),
)
"""Keys of names and paths, which stay as they are written: ``no``, ``007`` and ``2024-01-01``."""
YAML_TAGS_OF_WORDS = frozenset(
    f"tag:yaml.org,2002:{kind}" for kind in ("bool", "int", "float", "null", "timestamp")
)
# Its batch norms are folded, and without them the paper's SGD ruins it within four steps.
NANO_RECIPE = {
    "optimizer": "adamw",
    "learning_rate": 5e-4,
    "backbone_rate": 0.3,
    "schedule": "cosine",
}
LEAST = {
    **dict.fromkeys(("steps", "batch_size", "accumulate", "log_every"), 1),
    **dict.fromkeys(("checkpoint_every", "validate_every", "pictures_every"), 0),
    **dict.fromkeys(("freeze_blocks", "max_side_px", "seed", "validation_images", "workers"), 0),
    "warmup_steps": -1,
}
"""Smallest value of the whole numbers."""
RANGES = {
    **dict.fromkeys(("ema_decay", "momentum", "warmup_rate"), (0.0, 1.0)),
    **dict.fromkeys(("backbone_rate", "learning_rate", "weight_decay"), (0.0, float("inf"))),
}
"""Range of the other numbers, both ends included."""


@dataclass(frozen=True)
class TrainingSettings:
    """One training run. Defaults are the paper's recipe, with its length left to the user.

    Attributes:
        output: folder for checkpoints, tables and pictures.
        validation: validation data, beside the images that sources hold out.
        start_from: ``imagenet``, ``nothing``, ``bundled``, or a checkpoint's name or path.
        batch_size: images of a step, over all processes and accumulated parts.
        accumulate: parts that a process cuts its share of the step into.
        first_sizes: input sizes to begin with, as pairs of a share of the steps and a size in
            pixels: ``[[0.6, 256]]`` trains at 256 px for the first 60 % of the steps, which is
            faster, and then at the network's own size.
        optimizer: ``sgd`` or ``adamw``.
        learning_rate: at full height; ``sgd`` values count for a batch of 8 and are scaled.
        backbone_rate: factor on the learning rate of the backbone.
        momentum, weight_decay: of the optimiser; momentum of SGD only.
        schedule: ``step`` (the paper's: x 0.1 at 35, 75, 87.5 and 93.75 % of all) or ``cosine``.
        warmup_steps: steps of linear warm-up; -1 = the paper's 500, at most a 20th of the steps.
        warmup_rate: learning rate that the warm-up starts at, as a share of ``learning_rate``.
        freeze_batch_norm: keep statistics, scale and shift of batch norms; ``auto`` does so for
            fewer than 6 images a forward pass, as the paper's code does, but never where training
            starts from nothing.
        freeze_blocks: so many first blocks of the backbone, and its stem, are not trained.
        precision: of the forward pass: ``fp32``, ``bf16`` or ``fp16`` (mixed, CUDA).
        ema_decay: of the averaged weights that are validated and exported; 0 = none.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        workers: processes that prepare images; 0 = the training process itself.
        cache_images: keep decoded images in memory.
        max_side_px: images are shrunk to this longest side when loaded; 0 keeps them.
        keep_empty: also train on images without objects, as pure background.
        log_every, checkpoint_every, validate_every, pictures_every: in steps; 0 = never.
        validation_images: most images validated; 0 = all.
        strict: stop when the data check finds anything.
        augment, loss: of the images and of the losses.
    """

    output: Path
    network: NetworkConfig
    sources: tuple[DataSource, ...]
    validation: tuple[DataSource, ...] = ()
    start_from: str = "imagenet"
    steps: int = 10_000
    batch_size: int = 8
    accumulate: int = 1
    first_sizes: tuple[tuple[float, int], ...] = ()
    optimizer: str = "sgd"
    learning_rate: float = 1e-3
    backbone_rate: float = 1.0
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: str = "step"
    warmup_steps: int = -1
    warmup_rate: float = 0.1
    freeze_batch_norm: str = "auto"
    freeze_blocks: int = 0
    precision: str = "fp32"
    ema_decay: float = 0.999
    seed: int = 0
    device: str = "auto"
    workers: int = 1
    cache_images: bool = False
    max_side_px: int = 0
    keep_empty: bool = False
    log_every: int = 20
    checkpoint_every: int = 500
    validate_every: int = 1000
    pictures_every: int = 1000
    validation_images: int = 0
    strict: bool = False
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    loss: LossSettings | NanoLossSettings = field(default_factory=LossSettings)

    def __post_init__(self) -> None:
        for name, allowed in (
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
            ("precision", PRECISIONS),
            ("freeze_batch_norm", ("auto", "yes", "no")),
        ):
            if getattr(self, name) not in allowed:
                raise ConfigError(
                    f"training: {name} is {getattr(self, name)!r}, expected one of {allowed}"
                )
        for name, least in LEAST.items():
            value = getattr(self, name)
            if type(value) is not int:
                raise ConfigError(f"training: {name} is {value!r}, expected a whole number")
            if value < least:
                raise ConfigError(f"training: {name} is {value}, expected at least {least}")
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if type(value) not in (int, float):
                # YAML reads 1e-3 as text.
                raise ConfigError(
                    f"training: {name} is {value!r}, expected a number such as 1.0e-3"
                )
            if not low <= value <= high:
                raise ConfigError(f"training: {name} is {value}, expected {low:g}..{high:g}")
        if self.ema_decay == 1:
            raise ConfigError(f"training: ema_decay is {self.ema_decay}, expected 0..1 below 1")
        if self.start_from == "nothing" and self.freeze_batch_norm == "yes":
            raise ConfigError(
                "training: freeze_batch_norm is yes and start_from nothing, whose batch norms "
                "have no statistics to keep; leave freeze_batch_norm out or start from weights"
            )
        if self.start_from == "nothing" and self.freeze_blocks:
            raise ConfigError(
                f"training: freeze_blocks is {self.freeze_blocks} and start_from nothing, whose "
                "blocks are random; leave freeze_blocks out or start from weights"
            )
        if not self.sources:
            raise ConfigError("training: no data; name at least one COCO folder under `data`")

    @property
    def warmup_length(self) -> int:
        if self.warmup_steps >= 0:
            return self.warmup_steps
        return min(500, self.steps // 20)

    @property
    def first_sizes_px(self) -> tuple[tuple[int, int], ...]:
        """Number of the example that each of ``first_sizes`` ends before, and the size."""
        return tuple(
            (round(share * self.steps) * self.batch_size, size) for share, size in self.first_sizes
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, for the record beside the checkpoints."""
        values = {**asdict(self), "network": self.network.to_dict()}
        plain: dict[str, Any] = json.loads(json.dumps(values, default=str))
        return plain


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        ConfigError: not readable, not YAML, or no mapping.
    """
    try:
        values = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=_SettingsLoader)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} has no settings; expected keys like data, network and steps")
    return values


class _SettingsLoader(yaml.SafeLoader):
    """YAML's safe loader, but what stands under :data:`TEXT_KEYS` is text."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        for key, value in node.value:
            if key.value in TEXT_KEYS:
                for scalar in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    if scalar.tag in YAML_TAGS_OF_WORDS:
                        scalar.tag = "tag:yaml.org,2002:str"


def settings_from_dict(values: Mapping[str, Any], base: Path) -> TrainingSettings:
    """Settings from plain values, as the YAML file has them.

    Args:
        values: keys of :class:`TrainingSettings`, with ``data`` for the sources, and ``network``
            a variant's name or a mapping of ``variant`` and fields of the config to replace. Its
            variant defaults to that of the weights to start from, its classes to those of the
            data.
        base: folder that relative paths start from.

    What a network of the NanoDet family leaves open is as in :data:`NANO_RECIPE`.

    Raises:
        ConfigError: an unknown key or a value that cannot be used.
    """
    known = {f.name for f in fields(TrainingSettings)} - {"sources"} | {"data"}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ConfigError(f"training: unknown keys {unknown}; known are {sorted(known)}")
    arguments = dict(values)
    arguments["sources"] = _sources(arguments.pop("data", ()), base, "data")
    arguments["validation"] = _sources(arguments.get("validation", ()), base, "validation")
    arguments["network"] = _network(
        arguments.get("network", {}), arguments["sources"], arguments.get("start_from", "imagenet")
    )
    arguments["output"] = base / str(arguments.get("output", "run"))
    arguments["first_sizes"] = _first_sizes(arguments.get("first_sizes", ()))
    arguments["augment"] = _nested(AugmentSettings, arguments.get("augment", {}), "augment")
    is_nano = isinstance(arguments["network"], NanoConfig)
    if is_nano:
        arguments = {**NANO_RECIPE, **arguments}
    kind: type[LossSettings | NanoLossSettings] = NanoLossSettings if is_nano else LossSettings
    arguments["loss"] = _nested(kind, arguments.get("loss", {}), "loss")
    try:
        return TrainingSettings(**arguments)
    except TypeError as error:
        raise ConfigError(f"training: {error}") from error


def _network(value: Any, sources: tuple[DataSource, ...], start_from: str) -> NetworkConfig:
    if isinstance(value, str):
        value = {"variant": value}
    if not isinstance(value, dict):
        raise ConfigError(f"training: network is {value!r}, expected a variant or a mapping")
    replaced = {k: _tuples(v) for k, v in value.items() if k != "variant"}
    if "class_names" not in replaced:
        replaced["class_names"] = category_names(sources)
    if "variant" in value:
        return network_variant(str(value["variant"]), **replaced)
    if start_from in START_WITHOUT_CHECKPOINT:
        return network_variant(DEFAULT_VARIANT, **replaced)
    # Imported here: reading checkpoints is needed for fine-tuning alone.
    from yolact_ros.models.checkpoint import read_config
    from yolact_ros.models.zoo import find_model

    config = read_config(find_model(start_from))
    if not isinstance(config, YolactConfig | NanoConfig):
        raise ConfigError(
            f"training: {start_from} is a {config.name}, which cannot be trained here; expected a "
            "YOLACT network or yolact_nano"
        )
    try:
        return replace(config, **replaced)
    except TypeError as error:
        raise ConfigError(f"training: network: {error}") from error


def _sources(values: Any, base: Path, key: str) -> tuple[DataSource, ...]:
    if not isinstance(values, list | tuple):
        raise ConfigError(f"training: {key} is {values!r}, expected a list of data sets")
    sources: list[DataSource] = []
    for number, value in enumerate(values):
        if not isinstance(value, dict) or not {"images", "annotations"} <= set(value):
            raise ConfigError(
                f"training: {key}[{number}] is {value!r}, expected images: and annotations:"
            )
        annotations = base / value["annotations"]
        arguments = {"name": annotations.stem, **value}
        arguments["images"], arguments["annotations"] = base / value["images"], annotations
        source = _nested(DataSource, arguments, f"{key}[{number}]")
        if any(other.name == source.name for other in sources):
            source = replace(source, name=f"{source.name}_{number}")
        sources.append(source)
    return tuple(sources)


def _first_sizes(values: Any) -> tuple[tuple[float, int], ...]:
    try:
        pairs = tuple((float(share), int(size_px)) for share, size_px in values)
    except (TypeError, ValueError):
        pairs = ((0.0, 0),)
    shares = [share for share, _ in pairs]
    if shares != sorted(shares) or not all(
        0 < share <= 1 and size_px >= MIN_INPUT_SIZE_PX for share, size_px in pairs
    ):
        raise ConfigError(
            f"training: first_sizes is {values!r}, expected pairs of a growing share of the steps "
            f"and a size of at least {MIN_INPUT_SIZE_PX} px, such as [[0.6, 256]]"
        )
    return pairs


def _nested(kind: type[Settings], values: Any, key: str) -> Settings:
    if not isinstance(values, dict):
        raise ConfigError(f"training: {key} is {values!r}, expected a mapping")
    known = sorted(f.name for f in fields(kind))  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ConfigError(f"training: {key} has unknown keys {unknown}; known are {known}")
    return kind(**{name: _tuples(value) for name, value in values.items()})


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
