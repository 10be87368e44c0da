"""The whole way of an image: NumPy pixels in, NumPy instances out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from yolact_ros.errors import (
    ConfigError,
    ImageError,
    RuntimeUnavailableError,
    YolactError,
    first_line,
)
from yolact_ros.inference.detected_frame import DetectedFrame, StageTimes
from yolact_ros.inference.device_execution import CudaExecution, DirectExecution
from yolact_ros.inference.device_pipeline import DevicePipeline
from yolact_ros.inference.image_file import read_image
from yolact_ros.inference.postprocess import Postprocessor
from yolact_ros.inference.preprocess import Preprocessor
from yolact_ros.inference.runtimes.base import Runtime
from yolact_ros.inference.runtimes.selection import default_engine_folder, open_runtime
from yolact_ros.inference.settings import PredictionSettings
from yolact_ros.models.checkpoint import load_network
from yolact_ros.models.network import Network
from yolact_ros.models.zoo import BUNDLED, find_model
from yolact_ros.prediction import Prediction
from yolact_ros.structures import NetworkOutput

if TYPE_CHECKING:
    from typing_extensions import Self  # of typing from Python 3.11 on

__all__ = ["DetectedFrame", "Predictor", "StageTimes", "choose_device"]

Image = NDArray[np.uint8] | str | os.PathLike[str]

WARM_UP_RUNS = 2
WARM_UP_SHAPE = (480, 640, 3)


class Predictor:
    """A network with all that belongs around it, on one device.

    On the CPU, and with other than Fast NMS, masks are assembled on the host in :meth:`finish`. On
    CUDA the whole frame runs on the device and comes back in one copy
    (:class:`~yolact_ros.inference.device_pipeline.DevicePipeline`).

    Not thread-safe: use it from one thread at a time. The same image gives the same result every
    time.

    Args:
        model: the network; put into eval mode and onto the device.
        device: "cpu", "cuda", "cuda:1", ...; "auto" takes CUDA where it is.
        settings: what to report; assign to :attr:`settings` to change it.
        runtime: runs the network in the model's place, opened for its input size and for this
            device; closed with the predictor. None runs the model itself.
        on_device: whole frames on the device, if the network's family can; None is on CUDA.

    Raises:
        RuntimeUnavailableError: no such device here, or the runtime is for another one.
        ConfigError: the runtime is for another input size.
    """

    def __init__(
        self,
        model: Network,
        *,
        device: str | torch.device = "auto",
        settings: PredictionSettings | None = None,
        runtime: Runtime | None = None,
        on_device: bool | None = None,
    ) -> None:
        self.device = choose_device(device)
        if runtime is not None:
            _check_runtime(runtime, model.config.input_size_px, self.device)
        self._runtime = runtime
        self.settings = settings or PredictionSettings()
        model = model.eval().to(self.device)
        network = model if runtime is None else runtime.run
        self._network: Callable[[Tensor], NetworkOutput] | None = network
        self._config = model.config
        self._max_batch = model.max_batch if runtime is None else runtime.max_batch
        self._batch = torch.empty(0)
        self._preprocessor = Preprocessor(model.config, self.device)
        self._rescores_masks = model.mask_rescoring is not None
        decoder = model.decoder
        self._postprocessor = Postprocessor(
            model.config, decoder, mask_rescoring=model.mask_rescoring
        )
        on_cuda = self.device.type == "cuda"
        self._pipeline: DevicePipeline | None = None
        # What the device does, it does for images that fill the input, and with NMS.
        fits_pipeline = decoder.overlaps and not model.config.keeps_aspect_ratio
        if fits_pipeline and (on_cuda if on_device is None else on_device):
            self._pipeline = DevicePipeline(
                model.config,
                decoder,
                network,
                (CudaExecution if on_cuda else DirectExecution)(self.device),
                mask_rescoring=model.mask_rescoring,
                # Eager starts at once, so the rest does too.
                compiled=on_cuda and runtime is not None and runtime.name != "eager",
            )

    @classmethod
    def load(
        cls,
        model: str | os.PathLike[str] = BUNDLED,
        *,
        device: str | torch.device = "auto",
        runtime: str = "auto",
        precision: str = "auto",
        settings: PredictionSettings | None = None,
        class_names: Sequence[str] = (),
        num_prototypes: int = 0,
        input_size_px: int = 0,
    ) -> Self:
        """Load a model by its name or by its file, ready for images.

        Args:
            model: a name from ``yolact models list``, a file of weights, or an ONNX file with a
                YOLO segmentation network.
            runtime: what runs the network; ``auto`` takes the fastest, which is measured at the
                first use (seconds) and remembered.
            precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
            class_names: in place of the model's, or one file of names.
            num_prototypes: what the model must have; 0 takes what it has.
            input_size_px: side of the network input; 0 takes the model's own.

        Raises:
            CheckpointError: no such model, or a file that cannot be used.
            ConfigError: the input size is out of range, or another number of class names.
            DependencyError: the package of the runtime is not installed.
            RuntimeUnavailableError: no such device or runtime here.
        """
        network = load_network(
            find_model(model),
            class_names=class_names,
            num_prototypes=num_prototypes,
            input_size_px=input_size_px,
        )
        device = choose_device(device)
        opened = open_runtime(
            runtime,
            network.eval().to(device),
            device=device,
            precision=precision,
            cache_folder=default_engine_folder(),
        )
        return cls(network, device=device, settings=settings, runtime=opened)

    def __call__(self, image: Image | Sequence[Image]) -> Prediction | list[Prediction]:
        """Find the instances in an image, or in each of several.

        Args:
            image: BGR pixels (uint8[H, W, 3], as OpenCV has them), the path of an image file, or
                a sequence of these.

        Returns:
            a prediction, or a list of them for a sequence.

        Raises:
            As :meth:`predict`; a file that is no image is an ImageError too.
        """
        if isinstance(image, np.ndarray):
            return self.predict(image)
        if isinstance(image, str | os.PathLike):
            return self.predict(read_image(Path(image)))
        return [prediction for one in image if isinstance(prediction := self(one), Prediction)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def class_names(self) -> tuple[str, ...]:
        """By the class ids of a prediction."""
        return self._config.class_names

    @property
    def input_size_px(self) -> int:
        """Longer side of the network input."""
        return self._config.input_size_px

    @property
    def rescores_masks(self) -> bool:
        """Whether scores are multiplied by those of the masks, as YOLACT++ does."""
        return self._rescores_masks

    @property
    def runtime(self) -> str:
        """What runs the network, in which precision and why, for people."""
        return "eager fp32" if self._runtime is None else str(self._runtime)

    def predict(self, image_bgr: NDArray[np.uint8]) -> Prediction:
        """Find the instances in an image, uint8[H, W, 3]: blue, green, red.

        Raises:
            ImageError: not such an array, or an empty one.
            ConfigError: the settings have a class that the network does not.
            YolactError: the network produced NaN, or the predictor is closed.
        """
        return self.finish(self.detect(image_bgr))[0]

    def predict_timed(self, image_bgr: NDArray[np.uint8]) -> tuple[Prediction, StageTimes]:
        """:meth:`predict`, with the milliseconds of its stages."""
        return self.finish(self.detect(image_bgr))

    @property
    def max_batch(self) -> int:
        """Most images in one :meth:`detect_batch`: what the runtime holds.

        1 where whole frames run on the device, whose buffers and graphs are those of one image.
        """
        if self._pipeline is not None:
            return 1
        return self._max_batch

    def detect(self, image_bgr: NDArray[np.uint8]) -> DetectedFrame:
        """The first part of :meth:`predict`: all but the masks.

        Between it and :meth:`finish` a caller with a deadline can decide how many masks there is
        time for. A device that runs whole frames has made the masks by then, since asking the
        host in between would cost it a wait. Finish a frame before detecting the next one.

        Raises:
            As :meth:`predict`.
        """
        if self._pipeline is None or self.settings.nms not in (None, "fast"):
            return self.detect_batch((image_bgr,))[0]
        self._postprocessor.class_ids(self.settings)
        return self._pipeline.detect(image_bgr, self.settings)

    @torch.inference_mode()
    def detect_batch(self, images_bgr: Sequence[NDArray[np.uint8]]) -> list[DetectedFrame]:
        """:meth:`detect` for several images of any sizes, in one run of the network.

        Each frame's ``inference_ms`` is that of the whole run, which it waited for. Finish all
        frames before detecting the next ones.

        Raises:
            ImageError: none, or more than :attr:`max_batch`.
            As :meth:`predict`, if any of the images fails.
        """
        if self._network is None:
            raise YolactError("the predictor is closed; make a new one")
        count = len(images_bgr)
        if not 1 <= count <= self.max_batch:
            raise ImageError(f"{count} images at once, the runtime takes 1..{self.max_batch}")
        times_s = [time.perf_counter()]
        for row, image_bgr in enumerate(images_bgr):
            images = self._preprocessor(image_bgr)
            if count > 1:
                if count > len(self._batch):
                    self._batch = torch.empty(count, *images.shape[1:], device=self.device)
                self._batch[row] = images[0]
            self._wait_for_device()
            times_s.append(time.perf_counter())
        output = self._network(self._batch[:count] if count > 1 else images)
        self._wait_for_device()
        inference_ms = (time.perf_counter() - times_s[-1]) * 1e3
        return [
            self._detected(
                output,
                row,
                image_bgr,
                StageTimes((times_s[row + 1] - times_s[row]) * 1e3, inference_ms),
            )
            for row, image_bgr in enumerate(images_bgr)
        ]

    def finish(
        self,
        frame: DetectedFrame,
        *,
        masks: bool = True,
        max_instances: int | None = None,
        mask_stride: int = 1,
    ) -> tuple[Prediction, StageTimes]:
        """The second part of :meth:`predict`: mask assembly and the way to the host.

        Args:
            masks: False leaves masks out, as ``settings.masks`` does.
            mask_stride: masks change only every so many pixels; 1 is full detail.

        Raises:
            YolactError: the network produced NaN.
        """
        begun_s = time.perf_counter()
        prediction = self._postprocessor.assemble(
            frame.detections,
            frame.prototypes,
            frame.image_height_px,
            frame.image_width_px,
            masks=masks and frame.settings.masks,
            max_instances=max_instances,
            mask_stride=mask_stride,
            crops_of=partial(self._pipeline.crops, stride=mask_stride)
            if frame.has_masks and self._pipeline is not None
            else None,
        )
        taken_ms = (time.perf_counter() - begun_s) * 1e3
        times = frame.times._replace(postprocess_ms=frame.times.postprocess_ms + taken_ms)
        return prediction, times

    def warm_up(self) -> None:
        """Run an empty image through, so that the first real one is not the slowest."""
        settings = self.settings
        self.settings = replace(settings, class_ids=None)
        try:
            for _ in range(WARM_UP_RUNS):
                self.predict(np.zeros(WARM_UP_SHAPE, np.uint8))
        finally:
            self.settings = settings

    def close(self) -> None:
        """Let go of the network. Calling it again does nothing."""
        self._network = None
        if self._pipeline is not None:
            self._pipeline.close()
            self._pipeline = None
        if self._runtime is not None:
            self._runtime.close()

    def _detected(
        self, output: NetworkOutput, row: int, image_bgr: NDArray[np.uint8], times: StageTimes
    ) -> DetectedFrame:
        """The detections of one image, whose output is a row of the batch's."""
        begun_s = time.perf_counter()
        detections = self._postprocessor.detect(output, self.settings, image=row)
        height_px, width_px = image_bgr.shape[:2]
        taken_ms = (time.perf_counter() - begun_s) * 1e3
        return DetectedFrame(
            detections,
            output.prototypes[row],
            height_px,
            width_px,
            self._postprocessor.place(height_px, width_px),
            self.settings,
            times._replace(postprocess_ms=taken_ms),
        )

    def _wait_for_device(self) -> None:
        """So that the stage times are those of the stages."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def _check_runtime(runtime: Runtime, input_size_px: int, device: torch.device) -> None:
    if runtime.input_size_px != input_size_px:
        raise ConfigError(
            f"the runtime is opened for an input of {runtime.input_size_px} px, the model has "
            f"{input_size_px} px; open it for this model"
        )
    if runtime.device.type != device.type:
        raise RuntimeUnavailableError(
            f"the runtime runs on {runtime.device}, the predictor on {device}; open both for the "
            "same device"
        )


def choose_device(name: str | torch.device) -> torch.device:
    """The device of a name; "auto" is CUDA where it is, else the CPU.

    Raises:
        RuntimeUnavailableError: no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type == "cuda" and torch.cuda.is_available():
            # Asking CUDA for a device that is not there starts it first, for seconds.
            here = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
            if device.index is not None and device.index >= len(here):
                raise RuntimeError(f"CUDA devices here: {', '.join(here)}")
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # torch raises either
        raise RuntimeUnavailableError(
            f'the device "{name}" cannot be used here ({first_line(error)}); set device to "cpu" '
            'or "auto"'
        ) from error
    return device
