"""What a file of weights holds, by its content and not its suffix; code in it is never run."""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor

from yolact_ros.errors import CheckpointError, first_line

__all__ = ["CONFIG_KEY", "WeightFile", "read_weight_file"]

CONFIG_KEY = "yolact_config"
ZIP_MAGIC = b"PK"
PICKLE_MAGIC = b"\x80"
# safetensors files start with the length of their JSON header in eight bytes.
SAFETENSORS_BRACE_OFFSET = 8
FETCH_AGAIN = "fetch or copy it again"


@dataclass(frozen=True)
class WeightFile:
    """The content of a file, still unchecked.

    Attributes:
        entries: all that is no mapping, by its path in the nested mappings of the file with dots
            between, such as ``state_dict.module.fpn.lat_layers.0.bias``.
        metadata: what this package wrote beside the weights, with the network's config under
            :data:`CONFIG_KEY`; empty for files of other programs, whatever theirs says.
    """

    entries: Mapping[str, object]
    metadata: Mapping[str, Any]


def read_weight_file(path: Path) -> WeightFile:
    """Read a PyTorch or safetensors file; tensors may be mapped from it and not yet in memory.

    Raises:
        CheckpointError: no such file; empty, truncated, damaged or no file of weights; code in a
            pickle, which is not run; or a damaged config of this package.
    """
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
        return _read_pickled(path, is_zip=start.startswith(ZIP_MAGIC))
    raise CheckpointError(
        f"{path} is not a checkpoint: it starts with {start!r}, "
        "which is neither a PyTorch nor a safetensors file"
    )


def _read_safetensors(path: Path) -> WeightFile:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            texts = dict(file.metadata() or {})
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} is a truncated or damaged safetensors file ({error}); {FETCH_AGAIN}"
        ) from error
    return WeightFile(tensors, _decode(path, texts))


def _decode(path: Path, texts: Mapping[str, str]) -> dict[str, Any]:
    """Our metadata, which is JSON; other tools write {"format": "pt"} and the like."""
    metadata = {}
    for key, text in texts.items() if CONFIG_KEY in texts else ():
        try:
            metadata[key] = json.loads(text)
        except (ValueError, RecursionError) as error:
            if key == CONFIG_KEY:
                raise CheckpointError(f"{path}: its description is damaged ({error})") from error
    return metadata


def _read_pickled(path: Path, *, is_zip: bool) -> WeightFile:
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
            f"({first_line(error)}); {FETCH_AGAIN}"
        ) from error
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not network weights")
    if not content:
        raise CheckpointError(f"{path} is not a file of network weights: it has no entries")
    entries = dict(content)
    config = entries.pop(CONFIG_KEY, None)
    return WeightFile(_flatten(path, entries), {} if config is None else {CONFIG_KEY: config})


def _flatten(path: Path, content: Mapping[Any, Any]) -> dict[str, object]:
    flat: dict[str, object] = {}
    # Not recursive, and each mapping once: a pickle can hold itself.
    visited = {id(content)}
    pending = [("", content)]
    while pending:
        prefix, mapping = pending.pop(0)
        for key, value in mapping.items():
            name = f"{prefix}{key}"
            if isinstance(value, Mapping) and value:
                if id(value) not in visited:
                    visited.add(id(value))
                    pending.append((f"{name}.", value))
            elif name in flat:
                raise CheckpointError(f"{path} has two entries called {name}; save it with one")
            else:
                flat[name] = value.detach() if isinstance(value, Tensor) else value
    return flat


def _describe_refusal(path: Path, error: pickle.UnpicklingError) -> str:
    code = re.search(r"GLOBAL (\S+)", str(error))
    if code:
        target = path.with_name(f"{path.stem}_weights.pth").name
        load = f"torch.load({path.name!r}, map_location='cpu', weights_only=False)"
        return (
            f"{path} carries code ({code[1]}), which is never run. If you trust it, save its "
            f"plain weights where it comes from: `import torch; c = {load}; "
            f"torch.save(c['state_dict'], {target!r})`, with the key that holds the weights, or "
            "c.state_dict() where c is the network itself"
        )
    return (
        f"{path} is a pickle that is damaged or carries more than weights, which is never run; "
        f"{FETCH_AGAIN}, from a source you trust"
    )
