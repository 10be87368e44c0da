"""Weights of networks, from wherever they come, and their files."""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from yolact_ros.config import NetworkConfig
from yolact_ros.errors import CheckpointError
from yolact_ros.models.families import make_weightless_network
from yolact_ros.models.identify import COUNTER, adapt_config
from yolact_ros.models.network import Network
from yolact_ros.models.onnx_file import is_onnx
from yolact_ros.models.recognition import identify
from yolact_ros.models.weight_file import CONFIG_KEY
from yolact_ros.models.yolo_seg_file import YoloSegFile, read_yolo_seg

__all__ = [
    "Checkpoint",
    "load_checkpoint",
    "load_network",
    "read_config",
    "read_model",
    "save_checkpoint",
]

MOST_BATCHES = 2**53


@dataclass(frozen=True)
class Checkpoint:
    """Weights with the network that they belong to.

    Attributes:
        state_dict: float32 tensors (counters int64) on the CPU, by the network's own keys.
        metadata: what :func:`save_checkpoint` was given, for example a ``model_card``.
        names_from: for people: where the class names are from.
        remarks: what the user should know, one sentence each: entries of the file that were left
            out, names that nobody gave.
    """

    path: Path
    config: NetworkConfig
    state_dict: dict[str, Tensor]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    names_from: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def num_weights(self) -> int:
        return sum(value.numel() for value in self.state_dict.values())

    def build(self, *, num_prototypes: int = 0, input_size_px: int = 0) -> Network:
        """The network with these weights, in eval mode; as :func:`load_network`, which see."""
        config = adapt_config(self.path, self.config, num_prototypes, input_size_px)
        model = make_weightless_network(config)
        model.load_state_dict(self.state_dict, assign=True)
        return model.eval()


def read_model(
    path: str | Path, *, class_names: Sequence[str] = (), input_size_px: int = 0
) -> Checkpoint | YoloSegFile:
    """Read what can be run: weights, or an ONNX file with a YOLO segmentation network.

    Arguments and errors as :func:`load_checkpoint` and
    :func:`~yolact_ros.models.yolo_seg_file.read_yolo_seg`.
    """
    path = Path(path)
    if is_onnx(path):
        return read_yolo_seg(path, class_names=class_names, input_size_px=input_size_px)
    return load_checkpoint(path, class_names=class_names)


def load_checkpoint(path: str | Path, *, class_names: Sequence[str] = ()) -> Checkpoint:
    """Read weights and find out which network they are of.

    Files of this package say so themselves; those of others are recognised by their keys and
    shapes. A prefix that all keys have (``module.``) and mappings around the weights
    (``{"state_dict": ...}``) do not matter. Where a file holds several networks, the averaged
    one is taken (its prefix has ``ema``, ``average`` or ``swa``), else the first. The file's name
    only decides between variants of the same shapes, such as yolact_base and yolact_im700.

    Args:
        class_names: names, or one file of names, which go before those of the file. Without
            them names are those of the file; of a names file beside it (``parts.txt`` for
            ``parts.pth``, see :mod:`yolact_ros.class_names`); of the variant if it has as many
            classes; or ``class_0``, ``class_1``, ...

    Raises:
        CheckpointError: as :func:`~yolact_ros.models.weight_file.read_weight_file`; NaN or
            infinite weights; or weights that do not fit their network.
        ConfigError: class names that cannot be used, or another number of them.
    """
    path = Path(path)
    identified = identify(path, class_names)
    weights = {
        key: _copy(path, key, identified.weights.get(key))
        for key in make_weightless_network(identified.config).state_dict()
    }
    return Checkpoint(
        path,
        identified.config,
        weights,
        identified.metadata,
        identified.names_from,
        tuple(identified.remarks),
    )


def read_config(path: str | Path, *, class_names: Sequence[str] = ()) -> NetworkConfig:
    """The config that :func:`read_model` finds, without reading the weights.

    Raises:
        CheckpointError, ConfigError: as :func:`read_model`, but for the weights' values.
    """
    if is_onnx(Path(path)):
        return read_yolo_seg(Path(path), class_names=class_names).config
    return identify(Path(path), class_names).config


def load_network(
    path: str | Path,
    *,
    num_prototypes: int = 0,
    input_size_px: int = 0,
    class_names: Sequence[str] = (),
) -> Network:
    """Build the network of a file with its weights, in eval mode, float32, on the CPU.

    Args:
        num_prototypes: what the caller expects; 0 takes the file's.
        input_size_px: side of the network input; 0 takes the file's.
        class_names: as for :func:`read_model`, whose remarks are lost here.

    Raises:
        CheckpointError: as :func:`read_model`, or another number of prototypes.
        ConfigError: the input size is out of range, or class names that cannot be used.
    """
    model = read_model(path, class_names=class_names, input_size_px=input_size_px)
    return model.build(num_prototypes=num_prototypes, input_size_px=input_size_px)


def save_checkpoint(
    path: str | Path,
    model: Network,
    metadata: Mapping[str, Any] | None = None,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write weights and config as safetensors, whole or not at all.

    Args:
        metadata: JSON values by name, for example ``{"model_card": {...}}``.
        dtype: of the convolution weights. Biases and normalisation statistics stay float32: they
            are few, and variances can be too large or too small for float16.

    Raises:
        CheckpointError: the file cannot be written, or ``path`` does not end in ``.safetensors``.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise CheckpointError(f"cannot save to {path}: the name has to end in .safetensors")
    tensors = {
        key: value.detach().cpu().to(dtype if value.dim() > 1 else value.dtype).contiguous()
        for key, value in model.state_dict().items()
    }
    texts = {key: json.dumps(value) for key, value in (metadata or {}).items()}
    texts[CONFIG_KEY] = json.dumps(model.config.to_dict())
    _write_atomically(path, safetensors.torch.save(tensors, texts))


def _copy(path: Path, key: str, value: Tensor | None) -> Tensor:
    """A weight as the network has it: contiguous, in memory of its own and checked."""
    if key.endswith(COUNTER):
        # No result depends on it. PyTorch before 0.4 had none, and some tools make floats of it.
        if value is None or not _is_plain(value) or value.numel() != 1 or value.is_complex():
            return torch.tensor(0)
        number = value.item()
        return torch.tensor(int(number) if 0 <= number < MOST_BATCHES else 0)
    assert value is not None
    if not _is_plain(value):
        raise CheckpointError(
            f"{path}: {key} is no plain tensor ({value.layout}, {value.device.type}"
            f"{', quantised' if value.is_quantized else ''}); save it dense on the CPU"
        )
    if not value.is_floating_point():
        raise CheckpointError(
            f"{path}: {key} has values of the wrong kind ({value.dtype}); weights have to "
            "be floating-point numbers: save them again without integer quantisation"
        )
    # A mapped file may change later. Extremes carry NaN along, and take a ninth of the time of
    # isfinite().all().
    copied = value.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    if not all(torch.isfinite(extreme) for extreme in torch.aminmax(copied)):
        raise CheckpointError(
            f"{path}: {key} has NaN or infinite values; the training that wrote it diverged "
            "or the file is damaged: use an earlier checkpoint"
        )
    return copied


def _is_plain(value: Tensor) -> bool:
    return value.layout == torch.strided and value.device.type == "cpu" and not value.is_quantized


def _write_atomically(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
