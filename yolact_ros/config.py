"""Frozen description of a network; every variant of the paper is one value of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, get_origin, get_type_hints

from yolact_ros.classes import COCO_CLASSES, PASCAL_CLASSES
from yolact_ros.errors import ConfigError

if TYPE_CHECKING:
    from typing_extensions import Self  # of typing from Python 3.11 on

__all__ = [
    "VARIANTS",
    "ImageNormalization",
    "InputShape",
    "NetworkConfig",
    "YolactConfig",
    "variant",
    "with_overrides",
]

BACKBONES = ("resnet50", "resnet101", "darknet53", "efficientnet_lite0")
NUM_PYRAMID_LEVELS = 5
MIN_INPUT_SIZE_PX = 64
MAX_INPUT_SIZE_PX = 2048
MAX_CHANNELS = 1024


def _require(config: object, field_name: str, condition: bool, expected: str) -> None:
    if not condition:
        value = getattr(config, field_name)
        raise ConfigError(f"network config: {field_name} is {value!r}, expected {expected}")


def _is_number(value: object) -> bool:
    """Whether it is a number that can be computed with; NaN is not."""
    return type(value) in (int, float) and -1e9 < value < 1e9  # type: ignore[operator]


def _is_positive(value: object) -> bool:
    return _is_number(value) and value > 0  # type: ignore[operator]


@dataclass(frozen=True)
class ImageNormalization:
    """``(pixel - mean) / std`` per channel in BGR order, pixels 0..255; the network sees RGB."""

    mean_bgr: tuple[float, float, float]
    std_bgr: tuple[float, float, float]

    def __post_init__(self) -> None:
        for name, values in (("mean_bgr", self.mean_bgr), ("std_bgr", self.std_bgr)):
            numbers = len(values) == 3 and all(_is_number(value) for value in values)
            _require(self, name, numbers, "three numbers")
        _require(self, "std_bgr", min(self.std_bgr) > 0, "three positive numbers")


EXPECTED_TYPES = {
    str: "text",
    bool: "true or false",
    tuple: "a list",
    int: "a whole number",
    ImageNormalization: "mean_bgr and std_bgr",
}

RESNET_NORMALIZATION = ImageNormalization((103.94, 116.78, 123.68), (57.38, 57.12, 58.40))
DARKNET_NORMALIZATION = ImageNormalization((0.0, 0.0, 0.0), (255.0, 255.0, 255.0))
EFFICIENTNET_LITE_NORMALIZATION = ImageNormalization((127.0, 127.0, 127.0), (128.0, 128.0, 128.0))


@dataclass(frozen=True)
class InputShape:
    """Which inputs a network takes.

    Attributes:
        height_px, width_px: of the input; the largest where its size is free.
        stride_px: sides may be any multiples of it; 0 where the size is fixed.
        least_px: of a side that may be smaller.
    """

    height_px: int
    width_px: int
    stride_px: int = 0
    least_px: int = 0

    def takes(self, height_px: int, width_px: int) -> bool:
        """Whether an input of this size fits."""
        if self.stride_px == 0:
            return (height_px, width_px) == (self.height_px, self.width_px)
        return (
            self.least_px <= height_px <= self.height_px
            and self.least_px <= width_px <= self.width_px
            and height_px % self.stride_px == width_px % self.stride_px == 0
        )

    def __str__(self) -> str:
        """Width and height, for people."""
        size = f"{self.width_px}x{self.height_px}"
        return f"multiples of {self.stride_px} up to {size}" if self.stride_px else size


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """What is said of a network of any family.

    Attributes:
        name: variant name, as in the names of weight files.
        input_size_px: longer side of the network input.
        class_names: foreground classes; the index is the class id in every result.
        num_prototypes: k, the number of prototype masks and of coefficients per instance.
        family: of the network, in stored configs.
        keeps_aspect_ratio: whether images are scaled without distortion and get a border
            (letterbox); else they fill the input.
        crops_masks_in_image: how masks are made, see
            :func:`~yolact_ros.ops.crops.assemble_mask_crops`.

    Raises:
        ConfigError: a field is out of range; the message names field, value and range.
    """

    family: ClassVar[str]
    keeps_aspect_ratio: ClassVar[bool] = False
    crops_masks_in_image: ClassVar[bool] = False

    name: str
    input_size_px: int
    class_names: tuple[str, ...] = COCO_CLASSES
    num_prototypes: int = 32
    normalization: ImageNormalization = RESNET_NORMALIZATION

    def __post_init__(self) -> None:
        self._check_types()
        self._check_range("input_size_px", MIN_INPUT_SIZE_PX, MAX_INPUT_SIZE_PX)
        self._check_range("num_prototypes", 1, MAX_CHANNELS)
        _require(self, "class_names", len(self.class_names) > 0, "at least one name")
        once = len(set(self.class_names)) == len(self.class_names)
        _require(self, "class_names", once, "names without repetition")

    def _check_types(self) -> None:
        """Configs come from files, in which anything can stand anywhere."""
        hints = get_type_hints(type(self))
        for field in fields(self):
            kind = get_origin(hints[field.name]) or hints[field.name]
            is_kind = type(getattr(self, field.name)) is kind
            _require(self, field.name, is_kind, EXPECTED_TYPES[kind])
        are_text = all(isinstance(name, str) and name for name in self.class_names)
        _require(self, "class_names", are_text, "text for every name")

    def _check_range(self, field_name: str, low: int, high: int) -> None:
        within = low <= getattr(self, field_name) <= high
        _require(self, field_name, within, f"{low}..{high}")

    @property
    def num_classes(self) -> int:
        """Number of foreground classes."""
        return len(self.class_names)

    @property
    def input_shape(self) -> InputShape:
        """The inputs that the network takes; square ones, if the family does not say else."""
        return InputShape(self.input_size_px, self.input_size_px)

    def with_input_size(self, input_size_px: int) -> Self:
        """The same network for another input size in pixels."""
        return replace(self, input_size_px=input_size_px)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, for checkpoints; with the family.

        :func:`yolact_ros.models.families.config_from_dict` is the inverse.
        """
        return {"family": self.family, **asdict(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build a config from the fields in :meth:`to_dict`'s result, also after JSON.

        Raises:
            ConfigError: an unknown or missing key, or a value out of range.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigError(
                f"network config has unknown keys {unknown}; known are {sorted(known)}"
            )
        try:
            arguments = {key: _as_tuples(value) for key, value in values.items()}
            if "normalization" in arguments:
                arguments["normalization"] = ImageNormalization(
                    **{key: tuple(value) for key, value in values["normalization"].items()}
                )
            return cls(**arguments)
        except (TypeError, AttributeError) as error:
            raise ConfigError(f"network config is incomplete or malformed: {error}") from error


@dataclass(frozen=True, kw_only=True)
class YolactConfig(NetworkConfig):
    """One YOLACT network: architecture, classes and priors.

    Attributes:
        backbone: one of ``BACKBONES``.
        fpn_channels: channels of every pyramid level and of the head's shared layer.
        proto_channels: channels inside the protonet.
        prior_scales_px: prior side per pyramid level (P3..P7), at ``prior_reference_size_px``.
        prior_reference_size_px: input size that ``prior_scales_px`` was chosen for.
        prior_ratios: width / height of the priors of one scale.
        square_priors: the published COCO networks were trained with h overwritten by w.
        deformable_interval: YOLACT++ replaces the 3x3 convolution of every n-th block of the
            last three ResNet stages by a deformable one; 0 = none.
        mask_rescoring: YOLACT++ multiplies the score by a predicted mask IoU.
    """

    family: ClassVar[str] = "yolact"

    backbone: str
    input_size_px: int = 550
    fpn_channels: int = 256
    proto_channels: int = 256
    prior_scales_px: tuple[tuple[float, ...], ...] = ((24,), (48,), (96,), (192,), (384,))
    prior_reference_size_px: int = 550
    prior_ratios: tuple[float, ...] = (1.0, 0.5, 2.0)
    square_priors: bool = True
    deformable_interval: int = 0
    mask_rescoring: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self, "backbone", self.backbone in BACKBONES, f"one of {BACKBONES}")
        self._check_range("prior_reference_size_px", MIN_INPUT_SIZE_PX, MAX_INPUT_SIZE_PX)
        for name in ("fpn_channels", "proto_channels"):
            self._check_range(name, 1, MAX_CHANNELS)
        levels = self.prior_scales_px
        lists = all(isinstance(scales, tuple) for scales in levels)
        _require(self, "prior_scales_px", lists, "a list for every level")
        sizes = (
            len(levels) == NUM_PYRAMID_LEVELS
            and len({len(scales) for scales in levels}) == 1
            and all(_is_positive(scale) for scales in levels for scale in scales)
        )
        expected = f"{NUM_PYRAMID_LEVELS} levels of equally many positive sizes"
        _require(self, "prior_scales_px", sizes, expected)
        ratios = len(self.prior_ratios) > 0 and all(map(_is_positive, self.prior_ratios))
        _require(self, "prior_ratios", ratios, "positive numbers")
        possible = self.deformable_interval == 0 or (
            self.deformable_interval > 0 and self.backbone.startswith("resnet")
        )
        expected = f"0 for the backbone {self.backbone}"
        _require(self, "deformable_interval", possible, expected)

    @property
    def priors_per_cell(self) -> int:
        """Number of priors at each position of each pyramid level."""
        return len(self.prior_scales_px[0]) * len(self.prior_ratios)

    @property
    def scaled_prior_scales_px(self) -> tuple[tuple[float, ...], ...]:
        """Prior sides at ``input_size_px``; whole pixels stay whole, as in the reference."""
        if self.input_size_px == self.prior_reference_size_px:
            return self.prior_scales_px
        whole = all(float(s).is_integer() for level in self.prior_scales_px for s in level)
        # The reference's order of operations: int(scale / 550 * size). Another order rounds
        # differently and moves priors of the published im400 and im700 networks.
        scaled = tuple(
            tuple(scale / self.prior_reference_size_px * self.input_size_px for scale in level)
            for level in self.prior_scales_px
        )
        if not whole:
            return scaled
        return tuple(tuple(float(math.floor(s)) for s in level) for level in scaled)


Config = TypeVar("Config", bound=NetworkConfig)


def variant(name: str, **overrides: Any) -> YolactConfig:
    """The named network of :data:`VARIANTS`, with fields replaced by ``overrides``.

    Raises:
        ConfigError: no such variant, no such field, or a value out of range.
    """
    return with_overrides(VARIANTS, name, overrides)


def with_overrides(
    variants: Mapping[str, Config], name: str, overrides: Mapping[str, Any]
) -> Config:
    """The named one of some networks, with fields replaced.

    Raises:
        ConfigError: no such variant, no such field, or a value out of range.
    """
    if name not in variants:
        raise ConfigError(f"no network variant {name!r}; choose one of {sorted(variants)}")
    try:
        return replace(variants[name], **overrides)
    except TypeError as error:
        raise ConfigError(f"network variant {name}: {error}") from error


def _as_tuples(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_as_tuples(item) for item in value)
    return value


_BASE = YolactConfig(name="yolact_base", backbone="resnet101")
_PLUS_SCALES_PX = tuple(
    tuple(side * 2 ** (step / 3) for step in range(3)) for side in (24.0, 48.0, 96.0, 192.0, 384.0)
)

VARIANTS: Mapping[str, YolactConfig] = {
    config.name: config
    for config in (
        _BASE,
        replace(_BASE, name="yolact_im400", input_size_px=400),
        replace(_BASE, name="yolact_im700", input_size_px=700),
        replace(_BASE, name="yolact_resnet50", backbone="resnet50"),
        replace(
            _BASE,
            name="yolact_darknet53",
            backbone="darknet53",
            normalization=DARKNET_NORMALIZATION,
        ),
        replace(
            _BASE,
            name="yolact_resnet50_pascal",
            backbone="resnet50",
            class_names=PASCAL_CLASSES,
            prior_scales_px=((32,), (64,), (128,), (256,), (512,)),
            square_priors=False,
        ),
        replace(
            _BASE,
            name="yolact_plus_base",
            prior_scales_px=_PLUS_SCALES_PX,
            square_priors=False,
            deformable_interval=3,
            mask_rescoring=True,
        ),
        replace(
            _BASE,
            name="yolact_plus_resnet50",
            backbone="resnet50",
            prior_scales_px=_PLUS_SCALES_PX,
            square_priors=False,
            deformable_interval=1,
            mask_rescoring=True,
        ),
        # For robots without a GPU: 1.8 GMAC at 320 px instead of 59 (R-50 at 550 px).
        replace(
            _BASE,
            name="yolact_light",
            backbone="efficientnet_lite0",
            input_size_px=320,
            num_prototypes=16,
            fpn_channels=96,
            proto_channels=64,
            square_priors=False,
            normalization=EFFICIENTNET_LITE_NORMALIZATION,
        ),
    )
}
