"""Where a bag is: a path of this machine, or an address of a storage that fsspec knows."""

from __future__ import annotations

import asyncio
import io
import os
import re
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, TypeAlias, TypeVar
from urllib.parse import urlsplit

from yolact_ros.dependencies import require
from yolact_ros.errors import ConfigError, DependencyError, StorageError

__all__ = ["BagPath", "RemotePath", "location", "without_secrets"]

PATIENCE_S = 60.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 8.0
# One request to object storage costs as long as some megabytes take to arrive.
BLOCK_BYTES = 2 << 20
NOT_ALLOWED, GONE = (401, 403), (404, 410)
LATER = (408, 425, 429)
"""Of the statuses 4xx those that ask for patience."""
MOST_CHARACTERS = 200
"""Of what a library says in an error."""

Answer = TypeVar("Answer")


def location(text: str) -> BagPath:
    """What a user names: a path, or an address such as ``s3://bucket/drive`` or ``https://...``.

    Raises:
        ConfigError: a storage that fsspec does not know, or a password where none is read.
        DependencyError: fsspec, or the package of the storage, is not installed.
    """
    if "://" not in text:
        return Path(text)
    if text.startswith("file://"):
        return Path(text.removeprefix("file://"))
    return RemotePath(text)


def without_secrets(text: str) -> str:
    """A text whose addresses have lost user, password and query, where signatures stand."""
    text = re.sub(r"(\w://)[^/\s?#]*@", r"\1", text)
    return re.sub(r"(\w://[^\s?'\"]*)\?[^\s'\"]*", r"\1", text)


