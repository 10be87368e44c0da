"""The node's parameters: names, defaults, ranges and what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from yolact_ros.config import MAX_INPUT_SIZE_PX, MIN_INPUT_SIZE_PX
from yolact_ros.inference.runtimes.names import PRECISIONS, RUNTIMES
from yolact_ros.palette import COLORS_BY, PALETTES, ColorBy, PaletteName
from yolact_ros.ros.parameter_spec import ParameterSpec
from yolact_ros.tracking import TrackerSettings
from yolact_ros.tracking.settings import DEFAULT_BUFFER_MS, NO_TRACKER, TRACKER_CHOICES

if TYPE_CHECKING:
    from typing_extensions import Self  # of typing from Python 3.11 on

__all__ = ["PARAMETERS", "FixedParameters", "LiveParameters", "spec_of"]

T = TypeVar("T")


def _parameter(default: T, description: str, **more: Any) -> T:
    """A field that is a parameter; ``more`` are further fields of its :class:`ParameterSpec`."""
    return field(
        default=default, metadata={"description": description, "default": default, **more}
    )


@dataclass(frozen=True)
class _Parameters:
    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """Pick these out of all parameters' values."""
        return cls(**{one.name: values[one.name] for one in fields(cls)})


@dataclass(frozen=True)
class LiveParameters(_Parameters):
    """The parameters that act at the next frame."""

    score_threshold: float = _parameter(
        0.3, "Least class score of a published instance.", limits=(0.0, 1.0)
    )
    top_k: int = _parameter(
        15,
        "Most instances published a frame, the best scores first.",
        unit="instances",
        limits=(1, 200),
    )
    nms_threshold: float = _parameter(
        0.5, "Box overlap (IoU) above which Fast NMS drops the lower score.", limits=(0.0, 1.0)
    )
    classes: tuple[str, ...] = _parameter(
        (), "Names of the classes to publish; an empty list publishes all."
    )
    frame_budget_ms: float = _parameter(
        33.3,
        "Deadline from the reception of an image to the publication of its instances; "
        "0 turns it off.",
        unit="ms",
        limits=(0.0, 60000.0),
    )
    overrun_policy: str = _parameter(
        "publish",
        "What happens to a result that is later than frame_budget_ms: publish it flagged, or "
        "drop it.",
        choices=("publish", "drop"),
    )
    max_image_age_ms: float = _parameter(
        0.0,
        "Images whose stamp is older than this when they arrive are dropped; 0 keeps all.",
        unit="ms",
        limits=(0.0, 600000.0),
    )
    mask_encoding: str = _parameter(
        "bits",
        "How masks are sent: bits (fastest), rle (smallest) or none (boxes only).",
        choices=("bits", "rle", "none"),
    )
    overlay_palette: PaletteName = _parameter(
        "vivid",
        "Colours of the classes in the overlay; okabe-ito is safe for colour-blind people.",
        choices=PALETTES,
    )
    overlay_colors: ColorBy = _parameter(
        "class",
        "What gives an instance its colour in the overlay and the markers: its class, or the "
        "object that it is (track_id), with tracker.",
        choices=COLORS_BY,
    )
    input_size: tuple[int, ...] = _parameter(
        (0,),
        "Sides of the network input, the largest first: the budget uses the smaller ones when "
        "time is short; 0 is the model's own. Other sizes are warmed up first, then switched to.",
        unit="px",
        limits=(MIN_INPUT_SIZE_PX, MAX_INPUT_SIZE_PX),
    )
    tracker: str = _parameter(
        NO_TRACKER,
        "How objects keep their identity (track_id) from image to image: none, bytetrack (cheap), "
        "ocsort (erratic motion) or botsort (a moving camera).",
        choices=TRACKER_CHOICES,
    )
    track_buffer_ms: float = _parameter(
        DEFAULT_BUFFER_MS,
        "How long an object that is not found keeps its track_id, in the time of the stamps; must "
        "be longer than the time from one processed image to the next.",
        unit="ms",
        limits=(1.0, 60000.0),
    )
    depth_wait_ms: float = _parameter(
        50.0,
        "How long a result waits for the depth image of its stamp, and for tf, before ~/objects "
        "is published without; ~/instances never waits.",
        unit="ms",
        limits=(0.0, 1000.0),
    )
    max_depth_m: float = _parameter(
        20.0, "Depth readings farther away than this are none.", unit="m", limits=(0.2, 1000.0)
    )
    target_frame: str = _parameter(
        "",
        "A frame of tf that does not move and has z up, such as odom: velocities of objects are "
        "in it, and their boxes stand upright. Empty needs no tf and gives neither.",
    )

    @property
    def tracker_settings(self) -> TrackerSettings | None:
        """How objects are followed; None where they are not."""
        if self.tracker == NO_TRACKER:
            return None
        return TrackerSettings(self.tracker, self.track_buffer_ms)  # type: ignore[arg-type]


