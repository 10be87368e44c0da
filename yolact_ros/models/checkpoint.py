"""Reading and writing of network weights; code in a file is never run."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import re
import uuid
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from yolact_ros.config import YolactConfig
from yolact_ros.errors import CheckpointError, ConfigError
from yolact_ros.models.identify import (
    Shapes,
    config_from_file_name,
    config_from_shapes,
    describe_difference,
    drop_obsolete_keys,
)
from yolact_ros.models.yolact import Yolact

__all__ = ["CONFIG_KEY", "Checkpoint", "load_checkpoint", "load_network", "save_checkpoint"]

CONFIG_KEY = "yolact_config"
ZIP_MAGIC = b"PK"
PICKLE_MAGIC = b"\x80"
# safetensors files start with the length of their JSON header in eight bytes.
SAFETENSORS_BRACE_OFFSET = 8
FETCH_AGAIN = "fetch or copy it again"


@dataclass(frozen=True)
class Checkpoint:
    """Weights with the network that they belong to.

    Attributes:
        config: of the network.
        state_dict: float32 tensors (counters int64) on the CPU, by the network's own keys.
        metadata: what :func:`save_checkpoint` was given, for example a ``model_card``.
    """

    config: YolactConfig
    state_dict: dict[str, Tensor]
    metadata: Mapping[str, Any] = field(default_factory=dict)


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read weights and find out which network they are of.

    Files of this package (safetensors) say so themselves. The published ``.pth`` files are
    recognised by their name, files of other names by their keys and shapes. The content decides
    how a file is read, not its suffix.

    Raises:
        CheckpointError: no such file; empty, truncated or no checkpoint; code in a pickle, which
            is not run; NaN or infinite weights; or weights that do not fit the named network, with
            the variant that they would fit.
    """
    path = Path(path)
    raw, texts = _read(path)
    raw = drop_obsolete_keys(raw)
    shapes = {key: tuple(value.shape) for key, value in raw.items()}
    try:
        metadata = {key: json.loads(text) for key, text in texts.items()}
        stored = metadata.pop(CONFIG_KEY, None)
        config = None if stored is None else YolactConfig.from_dict(stored)
    except (ValueError, TypeError, AttributeError, ConfigError) as error:
        raise CheckpointError(f"{path}: its description is damaged ({error})") from error
    has_own_config = config is not None
    config = config or _recognize(path, shapes)
    _check_fit(path, config, shapes, has_own_config=has_own_config)
    # Copied only now: a file can claim more than fits into memory, and mapped files may change.
    weights = {key: _copy(value) for key, value in raw.items()}
    for key, value in weights.items():
        if value.is_floating_point() == key.endswith("num_batches_tracked"):
            raise CheckpointError(
                f"{path}: {key} has values of the wrong kind ({raw[key].dtype}); weights have to "
                "be floating-point numbers: save them again without integer quantisation"
            )
        # Extremes carry NaN along, and take a ninth of the time of isfinite().all().
        if not all(torch.isfinite(extreme) for extreme in torch.aminmax(value)):
            raise CheckpointError(
                f"{path}: {key} has NaN or infinite values; the training that wrote it diverged "
                "or the file is damaged: use an earlier checkpoint"
            )
    return Checkpoint(config, weights, metadata)


def load_network(path: str | Path, *, num_prototypes: int = 0, input_size_px: int = 0) -> Yolact:
    """Build the network of a checkpoint with its weights, in eval mode, float32, on the CPU.

    Args:
        path: checkpoint file.
        num_prototypes: what the caller expects; 0 takes the file's.
        input_size_px: side of the network input; 0 takes the file's.

    Raises:
        CheckpointError: as :func:`load_checkpoint`, or another number of prototypes.
        ConfigError: the input size is out of range.
    """
    checkpoint = load_checkpoint(path)
    config = checkpoint.config
    if num_prototypes not in (0, config.num_prototypes):
        raise CheckpointError(
            f"{path} has {config.num_prototypes} prototypes, but num_prototypes is "
            f"{num_prototypes}: set num_prototypes to {config.num_prototypes}, "
            "or to 0 to take what the model has"
        )
    if input_size_px:
        config = config.with_input_size(input_size_px)
    model = _weightless_network(config)
    model.load_state_dict(checkpoint.state_dict, assign=True)
    return model.eval()


