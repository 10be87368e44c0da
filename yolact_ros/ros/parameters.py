"""The node's parameters: names, defaults, ranges and what they mean."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from yolact_ros.config import MAX_INPUT_SIZE_PX, MIN_INPUT_SIZE_PX
from yolact_ros.errors import ConfigError
from yolact_ros.inference.runtimes.names import PRECISIONS, RUNTIMES
from yolact_ros.palette import COLORS_BY, PALETTES, ColorBy, PaletteName
from yolact_ros.ros.parameter_spec import ParameterSpec
from yolact_ros.tracking import TrackerSettings
from yolact_ros.tracking.settings import DEFAULT_BUFFER_MS, NO_TRACKER, TRACKER_CHOICES

__all__ = [
    "PARAMETERS",
    "FixedParameters",
    "LiveParameters",
    "class_ids_of",
    "spec_of",
]


@dataclass(frozen=True)
class LiveParameters:
    """The parameters that act at the next frame; fields are :data:`PARAMETERS` of that name."""

    score_threshold: float = 0.3
    top_k: int = 15
    nms_threshold: float = 0.5
    classes: tuple[str, ...] = ()
    frame_budget_ms: float = 33.3
    overrun_policy: str = "publish"
    max_image_age_ms: float = 0.0
    mask_encoding: str = "bits"
    overlay_palette: PaletteName = "vivid"
    overlay_colors: ColorBy = "class"
    input_size: tuple[int, ...] = (0,)
    tracker: str = NO_TRACKER
    track_buffer_ms: float = DEFAULT_BUFFER_MS
    depth_wait_ms: float = 50.0
    max_depth_m: float = 20.0
    target_frame: str = ""

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> LiveParameters:
        """Pick the live ones out of all parameters' values."""
        return cls(**_fields_of(cls, values))

    @property
    def tracker_settings(self) -> TrackerSettings | None:
        """How objects are followed; None where they are not."""
        if self.tracker == NO_TRACKER:
            return None
        return TrackerSettings(self.tracker, self.track_buffer_ms)  # type: ignore[arg-type]


@dataclass(frozen=True)
class FixedParameters:
    """The parameters that the node reads when it is configured or started."""

    model: str = "bundled"
    class_names: tuple[str, ...] = ()
    num_prototypes: int = 0
    device: str = "auto"
    runtime: str = "auto"
    precision: str = "auto"
    calibration_folder: str = ""
    image_transport: str = "raw"
    reliability: str = "auto"
    cameras: tuple[str, ...] = ()
    depth_image: str = ""
    depth_camera_info: str = ""
    autostart: bool = True
    tune_malloc: bool = True
    realtime_priority: int = 0

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> FixedParameters:
        """Pick the fixed ones out of all parameters' values."""
        return cls(**_fields_of(cls, values))


_LIVE = LiveParameters()
_FIXED = FixedParameters()

