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
import json
import time
from pathlib import Path

import numpy as np
import torch
import yaml
from nano_batches import Batch, Batches
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import DataLoader

from yolact_ros.inference.predictor import choose_device
from yolact_ros.models.nano import NanoConfig, YolactNano
from yolact_ros.training.cpu_speed import speed_up_on_cpu
from yolact_ros.training.nano_loss import mask_loss, match_cells, matched_mask_logits

MASK_BRANCH = ("proto_net.", "head.coefficient")
MAX_GRADIENT_NORM = 5.0


def batch_loss(network: YolactNano, batch: Batch, jitter: float) -> Tensor:
    """Mean loss over the objects of a batch, each object's cells sharing its weight.

    Args:
        jitter: most that a true box grows by at each side, relative to the box.
    """
    size_px = batch.images.shape[-1]
    images = batch.images.contiguous(memory_format=torch.channels_last)
    with torch.autocast(images.device.type, torch.bfloat16):
        output = network(images)
    with torch.no_grad():
        predicted, _ = network.with_input_size(size_px).decoder.decode(output)
    matches = match_cells(
        output.class_logits, predicted, batch.boxes_xyxy, batch.class_ids, batch.image_ids
    )
    prototypes = output.prototypes.float()
    if len(matches.cells) == 0:
        return prototypes.sum() * 0
    learning = (matches.images, matches.cells)
    coefficients = output.coefficients[learning].float()
    true = batch.boxes_xyxy[matches.objects]
    sides = (true[:, 2:] - true[:, :2]).repeat(1, 2)
    outward = torch.rand(len(true), 4, device=true.device) * jitter
    outward[:, :2] *= -1
    loss = mask_loss(
        matched_mask_logits(prototypes, coefficients, matches, predicted[learning]),
        batch.masks[matches.objects].float() / 255,
        (true + outward * sides) * prototypes.shape[1],
    )
    return (loss * matches.weights).sum() / matches.weights.sum()


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
    device = choose_device(args.device)
    network = network.to(device)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    trained = []
    for name, parameter in network.named_parameters():
        if name.startswith(MASK_BRANCH):
            trained.append(parameter)
        else:
            parameter.requires_grad_(False)
            # Frozen, so that no master copy of it is needed.
            parameter.data = parameter.data.bfloat16()
    if device.type == "cpu":
        speed_up_on_cpu(network)
    average = copy.deepcopy([parameter.detach() for parameter in trained])
    optimizer = torch.optim.AdamW(trained, weight_decay=settings["weight_decay"])
    loader: DataLoader[Batch] = DataLoader(
        Batches(settings, folder),
        batch_size=None,
        num_workers=args.workers,
        prefetch_factor=4,
        shuffle=False,
        pin_memory=device.type == "cuda",
    )
    start, saved = time.monotonic(), 0.0
    recent: list[Tensor] = []
    duration_s = settings["minutes"] * 60
    for step, batch in enumerate(loader):
        used = (time.monotonic() - start) / duration_s
        if used >= 1:
            break
        warm = min(1.0, (step + 1) / settings["warmup_steps"])
        rate = settings["learning_rate"] * warm * (0.02 + 0.98 * (1 + np.cos(np.pi * used)) / 2)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = batch_loss(network, batch.to(device), settings["box_jitter"])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(trained, MAX_GRADIENT_NORM)
        optimizer.step()
        decay = min(settings["ema_decay"], (1 + step) / (10 + step))
        torch._foreach_lerp_(average, [fast.detach() for fast in trained], 1 - decay)
        recent.append(loss.detach())
        if step % 20 == 0:
            line = {
                "step": step,
                "minutes": round((time.monotonic() - start) / 60, 2),
                "loss": round(float(torch.stack(recent).mean()), 4),
                "norm": round(float(norm), 2),
            }
            print(json.dumps(line), flush=True)
            recent.clear()
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
