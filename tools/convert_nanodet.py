"""Turn NanoDet-Plus-m of ncnn into the detector weights of the variant yolact_nano.

    ./dev run python tools/convert_nanodet.py nanodet-plus-m_416_pnnx.param OUTPUT.safetensors

The weights are those of the project RangiLyu/nanodet (Apache-2.0), NanoDet-Plus-m trained on COCO
train2017, as ncnn files that pnnx wrote: nihui/ncnn-webassembly-nanodet, commit ac68cf74. The file
with the ending .bin is expected beside the .param file. The mask branch is not in them; training
starts it at random.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from yolact_ros.errors import CheckpointError, YolactError

FLOAT16_TAG = 0x01306B47
FLOAT32_TAG = 0
CONVOLUTIONS = ("Convolution", "ConvolutionDepthWise")
# Of ncnn's parameter ids: output channels, kernel width, has a bias, number of weights, groups.
OUTPUTS, KERNEL, HAS_BIAS, NUM_WEIGHTS, GROUPS = "0", "1", "5", "6", "7"

OUTPUT = "head.classes_and_boxes."
NUM_CLASSES = 80

UNIT = ("branch.0", "branch.1", "branch.2")
FIRST_UNIT = ("shortcut.0", "branch.0", "branch.1", "shortcut.1", "branch.2")
FUSION = (
    *("ghosts.0.primary", "ghosts.0.cheap", "ghosts.1.primary", "ghosts.1.cheap"),
    *("shortcut.0", "shortcut.1"),
)


def layer_names() -> list[str]:
    """Names of the convolutions in the order in which the ncnn file has them."""
    names = ["backbone.stem"]
    for stage, blocks in enumerate((4, 8, 4)):
        names += [f"backbone.stages.{stage}.0.{layer}" for layer in FIRST_UNIT]
        for block in range(1, blocks):
            names += [f"backbone.stages.{stage}.{block}.{layer}" for layer in UNIT]
    names.append("pyramid.reduce.2")
    for step, level in enumerate((1, 0)):
        names.append(f"pyramid.reduce.{level}")
        names += [f"pyramid.top_down.{step}.{layer}" for layer in FUSION]
    for step in (0, 1):
        names += [f"pyramid.downsample.{step}.{layer}" for layer in (0, 1)]
        names += [f"pyramid.bottom_up.{step}.{layer}" for layer in FUSION]
    names += [f"pyramid.extra_{side}.{layer}" for side in ("in", "out") for layer in (0, 1)]
    names += [f"head.stems.{level}.0.{layer}" for level in range(4) for layer in (0, 1)]
    for level in (3, 2, 1, 0):
        names += [f"head.stems.{level}.1.{layer}" for layer in (0, 1)]
        names.append(f"{OUTPUT}{level}")
    # A convolution with its activation is a sequence; the outputs are plain convolutions.
    return [name if name.startswith(OUTPUT) else f"{name}.0" for name in names]


def read_ncnn(param_file: Path) -> Iterator[tuple[Tensor, Tensor]]:
    """Weight [out, in / groups, kernel, kernel] and bias [out] of each convolution.

    Raises:
        CheckpointError: the files are not those of an ncnn network of plain convolutions.
    """
    try:
        lines = param_file.read_text("ascii").splitlines()
        content = param_file.with_suffix(".bin").read_bytes()
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{param_file}: cannot be read as ncnn's .param: {error}") from error
    if not lines or lines[0].strip() != "7767517":
        raise CheckpointError(f"{param_file}: is not ncnn's .param, which begins with 7767517")
    place = 0

    def take(count: int, dtype: str) -> NDArray[np.float32]:
        nonlocal place
        size = count * np.dtype(dtype).itemsize
        if place + size > len(content):
            raise CheckpointError(f"{param_file.with_suffix('.bin')}: ends too early")
        values = np.frombuffer(content, dtype, count, place)
        place += -(-size // 4) * 4
        return values.astype(np.float32)

    for line in lines[2:]:
        kind, _, inputs, outputs, *rest = line.split()
        if kind not in CONVOLUTIONS:
            continue
        options = dict(word.split("=", 1) for word in rest[int(inputs) + int(outputs) :])
        channels, kernel = int(options[OUTPUTS]), int(options[KERNEL])
        tag = int.from_bytes(content[place : place + 4], "little")
        place += 4
        if tag not in (FLOAT16_TAG, FLOAT32_TAG) or options.get(HAS_BIAS) != "1":
            raise CheckpointError(f"{param_file}: {line.split()[1]} is not plain floats with bias")
        weights = take(int(options[NUM_WEIGHTS]), "<f2" if tag == FLOAT16_TAG else "<f4")
        bias = take(channels, "<f4")
        yield (
            torch.from_numpy(weights.reshape(channels, -1, kernel, kernel)),
            torch.from_numpy(bias),
        )
    if place != len(content):
        raise CheckpointError(f"{param_file.with_suffix('.bin')}: has more than the network")


def convert(param_file: Path) -> dict[str, Tensor]:
    """State dict of the detector's part of :class:`yolact_ros.models.nano.YolactNano`."""
    names, layers = layer_names(), list(read_ncnn(param_file))
    if len(names) != len(layers):
        raise CheckpointError(
            f"{param_file}: has {len(layers)} convolutions, expected the {len(names)} of "
            "NanoDet-Plus-m with ShuffleNetV2 1.0x as pnnx writes it"
        )
    state = {}
    for name, (weight, bias) in zip(names, layers, strict=True):
        parts = {name: slice(None)}
        if name.startswith(OUTPUT):
            level = name.removeprefix(OUTPUT)
            parts = {
                f"head.classes.{level}": slice(NUM_CLASSES),
                f"head.boxes.{level}": slice(NUM_CLASSES, None),
            }
        for part, rows in parts.items():
            state[f"{part}.weight"], state[f"{part}.bias"] = (
                weight[rows].clone(),
                bias[rows].clone(),
            )
    first = f"{names[0]}.weight"
    state[first] = state[first].flip(1).contiguous()  # BGR to RGB
    return state


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("param", type=Path, help="ncnn's .param; its .bin is beside it")
    parser.add_argument("output", type=Path, help="safetensors file to write, float32")
    args = parser.parse_args()
    try:
        state = convert(args.param)
    except YolactError as error:
        parser.exit(1, f"convert_nanodet: {error}\n")
    save_file(state, args.output)
    count = sum(value.numel() for value in state.values())
    print(f"{args.output}: {count} weights of {len(state) // 2} convolutions")


if __name__ == "__main__":
    main()