@dataclass(frozen=True)
class FixedParameters(_Parameters):
    """The parameters that the node reads when it is configured or, where so marked, started."""

    model: str = _parameter(
        "bundled",
        "Name of a model (`yolact models list`), path of a checkpoint, or of an ONNX file with a "
        "YOLO segmentation network.",
    )
    class_names: tuple[str, ...] = _parameter(
        (),
        "Names of all classes of the model, in the order of training, or one file of them; an "
        "empty list takes those of the model's file, or of a .txt of its name beside it.",
    )
    num_prototypes: int = _parameter(
        0,
        "Number of prototype masks, k, that the model must have; 0 takes the model's.",
        limits=(0, 1024),
    )
    device: str = _parameter(
        "auto", "Where the network runs: auto (a GPU if there is one), cpu, cuda or cuda:N."
    )
    runtime: str = _parameter(
        "auto",
        "What runs the network (docs/runtimes.md); auto takes the fastest that is installed. The "
        "first time it starts with eager and measures the others meanwhile.",
        choices=RUNTIMES,
    )
    precision: str = _parameter(
        "auto",
        "What the runtime computes in; auto is fp32 for eager and the device's fastest float for "
        "the others, int8 needs runtime openvino, and calibration_folder or `yolact quantize` "
        "before.",
        choices=PRECISIONS,
    )
    calibration_folder: str = _parameter(
        "",
        "Folder of images like the camera's, of which precision int8 uses up to 50 to calibrate "
        "the network; empty takes the int8 network that was made before.",
    )
    image_transport: str = _parameter(
        "raw",
        "Subscribe to the raw image topic or to its JPEG and PNG sibling, <image>/compressed.",
        choices=("raw", "compressed"),
    )
    reliability: str = _parameter(
        "auto",
        "Of the image subscription; auto asks for reliable delivery where every publisher offers "
        "it and best effort loses frames.",
        choices=("auto", "reliable", "best_effort"),
    )
    cameras: tuple[str, ...] = _parameter(
        (),
        "Camera names: <name>/image is subscribed and ~/<name>/... published for each; an empty "
        "list is one camera on image and ~/...",
    )
    depth_image: str = _parameter(
        "",
        "Topic of depth images that are registered to the colour images, raw or "
        ".../compressedDepth: where objects are is then published on ~/objects. With cameras it "
        "is relative: <name>/<depth_image>. Empty is no depth.",
    )
    depth_camera_info: str = _parameter(
        "",
        "Topic of the calibration of the depth images; empty is camera_info beside depth_image.",
    )
    autostart: bool = _parameter(
        True,
        "Configure and activate at start; false waits for lifecycle transitions.",
        change="start",
    )
    tune_malloc: bool = _parameter(
        True,
        "Keep freed memory of large images instead of returning it to the system: half the "
        "latency of large images for more resident memory.",
        change="start",
    )
    realtime_priority: int = _parameter(
        0,
        "Run before all ordinary programs, with this priority of Linux's SCHED_RR, which needs "
        "the right to (docs/budget.md); 0 leaves it as it was started.",
        change="start",
        limits=(0, 99),
    )


PARAMETERS = tuple(
    ParameterSpec(name=one.name, **{"change": change, **one.metadata})
    for parameters, change in ((LiveParameters, "live"), (FixedParameters, "configure"))
    for one in fields(parameters)
)
_SPECS = MappingProxyType({spec.name: spec for spec in PARAMETERS})


def spec_of(name: str) -> ParameterSpec | None:
    """The specification of a parameter, or None for one that is not this package's."""
    return _SPECS.get(name)
