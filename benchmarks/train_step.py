"""Time one training step of a network on one core, as torch does it and as ``yolact train`` does.

    python benchmarks/train_step.py --variants yolact_nano yolact_light

Both take turns, so that a busy computer slows both. Forward and backward of the whole network with
bfloat16 autocast; images, assignment and optimiser are not in it.
"""

from __future__ import annotations

import argparse
import copy
import time

import numpy as np
import torch
from torch import nn

from yolact_ros.models.families import make_network, network_variant
from yolact_ros.training.cpu_speed import speed_up_on_cpu
from yolact_ros.training.start import freeze


def seconds(network: nn.Module, images: torch.Tensor) -> float:
    """Of one forward and backward pass."""
    start = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16):
        output = network(images)
    parts = (output.class_logits, output.box_offsets, output.coefficients, output.prototypes)
    torch.stack([part.float().square().mean() for part in parts]).sum().backward()
    return time.perf_counter() - start


def main() -> None:
    """Print a line for each variant."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--variants", nargs="+", default=["yolact_nano", "yolact_light"])
    parser.add_argument("--input-size", type=int, default=320)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=8)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name in args.variants:
        plain = make_network(network_variant(name).with_input_size(args.input_size)).train()
        freeze(plain, batch_norm=True, blocks=0)
        plain = plain.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        fast = copy.deepcopy(plain)
        speed_up_on_cpu(fast)
        images = torch.randn(args.batch_size, 3, args.input_size, args.input_size)
        images = images.contiguous(memory_format=torch.channels_last)
        times = np.array(
            [[seconds(network, images) for network in (plain, fast)] for _ in range(args.rounds)]
        )
        before, after = np.median(times[1:], axis=0)
        ratio = np.median(times[1:, 0] / times[1:, 1])
        print(f"{name}: {before:.3f} s, {after:.3f} s, {ratio:.2f} times as fast")


if __name__ == "__main__":
    main()
