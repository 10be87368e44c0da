"""Put the detector and a trained mask branch together as the model yolact_nano.

    python benchmarks/bundle_nano.py detector.safetensors masks.safetensors \\
        models/yolact_nano.safetensors --lower 0.7 --mask-threshold 0.35

The detector is from tools/convert_nanodet.py, the mask branch from benchmarks/train_nano_masks.py.
``--lower`` is subtracted from the logits of all classes, so that fewer detections pass the default
score threshold; their order stays. ``--mask-threshold`` is the probability from which on a pixel
belongs to a mask: the prototype with the smallest weights becomes constant and adds to all logits.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
from safetensors.torch import load_file

from yolact_ros.models.checkpoint import save_checkpoint
from yolact_ros.models.nano import NanoConfig, YolactNano

CARD = {
    "trained_on": "COCO train2017 (detector, by the project NanoDet); 3670 photographs (masks)",
    "license": "Apache-2.0",
    "see": "models/yolact_nano.md",
}


def main() -> None:
    """Read both, write float16."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("detector", type=Path)
    parser.add_argument("masks", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--lower", type=float, default=0.0, metavar="LOGITS")
    parser.add_argument("--mask-threshold", type=float, default=0.5, metavar="PROBABILITY")
    args = parser.parse_args()
    if not 0.3 <= args.mask_threshold <= 0.7:  # coefficients reach no further
        parser.error(f"--mask-threshold is {args.mask_threshold}, expected 0.3..0.7")
    weights = {**load_file(args.detector), **load_file(args.masks)}
    num_prototypes = weights["proto_net.output.weight"].shape[0]
    proto_channels = weights["proto_net.body.0.0.weight"].shape[0]
    network = YolactNano(NanoConfig(num_prototypes=num_prototypes, proto_channels=proto_channels))
    network.load_state_dict(weights)
    with torch.no_grad():
        for layer in network.head.classes:
            layer.bias -= args.lower  # type: ignore[operator]
        if args.mask_threshold != 0.5:
            _lower_mask_threshold(network, args.mask_threshold)
    save_checkpoint(args.output, network, {"model_card": CARD}, torch.float16)
    print(f"{args.output}: {args.output.stat().st_size / 1e6:.1f} MB")


def _lower_mask_threshold(network: YolactNano, probability: float) -> None:
    """Let one prototype be 1 everywhere, with the same coefficient in all cells."""
    prototypes, coefficients = network.proto_net.output, network.head.coefficients[-1]
    k = len(prototypes.weight)
    sizes = [layer.weight[:k].flatten(1).norm(dim=1) for layer in (prototypes, coefficients)]
    index = int((sizes[0] * sizes[1]).argmin())
    for layer, value in (
        (prototypes, 1.0),
        (coefficients, math.atanh(math.log(1 / probability - 1))),
    ):
        layer.weight[index], layer.bias[index] = 0, value


if __name__ == "__main__":
    main()
