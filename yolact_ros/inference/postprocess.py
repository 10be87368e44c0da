"""From raw network output to instances: box decoding, NMS, mask rescoring, mask assembly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from yolact_ros.config import YolactConfig
from yolact_ros.errors import ConfigError, YolactError
from yolact_ros.inference.candidates import Candidates, CandidateSearch
from yolact_ros.inference.rescoring import rescore
from yolact_ros.inference.settings import PostprocessConfig
from yolact_ros.inference.static_detection import (
    ANCHOR_FLOOR,
    MAX_CANDIDATES_PER_CLASS,
    MAX_DETECTIONS,
    detect_static,
)
from yolact_ros.ops.crops import assemble_mask_crops
from yolact_ros.ops.nms import pad_detections, select_cross_class_nms, select_standard_nms
from yolact_ros.ops.scratch import Scratch
from yolact_ros.ops.suppression import FIRST_PAIRS, Selection, select_fast_nms
from yolact_ros.prediction import Prediction
from yolact_ros.structures import Detections, MaskCrop, NetworkOutput

__all__ = ["BROKEN_PROTOTYPES", "PostprocessConfig", "Postprocessor", "first_rows"]

BROKEN_PROTOTYPES = "the network produced NaN prototypes: its weights are damaged"


class Postprocessor:
    """Turns raw network output into instances.

    On the CPU only boxes that can be reported are decoded and only their softmax is computed. On
    other devices detection has fixed shapes and does not wait for the device
    (:func:`~yolact_ros.ops.static_nms.static_fast_nms` says when that is exact). Masks are
    assembled on the host, unless the caller brings them
    (:class:`~yolact_ros.inference.device_pipeline.DevicePipeline`).

    Args:
        config: of the network.
        priors_cxcywh (Tensor[N, 4]): of the network, on the device of its output.
        mask_rescoring: YOLACT++'s ``[n, 1, h, w] -> [n, C]``: its value for an instance's class
            multiplies the score.
    """

    def __init__(
        self,
        config: YolactConfig,
        priors_cxcywh: Tensor,
        *,
        mask_rescoring: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self._config = config
        self._priors_cxcywh = priors_cxcywh
        self._mask_rescoring = mask_rescoring
        self._scratch = Scratch()
        self._uploaded_filter: tuple[tuple[int, ...], Tensor] | None = None

    @torch.inference_mode()
    def detect(self, output: NetworkOutput, settings: PostprocessConfig) -> Detections:
        """The instances of B images without their masks, at most ``settings.top_k`` of each.

        The class filter acts before NMS, so other classes suppress nothing. So does the score
        threshold, which changes nothing: only higher scores suppress.

        Raises:
            ConfigError: ``settings.class_ids`` has one that the network does not.
            YolactError: the output has NaN. Off the CPU :meth:`assemble` raises it, and ``counts``
                is -1, since here nothing may wait for the device.
        """
        class_ids = self.class_ids(settings)
        max_detections = settings.top_k if self._mask_rescoring is None else MAX_DETECTIONS
        if settings.nms == "fast" and output.class_logits.device.type != "cpu":
            detections = self._detect_on_device(output, settings, class_ids, max_detections)
        else:
            detections = self._detect_on_host(output, settings, class_ids, max_detections)
            if self._mask_rescoring is not None:
                detections = rescore(detections, output.prototypes, self._mask_rescoring)
        return first_rows(detections, settings.top_k)

    def assemble(
        self,
        detections: Detections,
        prototypes: Tensor,
        image_height_px: int,
        image_width_px: int,
        *,
        image: int = 0,
        masks: bool = True,
        max_instances: int | None = None,
        mask_stride: int = 1,
        crops_of: Callable[[int], list[MaskCrop]] | None = None,
    ) -> Prediction:
        """The prediction of one image of the batch, on the host.

        Args:
            detections: from :meth:`detect`.
            prototypes (Tensor[B, h, w, k]): of the network.
            image_height_px, image_width_px: size of the source image.
            image: index in the batch.
            masks: False gives boxes only.
            max_instances: keep only so many, best first.
            mask_stride: masks change only every so many pixels; 1 is full detail.
            crops_of: gives the masks of the first so many instances, which are not assembled
                here then.

        Raises:
            YolactError: the network's output has NaN.
        """
        found = _to_host(detections, image)
        count = int(found.counts[0])
        if count < 0:
            raise YolactError("the network produced NaN class scores: its weights are damaged")
        if max_instances is not None:
            count = min(count, max_instances)
        scores = found.scores[0, :count].numpy()
        relative = found.boxes_xyxy[0, :count].numpy()
        coefficients = found.coefficients[0, :count].numpy()
        if not np.isfinite(scores).all() or not np.isfinite(coefficients).all():
            raise YolactError(
                "the network produced NaN scores or mask coefficients: its weights are damaged"
            )
        crops = []
        if masks and count and crops_of is not None:
            crops = crops_of(count)
        elif masks and count:
            host_prototypes = prototypes[image].float().cpu().numpy()
            if not np.isfinite(host_prototypes.sum()):
                raise YolactError(BROKEN_PROTOTYPES)
            crops = assemble_mask_crops(
                host_prototypes,
                coefficients,
                relative,
                image_height_px,
                image_width_px,
                stride=mask_stride,
                scratch=self._scratch,
            )
        return Prediction(
            image_height_px,
            image_width_px,
            class_ids=found.class_ids[0, :count].numpy(),
            scores=scores,
            boxes_xyxy=_to_pixels(relative, image_height_px, image_width_px),
            mask_crops=tuple(crops),
            class_names=self._config.class_names,
        )

    def class_ids(self, settings: PostprocessConfig) -> tuple[int, ...] | None:
        """The class filter in rising order; None is all classes.

        Raises:
            ConfigError: it has a class that the network does not.
        """
        num_classes = self._config.num_classes
        if settings.class_ids is None:
            return None
        unknown = [c for c in settings.class_ids if not 0 <= c < num_classes]
        if unknown:
            raise ConfigError(
                f"class_ids has {unknown[0]}, but {self._config.name} has the classes "
                f"0..{num_classes - 1}"
            )
        # In rising order, so that equal scores rank as without a filter.
        return tuple(sorted(settings.class_ids))

    def _takes_part(
        self, class_ids: tuple[int, ...] | None, device: torch.device
    ) -> Tensor | None:
        """The class filter as ``bool[C]``, uploaded once."""
        if class_ids is None:
            return None
        if self._uploaded_filter is None or self._uploaded_filter[0] != class_ids:
            takes_part = torch.zeros(self._config.num_classes, dtype=torch.bool)
            takes_part[list(class_ids)] = True
            self._uploaded_filter = (class_ids, takes_part.to(device))
        return self._uploaded_filter[1]

    def _detect_on_device(
        self,
        output: NetworkOutput,
        settings: PostprocessConfig,
        class_ids: tuple[int, ...] | None,
        max_detections: int,
    ) -> Detections:
        return detect_static(
            output,
            self._priors_cxcywh,
            score_threshold=settings.score_threshold,
            nms_threshold=settings.nms_threshold,
            takes_part=self._takes_part(class_ids, output.class_logits.device),
            max_detections=max_detections,
            mask_rescoring=self._mask_rescoring,
        )

    def _detect_on_host(
        self,
        output: NetworkOutput,
        settings: PostprocessConfig,
        class_ids: tuple[int, ...] | None,
        max_detections: int,
    ) -> Detections:
        floor = max(ANCHOR_FLOOR, settings.score_threshold)
        selections, boxes, coefficients = [], [], []
        for logits, offsets, vectors in zip(
            output.class_logits, output.box_offsets, output.coefficients, strict=True
        ):
            search = CandidateSearch(
                logits, offsets, self._priors_cxcywh, floor, class_ids, self._scratch
            )
            found, selection = self._search(search, settings, max_detections)
            # Rows are taken by NumPy: torch's indexing wakes all its threads for a hundred rows.
            boxes.append(found.boxes_xyxy[selection.rows])
            rows = found.rows[selection.rows]
            coefficients.append(vectors.float().cpu().numpy()[rows])
            if class_ids is not None:
                names = np.array(class_ids, np.int64)
                selection = selection._replace(class_ids=names[selection.class_ids])
            selections.append(selection)
        return pad_detections(selections, boxes, coefficients, max_detections)

    def _search(
        self, search: CandidateSearch, settings: PostprocessConfig, max_detections: int
    ) -> tuple[Candidates, Selection]:
        """Selects from the best candidates alone where enough of them survive, else from all."""
        first_pairs = FIRST_PAIRS
        if settings.nms == "fast":
            found = search.best(first_pairs)
            if found is not None:
                selection = self._select(found, settings, max_detections, first_pairs)
                if len(selection.rows) == max_detections:
                    return found, selection
                first_pairs = 0
        found = search.all()
        return found, self._select(found, settings, max_detections, first_pairs)

    def _select(
        self,
        found: Candidates,
        settings: PostprocessConfig,
        max_detections: int,
        first_pairs: int,
    ) -> Selection:
        if settings.nms == "cross-class":
            selection = select_cross_class_nms(
                found.boxes_xyxy,
                found.class_scores,
                iou_threshold=settings.nms_threshold,
                max_detections=MAX_CANDIDATES_PER_CLASS,
                display_threshold=settings.score_threshold,
            )
        elif settings.nms == "standard":
            selection = select_standard_nms(
                found.boxes_xyxy,
                found.class_scores,
                iou_threshold=settings.nms_threshold,
                max_detections=max_detections,
                display_threshold=max(ANCHOR_FLOOR, settings.score_threshold),
                input_size_px=self._config.input_size_px,
            )
        else:
            selection = select_fast_nms(
                found.boxes_xyxy,
                found.class_scores,
                iou_threshold=settings.nms_threshold,
                max_candidates_per_class=MAX_CANDIDATES_PER_CLASS,
                max_detections=max_detections,
                display_threshold=np.maximum(
                    found.complete_above, np.float32(settings.score_threshold)
                ),
                first_pairs=first_pairs,
            )
        rows, class_ids, scores = selection
        return Selection(
            rows[:max_detections], class_ids[:max_detections], scores[:max_detections]
        )


def first_rows(detections: Detections, count: int) -> Detections:
    """The first ``count`` rows of each image: its best instances."""
    return Detections(
        boxes_xyxy=detections.boxes_xyxy[:, :count],
        scores=detections.scores[:, :count],
        class_ids=detections.class_ids[:, :count],
        coefficients=detections.coefficients[:, :count],
        counts=detections.counts.clamp(max=count),
    )


def _to_host(detections: Detections, image: int) -> Detections:
    """One image's detections on the CPU, in one copy."""
    parts = (
        detections.boxes_xyxy[image],
        detections.scores[image, :, None],
        detections.class_ids[image, :, None],
        detections.coefficients[image],
    )
    if detections.scores.device.type == "cpu":
        boxes, scores, class_ids, coefficients = parts
        counts = detections.counts[image, None]
    else:
        sides = [part.shape[1] for part in parts]
        table = torch.cat([part.float() for part in parts], dim=1)
        last_row = detections.counts[image].float().expand(1, table.shape[1])
        table = torch.cat((table, last_row)).cpu()
        boxes, scores, class_ids, coefficients = table[:-1].split(sides, dim=1)
        counts = table[-1, :1].long()
    return Detections(
        boxes_xyxy=boxes[None],
        scores=scores[None, :, 0],
        class_ids=class_ids[None, :, 0].long(),
        coefficients=coefficients[None],
        counts=counts,
    )


def _to_pixels(
    relative_xyxy: NDArray[np.float32], image_height_px: int, image_width_px: int
) -> NDArray[np.float32]:
    """Corners in order, clipped to the image."""
    size = np.array((image_width_px, image_height_px), np.float32)
    inside = relative_xyxy.clip(0, 1)  # before the product, which huge ones would overflow
    first, second = inside[:, :2] * size, inside[:, 2:] * size
    return np.concatenate((np.minimum(first, second), np.maximum(first, second)), axis=1)
