"""One optimiser step: forward and backward over its parts, and the refusal of broken losses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from yolact_ros.models.network import Network
from yolact_ros.training.dataset import Batch
from yolact_ros.training.loss import LossSettings, StepCounts, total_losses
from yolact_ros.training.nano_loss import NanoLossSettings, nano_losses
from yolact_ros.training.processes import Processes
from yolact_ros.training.targets import ImageTarget

__all__ = ["AveragedWeights", "NetworkWithLosses", "StepResult", "Stepper", "make_optimizer"]

# Early averages forget faster, or they would hold random initial weights for thousands of steps.
WARMUP_OFFSET = 10


class NetworkWithLosses(nn.Module):
    """Network and losses as one module: a distributed wrapper then sees what is used."""

    def __init__(
        self, network: Network, settings: LossSettings | NanoLossSettings, precision: str
    ) -> None:
        super().__init__()
        self.network = network
        self._settings = settings
        self._dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)

    def forward(
        self, images: Tensor, targets: Sequence[ImageTarget], counts: StepCounts
    ) -> dict[str, Tensor]:
        """Weighted losses of B images: ``total_losses``, of the family nano ``nano_losses``."""
        device = images.device.type
        with torch.autocast(device, self._dtype, enabled=self._dtype is not None):
            output = self.network(images)
        if isinstance(self._settings, NanoLossSettings):
            return nano_losses(output, targets, counts.positives, self._settings)
        return total_losses(output, targets, counts, self._settings, self.network.mask_rescoring)


@dataclass(frozen=True)
class StepResult:
    """What one step did.

    Attributes:
        why: the weights were left alone, for people; empty where they were not.
    """

    losses: dict[str, float]
    why: str = ""

    @property
    def skipped(self) -> bool:
        return bool(self.why)


class Stepper:
    """Runs optimiser steps on batches that are cut into parts."""

    def __init__(
        self,
        module: NetworkWithLosses,
        optimizer: torch.optim.Optimizer,
        *,
        processes: Processes,
        device: torch.device,
        scale_gradients: bool = False,
    ) -> None:
        self._processes = processes
        self._device = device
        self._optimizer = optimizer
        self.scaler = torch.amp.GradScaler(device.type, enabled=scale_gradients)
        self._module: nn.Module = module
        if processes.count > 1:
            ids = [device.index] if device.type == "cuda" else None
            self._module = DistributedDataParallel(
                module,
                device_ids=ids,
                broadcast_buffers=False,
                # Without a large enough mask in the batch nothing reaches the re-scoring net.
                find_unused_parameters=module.network.mask_rescoring is not None,
            )

    def step(self, parts: Sequence[Batch]) -> StepResult:
        """Train on one step's images of this process; every process must call this.

        The losses are divided by counts over all parts and processes, so that neither
        accumulation nor processes change what is learnt.
        """
        positives, images = self._processes.sum(
            [
                float(sum(part.num_positives for part in parts)),
                float(sum(len(part.targets) for part in parts)),
            ],
            self._device,
        )
        counts = StepCounts(max(1, round(positives)), round(images))
        sums: dict[str, Tensor] = {}
        self._optimizer.zero_grad(set_to_none=True)
        for number, part in enumerate(parts):
            moved = part.to(self._device)
            with nullcontext() if number == len(parts) - 1 else self._unsynchronized():
                losses = self._module(moved.images, moved.targets, counts)
                total = torch.stack(list(losses.values())).sum()
                # The wrapper averages gradients over processes; the counts already cover all.
                self.scaler.scale(total * self._processes.count).backward()
            for name, value in losses.items():
                sums[name] = sums.get(name, torch.zeros_like(value)) + value.detach()
        values = self._processes.sum(torch.stack(list(sums.values())).tolist(), self._device)
        result = dict(zip(sums, values, strict=True))
        if broken := self._what_is_not_finite(values):
            names = ", ".join(name for part in parts for name in part.names)
            self._optimizer.zero_grad(set_to_none=True)
            return StepResult(result, f"{broken} is not finite with {names}")
        before = self.scaler.get_scale()
        self.scaler.step(self._optimizer)
        self.scaler.update()
        scale = self.scaler.get_scale()
        return StepResult(result, _overflow(before, scale) if scale < before else "")

    def _what_is_not_finite(self, losses: Sequence[float]) -> str:
        """Empty if nothing is; the scaler looks after gradients where there is one."""
        if not all(map(math.isfinite, losses)):
            return "the loss"
        if self.scaler.is_enabled():
            return ""
        parameters = (p for group in self._optimizer.param_groups for p in group["params"])
        norms = torch._foreach_norm([p.grad for p in parameters if p.grad is not None])
        return "" if bool(torch.stack(norms).isfinite().all()) else "a gradient"

    def _unsynchronized(self) -> AbstractContextManager[None]:
        """No gradients are exchanged yet."""
        if isinstance(self._module, DistributedDataParallel):
            return self._module.no_sync()
        return nullcontext()


def _overflow(before: float, scale: float) -> str:
    """Why the gradient scaler skipped a step: nothing is wrong with the images."""
    if scale >= 1:
        return (
            f"gradients times {before:g} overflow fp16, {scale:g} is next; usual in the first "
            "steps and rarely later"
        )
    return f"gradients overflow fp16 even times {before:g}; precision bf16 has the range"


def make_optimizer(
    network: Network,
    *,
    kind: str,
    backbone_rate: float,
    momentum: float,
    weight_decay: float,
) -> torch.optim.Optimizer:
    """SGD or AdamW with the backbone in a group of its own; ``group["rate"]`` scales its rate."""
    trained = [(n, p) for n, p in network.named_parameters() if p.requires_grad]
    groups = [
        {"params": [p for n, p in trained if n.startswith("backbone.")], "rate": backbone_rate},
        {"params": [p for n, p in trained if not n.startswith("backbone.")], "rate": 1.0},
    ]
    groups = [group for group in groups if group["params"]]
    if kind == "adamw":
        return torch.optim.AdamW(groups, lr=0.0, weight_decay=weight_decay)
    return torch.optim.SGD(groups, lr=0.0, momentum=momentum, weight_decay=weight_decay)


class AveragedWeights:
    """Average of a model's state dict; integer entries are copied.

    Args:
        decay: share of the old average kept at each update, once it is well under way.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.values = {key: value.detach().clone() for key, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average towards the current weights."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (WARMUP_OFFSET + self.updates))
        averaged, current = [], []
        for key, value in model.state_dict().items():
            if value.is_floating_point():
                averaged.append(self.values[key])
                current.append(value)
            else:
                self.values[key].copy_(value)
        torch._foreach_lerp_(averaged, current, 1 - decay)

    def state(self) -> dict[str, Tensor | int]:
        return {"updates": self.updates, **{f"value.{k}": v for k, v in self.values.items()}}

    def load(self, state: dict[str, Tensor | int]) -> None:
        self.updates = int(state["updates"])
        for key, value in self.values.items():
            stored = state[f"value.{key}"]
            assert isinstance(stored, Tensor)
            value.copy_(stored)
