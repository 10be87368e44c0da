"""Teach the mask branch of yolact_nano on its frozen detector.

    python benchmarks/train_nano_masks.py benchmarks/yolact_nano.yaml
    python benchmarks/train_nano_masks.py benchmarks/yolact_nano.yaml --device cuda --workers 14

The file names data, sizes and rates. Only the protonet and the coefficient branch learn; classes
and boxes stay those of the published detector. The length is given in minutes, since what a shared
computer reaches in them varies; the learning rate falls with the time that is used.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, get_worker_info

from yolact_ros.inference.predictor import choose_device
from yolact_ros.models.nano import NanoConfig, YolactNano
from yolact_ros.ops.masks import mask_logits
from yolact_ros.training.annotations import DataSource, ImageRecord, is_held_out, read_source
from yolact_ros.training.augment import AugmentSettings, draw_view, render, vary_colors
from yolact_ros.training.cpu_speed import speed_up_on_cpu
from yolact_ros.training.dataset import SampleStore, normalize_image
from yolact_ros.training.nano_loss import mask_loss, match_cells

MASK_STRIDE = 4
MASK_BRANCH = ("proto_net.", "head.coefficient")
# Photographs in a row of a mosaic.
MOSAIC_ROWS = (1, 2, 3)
Example = tuple[Tensor, Tensor, Tensor, Tensor]


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
        records, defects = read_source(source, NanoConfig().class_names)
        print(source.name, len(records), "images;", defects, flush=True)
        records = [r for r in records if not is_held_out(r, source.holdout)]
        found.append([r for r in records if any(not o.is_crowd for o in r.objects)])
    return found


class Examples(Dataset[list[Example]]):
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

    def __len__(self) -> int:
        return 1_000_000

    def __getitem__(self, number: int) -> list[Example]:
        if get_worker_info() is not None:
            torch.set_num_threads(1)
            cv2.setNumThreads(1)
        random = np.random.default_rng((self._seed, number))
        size_px = self._sizes_px[number % len(self._sizes_px)]
        return [self._example(random, size_px) for _ in range(self._batch_size)]

    def _example(self, random: np.random.Generator, size_px: int) -> Example:
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
        return image, boxes[kept], class_ids[kept], masks[kept]

    def _view(self, random: np.random.Generator, size_px: int) -> Example:
        source = int(random.choice(len(self._stores), p=self._shares))
        sample = self._stores[source][int(random.integers(len(self._stores[source])))]
        view = draw_view(sample, self._augment, random)
        image, inside, shown = render(sample, view, size_px, min_object_px=4.0)
        image = vary_colors(image, self._augment, random)
        image[~inside] = NanoConfig().normalization.mean_bgr
        kept = [i for i, class_id in enumerate(shown.class_ids) if class_id >= 0]
        random.shuffle(kept)
        kept = kept[: self._max_objects]
        side = size_px // MASK_STRIDE
        masks = np.zeros((len(kept), side, side), np.uint8)
        for place, index in enumerate(kept):
            masks[place] = _covered(shown.masks[index].pixels, side)
        return (
            normalize_image(image, NanoConfig()),  # type: ignore[arg-type]
            torch.from_numpy(shown.boxes_xyxy[kept]),
            torch.from_numpy(shown.class_ids[kept]),
            torch.from_numpy(masks),
        )


def _covered(mask: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The share that a mask covers of each position, 0..255."""
    return np.asarray(cv2.resize(mask * 255, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def batch_loss(network: YolactNano, examples: list[Example], jitter: float) -> tuple[Tensor, int]:
    """Mean loss over the objects of a batch, each object's cells sharing its weight."""
    device = next(network.parameters()).device
    images = torch.stack([image for image, *_ in examples]).to(device)
    images = images.contiguous(memory_format=torch.channels_last)
    with torch.autocast(device.type, torch.bfloat16):
        output = network(images)
    with torch.no_grad():
        predicted, _ = network.with_input_size(images.shape[-1]).decoder.decode(output)
    losses, count = [], 0
    for index, (_, *labels) in enumerate(examples):
        boxes, class_ids, masks = (label.to(device) for label in labels)
        with torch.no_grad():
            matches = match_cells(
                output.class_logits[index], predicted[index], boxes / images.shape[-1], class_ids
            )
        if len(matches.cells) == 0:
            continue
        prototypes = output.prototypes[index].float()
        coefficients = output.coefficients[index, matches.cells].float()
        own = predicted[index, matches.cells]
        logits = mask_logits(prototypes, coefficients, own)
        true = boxes[matches.objects]
        sides = (true[:, 2:] - true[:, :2]).repeat(1, 2)
        outward = torch.rand(len(true), 4, device=device) * jitter
        outward[:, :2] *= -1
        loss = mask_loss(
            logits,
            masks[matches.objects].float() / 255,
            (true + outward * sides) / MASK_STRIDE,
        )
        weight = 1 / torch.bincount(matches.objects, minlength=len(boxes)).float()
        losses.append((loss * weight[matches.objects]).sum())
        count += len(matches.objects.unique())
    total = torch.stack(losses).sum() / max(count, 1) if losses else output.prototypes.sum() * 0
    return total, count


def main() -> None:
    """Train until the time is up."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("settings", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="processes that make examples")
    args = parser.parse_args()
    settings = yaml.safe_load(args.settings.read_text())
    folder = args.settings.parent
    torch.manual_seed(settings["seed"])
    torch.set_num_threads(args.threads)
    output = folder / settings["output"]
    output.mkdir(parents=True, exist_ok=True)
    network = YolactNano(
        NanoConfig(
            num_prototypes=settings["num_prototypes"], proto_channels=settings["proto_channels"]
        )
    )
    for name in settings["start_from"]:
        network.load_state_dict(load_file(folder / name), strict=False)
    network = network.to(choose_device(args.device))
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    trained = []
    for name, parameter in network.named_parameters():
        if name.startswith(MASK_BRANCH):
            trained.append(parameter)
        else:
            parameter.requires_grad_(False)
            # Frozen, so that no master copy of it is needed.
            parameter.data = parameter.data.bfloat16()
    if next(network.parameters()).device.type == "cpu":
        speed_up_on_cpu(network)
    average = copy.deepcopy([parameter.detach() for parameter in trained])
    optimizer = torch.optim.AdamW(trained, weight_decay=settings["weight_decay"])
    loader: DataLoader[list[Example]] = DataLoader(
        Examples(settings, folder),
        batch_size=None,
        num_workers=args.workers,
        prefetch_factor=4,
        shuffle=False,
    )
    start, saved, recent = time.monotonic(), 0.0, []
    duration_s = settings["minutes"] * 60
    for step, examples in enumerate(loader):
        used = (time.monotonic() - start) / duration_s
        if used >= 1:
            break
        warm = min(1.0, (step + 1) / settings["warmup_steps"])
        rate = settings["learning_rate"] * warm * (0.02 + 0.98 * (1 + np.cos(np.pi * used)) / 2)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss, count = batch_loss(network, examples, settings["box_jitter"])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(trained, 5.0)
        optimizer.step()
        decay = min(settings["ema_decay"], (1 + step) / (10 + step))
        for slow, fast in zip(average, trained, strict=True):
            slow.lerp_(fast.detach(), 1 - decay)
        recent.append(float(loss.detach()))
        if step % 20 == 0:
            line = {
                "step": step,
                "minutes": round((time.monotonic() - start) / 60, 2),
                "loss": round(float(np.mean(recent[-20:])), 4),
                "objects": count,
                "norm": round(float(norm), 2),
            }
            print(json.dumps(line), flush=True)
        if time.monotonic() - saved > settings["save_every_s"]:
            saved = time.monotonic()
            _save(network, trained, average, output / "last.safetensors")
    _save(network, trained, average, output / "final.safetensors")
    print(f"{output}/final.safetensors after {step} steps", flush=True)


def _save(
    network: YolactNano, trained: list[torch.nn.Parameter], average: list[Tensor], path: Path
) -> None:
    """The running mean of the trained weights; the frozen ones are read from the detector."""
    means = dict(zip(map(id, trained), average, strict=True))
    state = {
        name: means[id(parameter)].clone().contiguous()
        for name, parameter in network.named_parameters()
        if id(parameter) in means
    }
    partial = path.with_suffix(".partial")
    save_file(state, partial)
    partial.replace(path)


if __name__ == "__main__":
    main()