def save_checkpoint(
    path: str | Path,
    model: Yolact,
    metadata: Mapping[str, Any] | None = None,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write weights and config as safetensors, whole or not at all.

    Args:
        path: target, replaced when it exists; its folder must exist.
        model: network to save.
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


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and text metadata of a file, still unchecked."""
    try:
        with path.open("rb") as file:
            start = file.read(SAFETENSORS_BRACE_OFFSET + 1)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"no checkpoint at {path}; `yolact models list` shows the known ones"
        ) from error
    except IsADirectoryError as error:
        raise CheckpointError(f"{path} is a folder; name the checkpoint file in it") from error
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from error
    if not start:
        raise CheckpointError(f"{path} is empty; {FETCH_AGAIN}")
    if start[SAFETENSORS_BRACE_OFFSET:] == b"{":
        return _read_safetensors(path)
    if start.startswith((ZIP_MAGIC, PICKLE_MAGIC)):
        return _read_pickled(path, is_zip=start.startswith(ZIP_MAGIC)), {}
    raise CheckpointError(
        f"{path} is not a checkpoint: it starts with {start!r}, "
        "which is neither a PyTorch nor a safetensors file"
    )


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            keys = file.keys()
            tensors = {key: file.get_tensor(key) for key in keys}
            return tensors, dict(file.metadata() or {})
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} is a truncated or damaged safetensors file ({error}); {FETCH_AGAIN}"
        ) from error


def _read_pickled(path: Path, *, is_zip: bool) -> dict[str, Tensor]:
    if is_zip and not zipfile.is_zipfile(path):
        raise CheckpointError(f"{path} is truncated: the end is missing; {FETCH_AGAIN}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except pickle.UnpicklingError as error:
        raise CheckpointError(_describe_refusal(path, error)) from error
    except Exception as error:
        # Torn files end in whatever the unpickler meets: struct.error, IndexError, KeyError, ...
        raise CheckpointError(
            f"{path} is truncated, damaged or not a PyTorch checkpoint "
            f"({str(error).splitlines()[0] if str(error) else type(error).__name__}); "
            f"{FETCH_AGAIN}"
        ) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not network weights")
    strangers = [key for key, value in content.items() if not _is_plain_tensor(value)]
    if strangers or not content:
        raise CheckpointError(
            f"{path} is not a file of network weights: "
            + (
                f"its entry {strangers[0]!r} is no plain tensor"
                if strangers
                else "it has no entries"
            )
        )
    return {str(key): value.detach() for key, value in content.items()}


def _is_plain_tensor(value: object) -> bool:
    return (
        isinstance(value, Tensor) and value.layout == torch.strided and value.device.type == "cpu"
    )


def _copy(value: Tensor) -> Tensor:
    dtype = torch.float32 if value.is_floating_point() else torch.int64
    return value.to(dtype, copy=True, memory_format=torch.contiguous_format)


def _describe_refusal(path: Path, error: pickle.UnpicklingError) -> str:
    code = re.search(r"GLOBAL (\S+)", str(error))
    if code:
        return (
            f"{path} carries code ({code[1]}), which is never run: a file of plain weights has "
            "none. Get the weights from a source you trust, saved as a state dict"
        )
    return (
        f"{path} is a pickle that is damaged or carries more than weights, which is never run; "
        f"{FETCH_AGAIN}, from a source you trust"
    )


def _recognize(path: Path, shapes: Shapes) -> YolactConfig:
    """The config of weights that bring none, from the file's name or else their shapes."""
    named = config_from_file_name(path)
    if named is None:
        found = config_from_shapes(shapes)
        if found is None:
            raise CheckpointError(
                f"{path} has weights of no network this package knows "
                f"({len(shapes)} tensors, first {next(iter(shapes))})"
            )
        return found
    # Any number of prototypes may go by the name of the variant; all else is fixed by it.
    found = config_from_shapes(shapes)
    return named if found is None else replace(named, num_prototypes=found.num_prototypes)


def _check_fit(path: Path, config: YolactConfig, shapes: Shapes, *, has_own_config: bool) -> None:
    expected = {
        key: tuple(value.shape) for key, value in _weightless_network(config).state_dict().items()
    }
    difference = describe_difference(expected, shapes)
    if not difference:
        return
    fitting = config_from_shapes(shapes)
    if fitting is None:
        cure = "they are of no network this package knows"
    else:
        cure = (
            f"they look like {fitting.name} with {fitting.num_classes} classes and "
            f"{fitting.num_prototypes} prototypes: "
        ) + (
            "save them again with that config"
            if has_own_config
            else f"rename the file to {fitting.name}_….pth if that is what it is"
        )
    raise CheckpointError(
        f"{path} does not hold the weights of {config.name}: {difference}; {cure}"
    )


def _weightless_network(config: YolactConfig) -> Yolact:
    """A network whose parameters have shapes and no memory; its priors are real."""
    with torch.device("meta"):
        return Yolact(config)


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
