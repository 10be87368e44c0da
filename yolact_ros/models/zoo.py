"""The models that the package knows by name: where they are, and how they get there."""

from __future__ import annotations

import difflib
import json
import os
from dataclasses import dataclass, fields
from pathlib import Path

from yolact_ros import resources
from yolact_ros.errors import CheckpointError, DownloadError
from yolact_ros.models.download import (
    DownloadOptions,
    ProgressCallback,
    download_file,
    sha256_of,
)

__all__ = [
    "BUNDLED",
    "ModelEntry",
    "ModelStatus",
    "cache_folder",
    "fetch_model",
    "find_model",
    "list_models",
    "models_folder",
    "verify_model",
]

BUNDLED = "bundled"
MODEL_SUFFIXES = (".pth", ".pt", ".safetensors", ".onnx")


@dataclass(frozen=True)
class ModelEntry:
    """One model of the manifest.

    Attributes:
        config: network variant, a key of :data:`yolact_ros.models.families.NETWORK_VARIANTS`.
        file: file name; published weights are recognised by it.
        url: where it is downloaded from; None for a model that comes with the package.
        sha256: hash in hexadecimal digits; None where the publisher states none.
        mask_ap: mask AP in percent; COCO test-dev as published, None where not stated.
        description: backbone, input size and classes, for people.
    """

    name: str
    config: str
    file: str
    url: str | None
    sha256: str | None
    mask_ap: float | None
    description: str


@dataclass(frozen=True)
class ModelStatus:
    """A model of the manifest and what of it is on this machine.

    Attributes:
        path: its file; None if there is none.
        state: "bundled", "downloaded", "partly downloaded", "not downloaded" or "missing"
            (it should have come with the package).
    """

    entry: ModelEntry
    path: Path | None
    state: str


def models_folder() -> Path:
    """Folder with the manifest and the bundled model.

    The first of ``$YOLACT_ROS_MODELS``; ``share/yolact_ros/models`` in a folder above the
    package (colcon's and pip's prefix); ``models`` beside the package (a source checkout).

    Raises:
        CheckpointError: none of them has a manifest.
    """
    override = os.environ.get("YOLACT_ROS_MODELS")
    if override:
        candidates = [Path(override).expanduser()]
    else:
        candidates = [folder / "models" for folder in resources.resource_folders()]
    for folder in candidates:
        if (folder / "manifest.json").is_file():
            return folder
    raise CheckpointError(
        f"no manifest.json with the list of models in {', '.join(map(str, candidates))}; "
        "reinstall the package, or set YOLACT_ROS_MODELS to the folder that has it"
    )


def cache_folder() -> Path:
    """Folder of downloaded models: ``$YOLACT_ROS_CACHE`` or ``~/.cache/yolact_ros/models``."""
    override = os.environ.get("YOLACT_ROS_CACHE")
    if override:
        return Path(override).expanduser()
    return resources.cache_folder("models")


def list_models() -> tuple[ModelStatus, ...]:
    """Every model of the manifest with its state on this machine, in the manifest's order.

    Raises:
        CheckpointError: the manifest is missing or malformed.
    """
    return tuple(_status(entry) for entry in _read_manifest().values())


def find_model(name_or_path: str | os.PathLike[str]) -> Path:
    """File of a model, given its name in the manifest or the path of a checkpoint.

    Raises:
        CheckpointError: no such name or file, or the model is not downloaded yet; the message
            has the command that downloads it or the names that exist.
    """
    text = os.fspath(name_or_path)
    path = Path(text).expanduser()
    looks_like_path = os.sep in text or path.suffix in MODEL_SUFFIXES
    if looks_like_path or isinstance(name_or_path, Path):
        if path.is_file():
            return path
        raise CheckpointError(
            f"{path}: {'is a folder, not' if path.is_dir() else 'no such file; expected'} a "
            f"model file ({', '.join(MODEL_SUFFIXES)}) or the name of a model from "
            "`yolact models list`"
        )
    status = _status(_entry(text))
    if status.path is not None:
        return status.path
    if status.entry.url is None:
        raise CheckpointError(
            f"the model {text!r} should have come with the package as "
            f"{models_folder() / status.entry.file} and is not there; reinstall the package"
        )
    raise CheckpointError(
        f"the model {text!r} is {status.state}: run `yolact models fetch {text}`, or put "
        f"{status.entry.file} into {cache_folder()}"
    )


