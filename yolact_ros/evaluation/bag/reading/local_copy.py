"""Remote files that must be on this machine's disk to be read: a cache of limited size."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from operator import methodcaller
from pathlib import Path

from yolact_ros import resources
from yolact_ros.errors import ConfigError, StorageError
from yolact_ros.evaluation.bag.reading.location import RemotePath

__all__ = ["local_copies"]

LIMIT_VARIABLE, DEFAULT_LIMIT_GB = "YOLACT_ROS_BAG_CACHE_GB", "20"
LOCK_FILE = ".lock"


@contextmanager
def local_copies(files: Sequence[RemotePath]) -> Iterator[Path]:
    """A folder with the files, fetched once for all processes of this machine, while it is open.

    Copies that nobody reads are removed where room is needed, the oldest first.

    Raises:
        StorageError: a file cannot be fetched, or is larger than the cache or the disk has room.
        ConfigError: the limit in the environment is no number.
    """
    stats = {file: file.stat() for file in files}
    named = "\n".join(f"{file.url} {stat}" for file, stat in stats.items())
    root = resources.cache_folder("bags")
    folder = root / hashlib.sha256(named.encode()).hexdigest()[:32]
    with ExitStack() as in_use:
        # One process at a time looks for room and fetches.
        with _locked(root / LOCK_FILE, fcntl.LOCK_EX):
            in_use.enter_context(_locked(folder / LOCK_FILE, fcntl.LOCK_SH))
            (folder / LOCK_FILE).touch()
            missing = [file for file in files if not (folder / file.name).is_file()]
            _make_room(root, sum(stats[file].st_size for file in missing))
            partial = str(folder / ".partial")
            for file in missing:
                file.ask(methodcaller("get_file", file.url, partial))
                os.replace(partial, folder / file.name)
        yield folder


def _make_room(root: Path, num_bytes: int) -> None:
    limit_bytes = _limit_bytes()
    # The one that was not used for longest first.
    locks = sorted(root.glob(f"*/{LOCK_FILE}"), key=lambda lock: lock.stat().st_mtime)
    while True:
        used_bytes = sum(file.stat().st_size for file in root.rglob("*") if file.is_file())
        free_bytes = shutil.disk_usage(root).free
        if num_bytes <= min(limit_bytes - used_bytes, free_bytes):
            return
        if not locks:
            raise StorageError(
                f"a copy of {num_bytes / 1e9:.3g} GB has no room in {root}: of "
                f"{limit_bytes / 1e9:.3g} GB {used_bytes / 1e9:.3g} are in use, and "
                f"{free_bytes / 1e9:.3g} GB of the disk are free; set {LIMIT_VARIABLE}, or "
                "YOLACT_ROS_CACHE to a folder elsewhere"
            )
        lock = locks.pop(0)
        with suppress(BlockingIOError), _locked(lock, fcntl.LOCK_EX | fcntl.LOCK_NB):
            shutil.rmtree(lock.parent)  # nobody reads it


def _limit_bytes() -> int:
    text = os.environ.get(LIMIT_VARIABLE, DEFAULT_LIMIT_GB)
    try:
        return int(float(text) * 1e9)
    except (ValueError, OverflowError):
        raise ConfigError(
            f"{LIMIT_VARIABLE} is {text!r}, expected gigabytes, such as {DEFAULT_LIMIT_GB}"
        ) from None


@contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as stream:
        fcntl.flock(stream, how)
        yield
