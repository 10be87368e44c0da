"""Data sets of several sources as a stream of batches that depends on the step number alone."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from yolact_ros.config import NetworkConfig, YolactConfig
from yolact_ros.errors import DataError
from yolact_ros.ops.priors import make_priors
from yolact_ros.training.annotations import ImageRecord
from yolact_ros.training.augment import AugmentSettings, draw_view, render, vary_colors
from yolact_ros.training.sample import Sample, load_sample
from yolact_ros.training.targets import ImageTarget, make_target

__all__ = ["Batch", "SampleStore", "TrainingImages", "normalize_image"]

# Places of the pattern that sources alternate in: shares are exact to a thousandth.
PATTERN_LENGTH = 1000


@dataclass(frozen=True)
class Batch:
    """B normalised images, float32[B, 3, S, S] RGB, and what the network should say about them."""

    images: Tensor
    targets: tuple[ImageTarget, ...]

    @property
    def num_positives(self) -> int:
        return sum(target.num_positives for target in self.targets)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(target.name for target in self.targets)

    def to(self, device: torch.device) -> Batch:
        return Batch(
            self.images.to(device, non_blocking=True),
            tuple(target.to(device) for target in self.targets),
        )


class SampleStore:
    """Decoded images by index, kept in memory when that is asked for.

    Args:
        max_side_px: larger images are shrunk once, at loading; 0 keeps them.
        cache: keep what was decoded. A 400 px image costs about 0.4 MB.
    """

    def __init__(
        self, records: Sequence[ImageRecord], *, max_side_px: int = 0, cache: bool = True
    ) -> None:
        self._records = tuple(records)
        self._max_side_px = max_side_px
        self._cache: dict[int, Sample] | None = {} if cache else None

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Sample:
        if self._cache is None:
            return load_sample(self._records[index], self._max_side_px)
        sample = self._cache.get(index)
        if sample is None:
            sample = self._cache[index] = load_sample(self._records[index], self._max_side_px)
        return sample


class TrainingImages:
    """Augmented training examples; example ``(step, position)`` is always the same.

    Nothing here carries state from one step to the next, so that a resumed run, and one cut over
    processes, sees exactly the images of the uninterrupted run of one process.

    Args:
        records: the training images; those without objects are left out unless
            ``settings.keep_empty``.
        first_sizes_px: other input sizes to begin with, each with the example number that it
            ends before.
        source_weights: share of each source in the drawn images; missing or 0 = its size.

    Raises:
        DataError: no image is left.
    """

    def __init__(
        self,
        records: Sequence[ImageRecord],
        config: NetworkConfig,
        *,
        first_sizes_px: Sequence[tuple[int, int]] = (),
        augment: AugmentSettings | None = None,
        source_weights: dict[str, float] | None = None,
        keep_empty: bool = False,
        seed: int = 0,
        max_side_px: int = 0,
        cache: bool = True,
    ) -> None:
        kept = [r for r in records if keep_empty or any(not o.is_crowd for o in r.objects)]
        if not kept:
            raise DataError(
                "no training image is left: none of the images has an object of the classes "
                f"{list(config.class_names)}"
            )
        self.records = tuple(kept)
        self._store = SampleStore(kept, max_side_px=max_side_px, cache=cache)
        self._config = config
        self._first_sizes_px = tuple(first_sizes_px)
        sizes = {config.input_size_px, *(size_px for _, size_px in first_sizes_px)}
        configs = {size: config.with_input_size(size) for size in sizes}
        self._priors = {
            size: make_priors(sized)
            for size, sized in configs.items()
            if isinstance(sized, YolactConfig)
        }
        self._augment = augment or AugmentSettings()
        self._seed = seed
        self._order = _SourceOrder([r.source for r in kept], source_weights or {}, seed)

    def __len__(self) -> int:
        return len(self.records)

    def example(self, number: int) -> tuple[Tensor, ImageTarget]:
        """The ``number``-th example of the whole run: image [3, S, S] and its target."""
        random = np.random.default_rng((self._seed, number))
        sample = self._store[self._order.index(number)]
        size_px = self._size_px(number)
        view = draw_view(sample, self._augment, random)
        image, inside, shown = render(
            sample, view, size_px, min_object_px=self._augment.min_object_px
        )
        image = vary_colors(image, self._augment, random)
        image[~inside] = np.array(self._config.normalization.mean_bgr, np.float32)
        masks = [patch.pixels for patch in shown.masks]
        target = make_target(
            sample.name,
            torch.from_numpy(shown.boxes_xyxy / np.float32(size_px)),
            torch.from_numpy(shown.class_ids),
            torch.from_numpy(
                np.stack(masks) if masks else np.zeros((0, size_px, size_px), np.uint8)
            ),
            torch.from_numpy(sample.labelled),
            self._priors.get(size_px),
            draw=number,
        )
        return normalize_image(image, self._config), target

    def _size_px(self, number: int) -> int:
        for end, size_px in self._first_sizes_px:
            if number < end:
                return size_px
        return self._config.input_size_px


class _SourceOrder:
    """Which image example number n shows: sources interleaved by weight, each shuffled anew."""

    def __init__(self, sources: Sequence[str], weights: dict[str, float], seed: int) -> None:
        self._seed = seed
        self._names = sorted(set(sources))
        self._members = {
            name: np.array([i for i, source in enumerate(sources) if source == name])
            for name in self._names
        }
        share = np.array([weights.get(n) or len(self._members[n]) for n in self._names], float)
        self._pattern = _interleave(share / share.sum())
        counts = np.stack([np.cumsum(self._pattern == i) for i in range(len(self._names))])
        self._counts = counts  # [sources, period], drawn of each source up to and including
        self._shuffled: dict[tuple[int, int], NDArray[np.int64]] = {}

    def index(self, number: int) -> int:
        period = len(self._pattern)
        rounds, place = divmod(number, period)
        source = int(self._pattern[place])
        drawn = rounds * int(self._counts[source, -1]) + int(self._counts[source, place]) - 1
        members = self._members[self._names[source]]
        epoch, position = divmod(drawn, len(members))
        key = (source, epoch)
        if key not in self._shuffled:
            salt = zlib.crc32(self._names[source].encode())
            order = np.random.default_rng((self._seed, salt, epoch)).permutation(len(members))
            self._shuffled = {k: v for k, v in self._shuffled.items() if k[1] >= epoch - 1}
            self._shuffled[key] = order
        return int(members[self._shuffled[key][position]])


def _interleave(shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Source of each place of a period, as evenly spread as whole numbers allow."""
    credit = np.zeros(len(shares))
    pattern = np.empty(PATTERN_LENGTH, np.int64)
    for place in range(PATTERN_LENGTH):
        credit += shares
        pattern[place] = int(credit.argmax())
        credit[pattern[place]] -= 1
    return pattern


def normalize_image(image_bgr: NDArray[np.float32], config: NetworkConfig) -> Tensor:
    """float32[S, S, 3] BGR 0..255 to the network's normalised RGB [3, S, S]."""
    mean = np.array(config.normalization.mean_bgr, np.float32)
    std = np.array(config.normalization.std_bgr, np.float32)
    normalized = ((image_bgr - mean) / std)[..., ::-1].transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(normalized, dtype=np.float32))