def fetch_model(
    name: str,
    *,
    url: str | None = None,
    mirror: str | None = None,
    force: bool = False,
    progress: ProgressCallback | None = None,
    options: DownloadOptions | None = None,
) -> Path:
    """Download a model of the manifest into the cache and return its file; no-op if it is there.

    Its sha256 is compared with the manifest's, or else with the one recorded at the first
    fetch, beside the file as ``<file>.sha256`` (the format of ``sha256sum --check``).

    Args:
        url: address to use instead of the manifest's: http, https, file, or a path.
        mirror: folder address that holds the files under their names; default
            ``$YOLACT_ROS_MIRROR``. ``url`` wins.
        force: download again, and record the new hash.

    Raises:
        CheckpointError: no such name.
        DownloadError: the file is not of this model's network, or see
            :func:`yolact_ros.models.download.download_file`.
    """
    entry = _entry(name)
    status = _status(entry)
    if status.path is not None and (status.state == "bundled" or not force):
        return status.path
    address = _address(entry, url, mirror or os.environ.get("YOLACT_ROS_MIRROR"))
    destination = cache_folder() / entry.file
    expected = entry.sha256 or (None if force else _recorded_sha256(destination))
    actual = download_file(
        address,
        destination,
        sha256=expected,
        progress=progress,
        options=options,
        check=lambda path: _check_is(entry, path),
    )
    _record_sha256(destination, actual)
    return destination


def verify_model(name: str) -> tuple[Path, bool]:
    """Compare a model's file with its known sha256.

    Returns:
        the file, and whether there was a hash to compare with; without one (a file that was
        put into the cache by hand) the file's own hash is recorded now.

    Raises:
        CheckpointError: no such name, not on this machine, unreadable, or the hash differs.
    """
    entry = _entry(name)
    path = find_model(name)
    try:
        actual = sha256_of(path)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error
    expected = entry.sha256 or _recorded_sha256(path)
    if expected is None:
        if entry.url is not None:
            _record_sha256(path, actual)
        return path, False
    if actual != expected.lower():
        cure = (
            "reinstall the package"
            if entry.url is None
            else f"get it again with `yolact models fetch --force {name}`"
        )
        raise CheckpointError(
            f"{path}: damaged or changed, sha256 is {actual}, expected {expected}; {cure}"
        )
    return path, True


def _check_is(entry: ModelEntry, path: Path) -> None:
    """Whether a file holds the network of an entry."""
    # Imported here: the list of models needs no torch.
    from yolact_ros.models.checkpoint import read_config

    found = read_config(path).name
    if found != entry.config:
        raise CheckpointError(f"it holds a {found}, and {entry.name} is a {entry.config}")


def _read_manifest() -> dict[str, ModelEntry]:
    path = models_folder() / "manifest.json"
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["models"]
        names = {field.name for field in fields(ModelEntry)}
        entries = [ModelEntry(**{key: row[key] for key in names}) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path}: not a list of models ({type(error).__name__}: {error}); reinstall the "
            "package"
        ) from error
    return {entry.name: entry for entry in entries}


def _entry(name: str) -> ModelEntry:
    entries = _read_manifest()
    if name in entries:
        return entries[name]
    close = difflib.get_close_matches(name, entries, n=1)
    guess = f"did you mean {close[0]!r}? " if close else ""
    raise CheckpointError(
        f"no model {name!r}; {guess}known are {', '.join(entries)}, and the path of a "
        f"model file ({', '.join(MODEL_SUFFIXES)})"
    )


def _status(entry: ModelEntry) -> ModelStatus:
    bundled = models_folder() / entry.file
    if bundled.is_file():
        return ModelStatus(entry, bundled, "bundled")
    downloaded = cache_folder() / entry.file
    if downloaded.is_file():
        return ModelStatus(entry, downloaded, "downloaded")
    if entry.url is None:
        return ModelStatus(entry, None, "missing")
    begun = downloaded.with_name(downloaded.name + ".part").is_file()
    return ModelStatus(entry, None, "partly downloaded" if begun else "not downloaded")


def _address(entry: ModelEntry, url: str | None, mirror: str | None) -> str:
    if url is not None:
        return url if "://" in url else Path(url).expanduser().absolute().as_uri()
    if mirror and entry.url is not None:
        base = mirror if "://" in mirror else Path(mirror).expanduser().absolute().as_uri()
        return f"{base.rstrip('/')}/{entry.file}"
    if entry.url is None:
        raise DownloadError(
            f"the model {entry.name!r} comes with the package and has no download address; "
            "reinstall the package, or give --url"
        )
    return entry.url


def _hash_path(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _recorded_sha256(path: Path) -> str | None:
    try:
        words = _hash_path(path).read_text().split()
    except OSError:
        return None
    return words[0].lower() if words and len(words[0]) == 64 else None


def _record_sha256(path: Path, sha256: str) -> None:
    try:
        _hash_path(path).write_text(f"{sha256}  {path.name}\n")
    except OSError as error:
        raise CheckpointError(
            f"{_hash_path(path)}: cannot be written: {error.strerror}; the model itself is there"
        ) from error