@dataclass(frozen=True)
class RemotePath:
    """A file or folder of a storage, with the part of pathlib's interface that readers use.

    Reads fetch ranges. A storage that does not answer is asked again for ``patience_s``. As text
    the address has neither password nor query, so that any message may name it.

    Raises:
        ConfigError, DependencyError: as of :func:`location`.
        StorageError: of each method that asks the storage: it has no such file, does not allow it,
            or did not answer in time.
    """

    url: str
    patience_s: float = PATIENCE_S

    def __post_init__(self) -> None:
        if not self._protocol.startswith("http") and "@" in urlsplit(self.url).netloc:
            raise ConfigError(
                f"{self}: no user or password is read from an address of {self._protocol}; give "
                "them as the storage's own tools take them, for example AWS_PROFILE"
            )
        _endpoint(self._protocol, self._host)

    def __str__(self) -> str:
        return without_secrets(self.url)

    def __repr__(self) -> str:
        return f"RemotePath({str(self)!r})"

    @property
    def _protocol(self) -> str:
        return self.url.partition("://")[0]

    @property
    def _host(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def _path(self) -> PurePosixPath:
        return PurePosixPath(urlsplit(self.url).path)

    @property
    def name(self) -> str:
        """Last part of the path; of a bucket its name."""
        return self._path.name or self._host.rpartition("@")[2]

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return self._path.stem

    @property
    def suffix(self) -> str:
        """Such as ``.mcap``."""
        return self._path.suffix

    @property
    def parent(self) -> RemotePath:
        """The folder of this path."""
        return self._with(str(self._path.parent))

    def __truediv__(self, name: object) -> RemotePath:
        return self._with(str(self._path / str(name)))

    def __lt__(self, other: RemotePath) -> bool:
        return self.url < other.url

    def _with(self, path: str) -> RemotePath:
        parts = urlsplit(self.url)
        return RemotePath(parts._replace(path=path).geturl(), self.patience_s)

    def resolve(self) -> RemotePath:
        """This path: an address is whole already."""
        return self

    def exists(self) -> bool:
        """True for a file or folder that is there."""
        return self._info() is not None or self.is_dir()

    def is_file(self) -> bool:
        """True for a file."""
        info = self._info()
        return info is not None and info["type"] == "file" and not self.url.endswith("/")

    def is_dir(self) -> bool:
        """True for a folder."""
        if self._protocol.startswith("http"):
            # A web server has no folders: one that has the list of a bag's files is a bag.
            return not self.suffix and (self / "metadata.yaml").is_file()
        info = self._info()
        return info is not None and info["type"] == "directory"

    def iterdir(self) -> Iterator[RemotePath]:
        """The files in this folder; of a web server those that it lists."""
        found = self.ask(lambda storage: storage.ls(self.url.rstrip("/") + "/", detail=False))
        names = {PurePosixPath(urlsplit(str(entry)).path).name for entry in found}
        return iter([self / name for name in sorted(names) if name and name != self._path.name])

    def glob(self) -> list[RemotePath]:
        """The files and folders that an address with ``*`` matches."""
        found = self.ask(lambda storage: storage.glob(self.url))
        if not found and not self._protocol.startswith("http"):
            self._info()  # fsspec finds nothing in a bucket that is not there, as in an empty one
        marks = urlsplit(self.url)
        if self._protocol.startswith("http"):
            paths = [urlsplit(entry).path for entry in found]
        else:
            paths = ["/" + entry.partition("/")[2] for entry in found]
        return [
            RemotePath(marks._replace(path=path).geturl(), self.patience_s)
            for path in sorted(paths)
        ]

    def stat(self, *, follow_symlinks: bool = True) -> RemoteStat:
        """The size, and what tells that a file is still the same."""
        info = self._info()
        if info is None:
            raise StorageError(f"{self}: there is no such file")
        version = info.get("ETag") or info.get("etag") or info.get("LastModified") or ""
        return RemoteStat(int(info.get("size") or 0), str(version).strip('"'))

    def open(self, mode: str = "rb") -> BinaryIO:
        """A stream that fetches what is read of it, in blocks."""
        assert mode == "rb"
        return io.BufferedReader(_Ranges(self), BLOCK_BYTES)

    def read_bytes(self) -> bytes:
        """The whole content."""
        return bytes(self.ask(lambda storage: storage.cat_file(self.url)))

    def read_text(self, encoding: str | None = None) -> str:
        """The whole content as text."""
        return self.read_bytes().decode(encoding or "utf-8")

    def _info(self) -> dict[str, Any] | None:
        try:
            return dict(self.ask(lambda storage: storage.info(self.url)))
        except _Missing:
            return None

    def ask(self, question: Callable[[Any], Answer]) -> Answer:
        """The answer to a question about fsspec's file system, asked again while there is hope."""
        endpoint = _endpoint(self._protocol, self._host)
        begun_s = time.monotonic()
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                answer = question(endpoint.storage)
            except Exception as error:
                fault = _fault(self, error)
                # Once it was waited for in vain, the next bag need not wait as long.
                left_s = begun_s + self.patience_s - time.monotonic()
                if fault is not None or endpoint.is_down or left_s <= 0:
                    endpoint.is_down = fault is None
                    why = f"{self}: the storage does not answer: {_why(error)}"
                    raise fault or StorageError(why) from None
                time.sleep(min(pause_s, left_s))
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            else:
                endpoint.is_down = False
                return answer


BagPath: TypeAlias = Path | RemotePath
"""Where a bag is."""


@dataclass(frozen=True)
class RemoteStat:
    """What a storage says about a file.

    Attributes:
        st_size: bytes.
        version: changes with the content; empty where the storage has none.
    """

    st_size: int
    version: str


class _Missing(StorageError):
    """The storage answers that there is no such file."""


class _Endpoint:
    """A storage's file system, one a process, and whether it was last found not to answer."""

    def __init__(self, storage: Any) -> None:
        self.storage = storage
        self.is_down = False


@cache
def _endpoint(protocol: str, host: str) -> _Endpoint:
    fsspec = require("fsspec", extra="fleet")
    # Else it asks for a bucket's kind, which no reading needs, and warns each time it may not.
    os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    try:
        # A listing that is kept would hide that a bag vanished.
        return _Endpoint(fsspec.filesystem(protocol, use_listings_cache=False))
    except ValueError as error:
        raise ConfigError(
            f"{protocol}:// is no storage that is known; expected a path, s3://, gs://, http://, "
            "https:// or file://"
        ) from error
    except ImportError as error:
        raise DependencyError(
            f"{protocol}:// needs a package: {error.name or error}; install it with "
            "`pip install '.[fleet]'` in a checkout"
        ) from error


def _fault(path: RemotePath, error: Exception) -> StorageError | None:
    """What asking again cannot cure; None for a storage that may answer later."""
    is_web = path.url.startswith("http")
    if is_web and type(error) is FileNotFoundError and isinstance(error.__cause__, Exception):
        # fsspec says so for whatever reason.
        return _fault(path, error.__cause__)
    status = _status(error)
    if isinstance(error, FileNotFoundError) or status in GONE:
        if "bucket does not exist" in str(error):
            return StorageError(f"{path}: the storage has no such bucket")
        return _Missing(f"{path}: there is no such file")
    is_refused = isinstance(error, PermissionError) or str(error).startswith("Forbidden")  # gcsfs
    if is_refused or status in NOT_ALLOWED:
        return StorageError(f"{path}: the storage does not allow reading it; check credentials")
    if _was_not_asked(error):
        return StorageError(
            f"{path}: the storage cannot be asked ({_why(error)}); check its credentials and "
            "settings on this machine, which are those of its own tools"
        )
    lasting = (ValueError, TypeError, NotImplementedError, NotADirectoryError, IsADirectoryError)
    is_lasting = isinstance(error, lasting) and not isinstance(error, asyncio.TimeoutError)
    if is_lasting or (status // 100 == 4 and status not in LATER):
        return StorageError(f"{path}: {_why(error)}")
    return None


def _status(error: Exception) -> int:
    """Of HTTP, as aiohttp, gcsfs and botocore (behind s3fs) have it; 0 where there is none."""
    response = getattr(error.__cause__, "response", None)
    if isinstance(response, dict):
        return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    status = error.status if hasattr(error, "status") else getattr(error, "code", 0)
    return int(status) if str(status).isdecimal() else 0


def _was_not_asked(error: Exception) -> bool:
    """Whether botocore or Google's tools failed by their settings, before they asked anybody."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    botocore = "BotoCoreError" in kinds and not kinds & {"HTTPClientError", "IncompleteReadError"}
    return botocore or ("GoogleAuthError" in kinds and "TransportError" not in kinds)


def _why(error: BaseException) -> str:
    said = textwrap.shorten(str(error), MOST_CHARACTERS, placeholder=" ...")
    return without_secrets(f"{type(error).__name__}: {said}")


class _Ranges(io.RawIOBase):
    """Bytes of a remote file, each read one request."""

    def __init__(self, path: RemotePath) -> None:
        self._path = path
        self._size = path.stat().st_size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = (0, self._position, self._size)[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        start = self._position
        stop = min(start + len(buffer), self._size)
        if stop <= start:
            return 0
        data = self._path.ask(
            lambda storage: storage.cat_file(self._path.url, start=start, end=stop)
        )
        if len(data) != stop - start:
            raise StorageError(
                f"{self._path}: {len(data)} bytes came where {stop - start} were asked for: the "
                "file changed, or its server knows no ranges"
            )
        buffer[: len(data)] = data
        self._position = stop
        return len(data)
