"""A frame from pixels on the host to packed masks on the host, with one wait for the device.

``docs/gpu.md`` has the design and its arithmetic.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from yolact_ros.config import NetworkConfig
from yolact_ros.errors import damaged_network
from yolact_ros.inference.detected_frame import DetectedFrame, StageTimes
from yolact_ros.inference.device_execution import DirectExecution, Stage, compiled_or_plain
from yolact_ros.inference.device_frame import (
    COEFFICIENTS,
    FrameDetections,
    detect_frame,
    read_table,
)
from yolact_ros.inference.preprocess import check_image, normalization_of, prepare_image
from yolact_ros.inference.readback_buffer import ExtraWindow, ReadbackBuffer
from yolact_ros.inference.rescoring import MaskRescoring
from yolact_ros.inference.runtimes.base import DeviceMemoryError
from yolact_ros.inference.settings import MAX_DETECTIONS, MAX_TOP_K, PredictionSettings
from yolact_ros.ops.decoder import OutputDecoder
from yolact_ros.ops.device_masks import (
    WINDOW_BYTES,
    MaskGrid,
    crop_bytes,
    crops_from_bits,
    window_bits,
)
from yolact_ros.ops.placement import Placement
from yolact_ros.structures import MaskCrop, NetworkOutput

__all__ = ["DevicePipeline"]

# Room for so many whole masks comes with every frame; more cost another copy.
WHOLE_MASKS = 4
# An upload is cut up so that the device gets one part while the host copies the next.
UPLOAD_STRIPS = 4
# Image sizes that keep their buffers and graphs: those of several cameras.
MAX_SHAPES = 4
# A capture takes as long as many frames, which a data set with an image of each size never earns.
RECORD_AT_FRAME = 2


@dataclass
class _Shape:
    """Buffers and stages for images of one size, recorded once some have come."""

    pixels: Tensor
    staging: Tensor
    readback: ReadbackBuffer
    prepare: Stage
    detect: Stage
    frames: int = 0

    @property
    def size_px(self) -> tuple[int, int]:
        return self.pixels.shape[0], self.pixels.shape[1]


class DevicePipeline:
    """Runs whole frames on one device, for B = 1 and Fast NMS.

    :meth:`launch` queues a frame without waiting: upload from a staging buffer, preprocessing,
    network, detection, masks, one copy back. :meth:`collect` waits for it, once. :meth:`crops`
    then cuts out the masks. The first two images of a size cost some milliseconds more; thresholds
    and class filter change without any. One thread only.

    Args:
        decoder: of the network, on the device.
        network: runs it on float32 images ``[1, 3, S, S]``.
        compiled: put detection and masks through torch's compiler, half a minute at the first
            frame.
    """

    def __init__(
        self,
        config: NetworkConfig,
        decoder: OutputDecoder,
        network: Callable[[Tensor], NetworkOutput],
        execution: DirectExecution,
        *,
        mask_rescoring: MaskRescoring | None = None,
        compiled: bool = False,
    ) -> None:
        self._execution = execution
        self._network = network
        self._decoder = decoder
        self._mask_rescoring = mask_rescoring
        self._crop_in_image = config.crops_masks_in_image
        self._rows = MAX_TOP_K if mask_rescoring is None else MAX_DETECTIONS
        self._detect_frame = compiled_or_plain(detect_frame) if compiled else detect_frame
        self._window_bits = compiled_or_plain(window_bits) if compiled else window_bits
        self._shapes: OrderedDict[tuple[int, int, bool], _Shape] = OrderedDict()
        self._output: NetworkOutput | None = None
        self._found: FrameDetections | None = None
        self._extra: ExtraWindow | None = None
        self._current: _Shape | None = None
        self._prototypes_are_finite = True
        side = self._side_px = config.input_size_px
        with torch.inference_mode(), execution.scope():
            device = execution.device
            self._scale, self._shift = (
                torch.from_numpy(values).to(device)[:, None, None]
                for values in normalization_of(config)
            )
            self._images = torch.zeros(1, 3, side, side, device=device)
            self._live = torch.zeros(2 + config.num_classes, device=device)
            staging = execution.host_buffer(4 * len(self._live))
            self._live_staging = staging.view(torch.float32)
        self._live_settings: PredictionSettings | None = None

    def detect(self, image_bgr: NDArray[np.uint8], settings: PredictionSettings) -> DetectedFrame:
        """:meth:`launch` and :meth:`collect`.

        Raises:
            ImageError: not an image.
            DeviceMemoryError: the device has no memory left; what could be freed was freed.
        """
        try:
            self.launch(image_bgr, settings)
        except torch.OutOfMemoryError as error:
            self._shapes.clear()
            self._current = None
            torch.cuda.empty_cache()
            raise DeviceMemoryError(
                f"{self._execution.device} ran out of memory at an input of {self._side_px} px; "
                "use a smaller input_size or end other programs on the device"
            ) from error
        return self.collect()

    @torch.inference_mode()
    def launch(self, image_bgr: NDArray[np.uint8], settings: PredictionSettings) -> None:
        """Queue a frame; nothing waits for the device from the third image of a size on.

        Args:
            image_bgr (uint8[H, W, 3]): blue, green, red; any strides; read before this returns.
        """
        check_image(image_bgr)
        execution = self._execution
        with execution.scope():
            shape = self._shape_for(image_bgr, masks=settings.masks)
            shape.frames += 1
            if shape.frames == RECORD_AT_FRAME:
                shape.prepare = execution.record(shape.prepare)
                shape.detect = execution.record(shape.detect)
            self._use(settings)
            execution.mark(0)
            _upload(image_bgr, shape)
            shape.prepare()
            execution.mark(1)
            self._run_network()
            execution.mark(2)
            shape.detect()
            shape.readback.send()
            execution.mark(3)
        self._current = shape

    @torch.inference_mode()
    def collect(self) -> DetectedFrame:
        """Wait for the frame of the last :meth:`launch`.

        Raises:
            YolactError: the network's class scores have NaN.
        """
        shape, output, settings = self._current, self._output, self._live_settings
        if shape is None or output is None or settings is None:
            raise RuntimeError("DevicePipeline.collect: launch a frame first")
        execution = self._execution
        with execution.scope():
            execution.wait()
            times = StageTimes(*(execution.elapsed_ms(index, index + 1) for index in range(3)))
        detections, self._prototypes_are_finite = read_table(shape.readback.host_table.copy())
        return DetectedFrame(
            detections.first(settings.top_k),
            output.prototypes[0],
            *shape.size_px,
            Placement(self._side_px, self._side_px, 0, 0, self._side_px, self._side_px),
            settings,
            times,
            has_masks=True,
        )

    @torch.inference_mode()
    def crops(self, count: int, stride: int = 1) -> list[MaskCrop]:
        """The masks of the first ``count`` instances of the frame that was collected.

        Masks that did not fit the frame's copy, or of another stride, are made now.

        Raises:
            YolactError: the network's prototypes are not finite.
        """
        shape, extra = self._current, self._extra
        if shape is None or extra is None:
            raise RuntimeError("DevicePipeline.crops: collect a frame first")
        if not self._prototypes_are_finite:
            raise damaged_network("prototypes")
        with self._execution.scope():
            rectangles, bits = shape.readback.host_rectangles, shape.readback.host_bits
            if stride != 1 or not bits.size:
                rectangles, bits = extra.fetch(shape.size_px, stride, 0)
            rectangles = rectangles[:count]
            needed = crop_bytes(rectangles)
            parts = [bits[:needed].copy()]
            for first_byte in range(bits.size, needed, WINDOW_BYTES):
                _, bits = extra.fetch(shape.size_px, stride, first_byte)
                parts.append(bits[: needed - first_byte].copy())
        return crops_from_bits(rectangles, np.concatenate(parts) if len(parts) > 1 else parts[0])

    def close(self) -> None:
        """Let go of the graphs and buffers."""
        self._shapes.clear()
        self._current = self._extra = self._found = self._output = None

    def _use(self, settings: PredictionSettings) -> None:
        """Upload what changed about the settings."""
        if settings == self._live_settings:
            return
        live = self._live_staging
        live[0], live[1] = settings.score_threshold, settings.nms_threshold
        live[2:] = float(settings.class_ids is None)
        for class_id in settings.class_ids or ():
            live[2 + class_id] = 1.0
        self._live.copy_(live, non_blocking=True)
        self._live_settings = settings

    def _run_network(self) -> NetworkOutput:
        """Its output in buffers that never move: those of the first run."""
        output = self._network(self._images)
        if self._output is None:
            self._output = output
        for own, new in zip(self._output[:4], output[:4], strict=True):
            if own.data_ptr() != new.data_ptr():
                own.copy_(new)
        return self._output

    def _shape_for(self, image_bgr: NDArray[np.uint8], *, masks: bool) -> _Shape:
        height_px, width_px = image_bgr.shape[:2]
        key = (height_px, width_px, masks)
        if key not in self._shapes:
            if len(self._shapes) == MAX_SHAPES:
                self._shapes.popitem(last=False)
            self._shapes[key] = self._make_shape(height_px, width_px, masks=masks)
        self._shapes.move_to_end(key)
        return self._shapes[key]

    def _make_shape(self, height_px: int, width_px: int, *, masks: bool) -> _Shape:
        execution, device = self._execution, self._execution.device
        output = self._run_network() if self._output is None else self._output
        height, width = output.prototypes.shape[1:3]
        num_coefficients = output.coefficients.shape[2]
        found = self._found
        if found is None:
            found = self._found = FrameDetections(
                torch.zeros(self._rows + 1, COEFFICIENTS + num_coefficients, device=device),
                torch.zeros(self._rows, height, width, device=device),
                torch.zeros(self._rows, 4, dtype=torch.int32, device=device),
            )
            self._extra = ExtraWindow(
                execution, found, self._window_bits, crop_in_image=self._crop_in_image
            )
        mask_bytes = -(-height_px * width_px // 8)
        windows = -(-WHOLE_MASKS * mask_bytes // WINDOW_BYTES) if masks else 0
        readback = ReadbackBuffer(execution, self._rows, found.table.shape[1], windows)
        pixels = torch.zeros(height_px, width_px, 3, dtype=torch.uint8, device=device)
        grid = MaskGrid(*_numbers((height_px, width_px, 1), device))
        first_bytes = _numbers(range(0, windows * WINDOW_BYTES, WINDOW_BYTES), device)

        def prepare() -> None:
            self._images.copy_(prepare_image(pixels, self._scale, self._shift, self._side_px))

        def detect() -> None:
            new = self._detect_frame(
                tuple(output[:4]),
                self._decoder,
                self._live,
                grid,
                self._rows,
                self._mask_rescoring,
                self._crop_in_image,
            )
            for buffer, values in zip(found, new, strict=True):
                buffer.copy_(values)
            readback.table.copy_(found.table)
            readback.rectangles.copy_(found.rectangles)
            for first_byte, window in zip(first_bytes, readback.windows, strict=True):
                window.copy_(self._window_bits(found.planes, found.rectangles, grid, first_byte))

        return _Shape(
            pixels,
            execution.host_buffer(pixels.numel()).view_as(pixels),
            readback,
            prepare,
            detect,
        )


def _numbers(values: Iterable[int], device: torch.device) -> list[Tensor]:
    """Each in memory of its own: the compiler's kernels copy inputs that are not aligned."""
    return [torch.tensor(value, dtype=torch.int32, device=device) for value in values]


def _upload(image_bgr: NDArray[np.uint8], shape: _Shape) -> None:
    """Through the staging buffer, a strip at a time."""
    staging = shape.staging.numpy()
    height_px = len(image_bgr)
    strip_px = -(-height_px // UPLOAD_STRIPS)
    for top in range(0, height_px, strip_px):
        rows = slice(top, top + strip_px)
        np.copyto(staging[rows], image_bgr[rows])
        shape.pixels[rows].copy_(shape.staging[rows], non_blocking=True)
