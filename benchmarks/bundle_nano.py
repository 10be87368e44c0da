"""Put the detector and a trained mask branch together as the model yolact_nano.

    python benchmarks/bundle_nano.py detector.safetensors masks.safetensors \\
        models/yolact_nano.safetensors --lower 0.5

The detector is from tools/convert_nanodet.py, the mask branch from benchmarks/train_nano_masks.py.
``--lower`` is subtracted from the logits of all classes, so that fewer detections pass the default
score threshold; their order stays.
"""

from __future__ import annotations

import argparse
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
    args = parser.parse_args()
    weights = {**load_file(args.detector), **load_file(args.masks)}
    num_prototypes = weights["proto_net.output.weight"].shape[0]
    proto_channels = weights["proto_net.body.0.0.weight"].shape[0]
    network = YolactNano(NanoConfig(num_prototypes=num_prototypes, proto_channels=proto_channels))
    network.load_state_dict(weights)
    with torch.no_grad():
        for layer in network.head.classes:
            layer.bias -= args.lower  # type: ignore[operator]
    save_checkpoint(args.output, network, {"model_card": CARD}, torch.float16)
    print(f"{args.output}: {args.output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