PARAMETERS: tuple[ParameterSpec, ...] = (
    ParameterSpec(
        "score_threshold",
        _LIVE.score_threshold,
        "Least class score of a published instance.",
        low=0.0,
        high=1.0,
    ),
    ParameterSpec(
        "top_k",
        _LIVE.top_k,
        "Most instances published a frame, the best scores first.",
        unit="instances",
        low=1,
        high=200,
    ),
    ParameterSpec(
        "nms_threshold",
        _LIVE.nms_threshold,
        "Box overlap (IoU) above which Fast NMS drops the lower score.",
        low=0.0,
        high=1.0,
    ),
    ParameterSpec(
        "classes", _LIVE.classes, "Names of the classes to publish; an empty list publishes all."
    ),
    ParameterSpec(
        "frame_budget_ms",
        _LIVE.frame_budget_ms,
        "Deadline from the reception of an image to the publication of its instances; "
        "0 turns it off.",
        unit="ms",
        low=0.0,
        high=60000.0,
    ),
    ParameterSpec(
        "overrun_policy",
        _LIVE.overrun_policy,
        "What happens to a result that is later than frame_budget_ms: publish it flagged, or "
        "drop it.",
        choices=("publish", "drop"),
    ),
    ParameterSpec(
        "max_image_age_ms",
        _LIVE.max_image_age_ms,
        "Images whose stamp is older than this when they arrive are dropped; 0 keeps all.",
        unit="ms",
        low=0.0,
        high=600000.0,
    ),
    ParameterSpec(
        "mask_encoding",
        _LIVE.mask_encoding,
        "How masks are sent: bits (fastest), rle (smallest) or none (boxes only).",
        choices=("bits", "rle", "none"),
    ),
    ParameterSpec(
        "overlay_palette",
        _LIVE.overlay_palette,
        "Colours of the classes in the overlay; okabe-ito is safe for colour-blind people.",
        choices=PALETTES,
    ),
    ParameterSpec(
        "overlay_colors",
        _LIVE.overlay_colors,
        "What gives an instance its colour in the overlay and the markers: its class, or the "
        "object that it is (track_id), with tracker.",
        choices=COLORS_BY,
    ),
    ParameterSpec(
        "input_size",
        _LIVE.input_size,
        "Sides of the network input, the largest first: the budget uses the smaller ones when "
        "time is short; 0 is the model's own. Other sizes are warmed up first, then switched to.",
        unit="px",
        low=MIN_INPUT_SIZE_PX,
        high=MAX_INPUT_SIZE_PX,
    ),
    ParameterSpec(
        "tracker",
        _LIVE.tracker,
        "How objects keep their identity (track_id) from image to image: none, bytetrack (cheap), "
        "ocsort (erratic motion) or botsort (a moving camera).",
        choices=TRACKER_CHOICES,
    ),
    ParameterSpec(
        "track_buffer_ms",
        _LIVE.track_buffer_ms,
        "How long an object that is not found keeps its track_id, in the time of the stamps; must "
        "be longer than the time from one processed image to the next.",
        unit="ms",
        low=1.0,
        high=60000.0,
    ),
    ParameterSpec(
        "depth_wait_ms",
        _LIVE.depth_wait_ms,
        "How long a result waits for the depth image of its stamp, and for tf, before ~/objects "
        "is published without; ~/instances never waits.",
        unit="ms",
        low=0.0,
        high=1000.0,
    ),
    ParameterSpec(
        "max_depth_m",
        _LIVE.max_depth_m,
        "Depth readings farther away than this are none.",
        unit="m",
        low=0.2,
        high=1000.0,
    ),
    ParameterSpec(
        "target_frame",
        _LIVE.target_frame,
        "A frame of tf that does not move and has z up, such as odom: velocities of objects are "
        "in it, and their boxes stand upright. Empty needs no tf and gives neither.",
    ),
    ParameterSpec(
        "model",
        _FIXED.model,
        "Name of a model (`yolact models list`), path of a checkpoint, or of an ONNX file with a "
        "YOLO segmentation network.",
        change="configure",
    ),
    ParameterSpec(
        "class_names",
        _FIXED.class_names,
        "Names of all classes of the model, in the order of training, or one file of them; an "
        "empty list takes those of the model's file, or of a .txt of its name beside it.",
        change="configure",
    ),
    ParameterSpec(
        "num_prototypes",
        _FIXED.num_prototypes,
        "Number of prototype masks, k, that the model must have; 0 takes the model's.",
        change="configure",
        low=0,
        high=1024,
    ),
    ParameterSpec(
        "device",
        _FIXED.device,
        "Where the network runs: auto (a GPU if there is one), cpu, cuda or cuda:N.",
        change="configure",
    ),
    ParameterSpec(
        "runtime",
        _FIXED.runtime,
        "What runs the network (docs/runtimes.md); auto takes the fastest that is installed. The "
        "first time it starts with eager and measures the others meanwhile.",
        change="configure",
        choices=RUNTIMES,
    ),
    ParameterSpec(
        "precision",
        _FIXED.precision,
        "What the runtime computes in; auto is fp32 for eager and the device's fastest float for "
        "the others, int8 needs runtime openvino, and calibration_folder or `yolact quantize` "
        "before.",
        change="configure",
        choices=PRECISIONS,
    ),
    ParameterSpec(
        "calibration_folder",
        _FIXED.calibration_folder,
        "Folder of images like the camera's, of which precision int8 uses up to 50 to calibrate "
        "the network; empty takes the int8 network that was made before.",
        change="configure",
    ),
    ParameterSpec(
        "image_transport",
        _FIXED.image_transport,
        "Subscribe to the raw image topic or to its JPEG and PNG sibling, <image>/compressed.",
        change="configure",
        choices=("raw", "compressed"),
    ),
    ParameterSpec(
        "reliability",
        _FIXED.reliability,
        "Of the image subscription; auto asks for reliable delivery where every publisher offers "
        "it and best effort loses frames.",
        change="configure",
        choices=("auto", "reliable", "best_effort"),
    ),
    ParameterSpec(
        "cameras",
        _FIXED.cameras,
        "Camera names: <name>/image is subscribed and ~/<name>/... published for each; an empty "
        "list is one camera on image and ~/...",
        change="configure",
    ),
    ParameterSpec(
        "depth_image",
        _FIXED.depth_image,
        "Topic of depth images that are registered to the colour images, raw or "
        ".../compressedDepth: where objects are is then published on ~/objects. With cameras it "
        "is relative: <name>/<depth_image>. Empty is no depth.",
        change="configure",
    ),
    ParameterSpec(
        "depth_camera_info",
        _FIXED.depth_camera_info,
        "Topic of the calibration of the depth images; empty is camera_info beside depth_image.",
        change="configure",
    ),
    ParameterSpec(
        "autostart",
        _FIXED.autostart,
        "Configure and activate at start; false waits for lifecycle transitions.",
        change="start",
    ),
    ParameterSpec(
        "tune_malloc",
        _FIXED.tune_malloc,
        "Keep freed memory of large images instead of returning it to the system: half the "
        "latency of large images for more resident memory.",
        change="start",
    ),
    ParameterSpec(
        "realtime_priority",
        _FIXED.realtime_priority,
        "Run before all ordinary programs, with this priority of Linux's SCHED_RR, which needs "
        "the right to (docs/budget.md); 0 leaves it as it was started.",
        change="start",
        low=0,
        high=99,
    ),
)

_SPECS = MappingProxyType({spec.name: spec for spec in PARAMETERS})


def spec_of(name: str) -> ParameterSpec | None:
    """The specification of a parameter, or None for one that is not this package's."""
    return _SPECS.get(name)


def class_ids_of(classes: Iterable[str], class_names: Sequence[str]) -> tuple[int, ...] | None:
    """Indices of the classes to keep, None for all.

    Args:
        classes: names to keep; empty keeps all.
        class_names: the model's classes.

    Raises:
        ConfigError: the model has no such class; the message proposes the nearest name.
    """
    chosen = tuple(classes)
    for name in chosen:
        if name not in class_names:
            close = difflib.get_close_matches(name, class_names, n=1)
            guess = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(class_names)}"
            raise ConfigError(f"classes: the model has no class {name!r}; {guess}")
    return tuple(sorted({class_names.index(name) for name in chosen})) or None


def _fields_of(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in cls.__dataclass_fields__}  # type: ignore[attr-defined]
