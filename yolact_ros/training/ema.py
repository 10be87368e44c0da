"""Exponential moving average of the weights, which is what is validated and exported."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["AveragedWeights"]

# Early averages forget faster, or they would hold random initial weights for thousands of steps.
WARMUP_OFFSET = 10


class AveragedWeights:
    """Average of a model's state dict; integer entries are copied.

    Args:
        model: whose weights are averaged; the average starts as a copy of them.
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
        """For the training checkpoint."""
        return {"updates": self.updates, **{f"value.{k}": v for k, v in self.values.items()}}

    def load(self, state: dict[str, Tensor | int]) -> None:
        """Restore :meth:`state`."""
        self.updates = int(state["updates"])
        for key, value in self.values.items():
            stored = state[f"value.{key}"]
            assert isinstance(stored, Tensor)
            value.copy_(stored)
