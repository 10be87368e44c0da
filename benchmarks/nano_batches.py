"""Augmented examples for the mask branch of yolact_nano: views and mosaics."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset, get_worker_info

from yolact_ros.models.nano import NanoConfig
from yolact_ros.training.annotations import DataSource, ImageRecord, is_held_out, read_source
from yolact_ros.training.augment import AugmentSettings, draw_view, render, vary_colors
from yolact_ros.training.dataset import SampleStore, normalize_image

NETWORK = NanoConfig()
MASK_STRIDE = 4
# Photographs in a row of a mosaic.
MOSAIC_ROWS = (1, 2, 3)


def training_records(sources: list[dict[str, Any]], folder: Path) -> list[list[ImageRecord]]:
    """Records of each source with at least one object, without those that it holds out."""
    found = []
    for entry in sources:
        source = DataSource(
            name=entry["name"],
            images=folder / entry["images"],
            annotations=folder / entry["annotations"],
            holdout=entry.get("holdout", 0.0),
        )
        records, defects = read_source(source, NETWORK.class_names)
        print(source.name, len(records), "images;", defects, flush=True)
        records = [r for r in records if not is_held_out(r, source.holdout)]
        found.append([r for r in records if any(not o.is_crowd for o in r.objects)])
    return found


@dataclass(frozen=True)
class Batch:
    """B images and the n objects in them.

    Attributes:
        images (bfloat16[B, 3, S, S]): normalised RGB.
        boxes_xyxy (float32[n, 4]): relative to the image.
        class_ids (int64[n])
        masks (uint8[n, S/4, S/4]): the share of each position that the object covers, 0..255.
        image_ids (int64[n]): rising.
    """

    images: Tensor
    boxes_xyxy: Tensor
    class_ids: Tensor
    masks: Tensor
    image_ids: Tensor

    def pin_memory(self) -> Batch:
        """The data loader calls it where there is a GPU."""
        return self._each(Tensor.pin_memory)

    def to(self, device: torch.device) -> Batch:
        """A copy that does not wait."""
        return self._each(lambda values: values.to(device, non_blocking=True))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        return Batch(*map(change, vars(self).values()))


class Batches(Dataset[Batch]):
    """Batch number n; it depends on nothing but n."""

    def __init__(self, settings: dict[str, Any], folder: Path) -> None:
        sources = settings["data"]
        self._records = training_records(sources, folder)
        shares = np.array([entry["weight"] for entry in sources], float)
        self._shares = shares / shares.sum()
        self._stores = [
            SampleStore(records, max_side_px=settings["max_side_px"]) for records in self._records
        ]
        self._batch_size, self._seed = settings["batch_size"], settings["seed"]
        self._sizes_px = settings["sizes_px"]
        self._augment = AugmentSettings(**settings["augment"])
        self._max_objects = settings["max_objects"]
        self._mosaic_shares = settings["mosaic_shares"]
        # Before the processes start, so that they share what is decoded.
        with ThreadPoolExecutor() as threads:
            for store in self._stores:
                list(threads.map(store.__getitem__, range(len(store))))

    def __len__(self) -> int:
        return 1_000_000

    def __getitem__(self, number: int) -> Batch:
        if get_worker_info() is not None:
            torch.set_num_threads(1)
            cv2.setNumThreads(1)
        random = np.random.default_rng((self._seed, number))
        size_px = self._sizes_px[number % len(self._sizes_px)]
        examples = [self._example(random, size_px) for _ in range(self._batch_size)]
        images, *objects = zip(*examples, strict=True)
        return Batch(
            torch.stack(images).bfloat16(),
            *map(torch.cat, objects),
            torch.arange(len(images)).repeat_interleave(torch.tensor(list(map(len, objects[0])))),
        )

    def _example(self, random: np.random.Generator, size_px: int) -> tuple[Tensor, ...]:
        """One view, or a mosaic of views of 4 or 9 photographs, in which objects are small."""
        rows = int(random.choice(MOSAIC_ROWS, p=self._mosaic_shares))
        side_px = size_px // rows // MASK_STRIDE * MASK_STRIDE
        image = torch.zeros(3, size_px, size_px)
        found = []
        for row, column in itertools.product(range(rows), repeat=2):
            top_px, left_px = row * side_px, column * side_px
            view, boxes, class_ids, masks = self._view(random, side_px)
            image[:, top_px : top_px + side_px, left_px : left_px + side_px] = view
            boxes = boxes + torch.tensor([left_px, top_px, left_px, top_px])
            # Left, right, top, bottom.
            around = (left_px, size_px - side_px - left_px, top_px, size_px - side_px - top_px)
            masks = F.pad(masks, [side // MASK_STRIDE for side in around])
            found.append((boxes, class_ids, masks))
        boxes, class_ids, masks = (torch.cat(parts) for parts in zip(*found, strict=True))
        kept = torch.from_numpy(random.permutation(len(boxes)))[: self._max_objects]
        return image, boxes[kept] / size_px, class_ids[kept], masks[kept]

    def _view(self, random: np.random.Generator, size_px: int) -> tuple[Tensor, ...]:
        source = int(random.choice(len(self._stores), p=self._shares))
        sample = self._stores[source][int(random.integers(len(self._stores[source])))]
        view = draw_view(sample, self._augment, random)
        image, inside, shown = render(sample, view, size_px, min_object_px=4.0)
        image = vary_colors(image, self._augment, random)
        image[~inside] = NETWORK.normalization.mean_bgr
        kept = [i for i, class_id in enumerate(shown.class_ids) if class_id >= 0]
        random.shuffle(kept)
        kept = kept[: self._max_objects]
        side = size_px // MASK_STRIDE
        masks = np.zeros((len(kept), side, side), np.uint8)
        for place, index in enumerate(kept):
            masks[place] = _covered(shown.masks[index].pixels, side)
        return (
            normalize_image(image, NETWORK),
            torch.from_numpy(shown.boxes_xyxy[kept]),
            torch.from_numpy(shown.class_ids[kept]),
            torch.from_numpy(masks),
        )


def _covered(mask: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The share that a mask covers of each position, 0..255."""
    return np.asarray(cv2.resize(mask * 255, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
