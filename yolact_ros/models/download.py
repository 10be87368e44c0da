"""Download one file over HTTP: resumed after a break, verified, and put in place atomically."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import http.client
import json
import os
import shutil
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Any

from yolact_ros.errors import DownloadError, YolactError

__all__ = ["DownloadOptions", "ProgressCallback", "download_file", "sha256_of"]

ProgressCallback = Callable[[int, int | None], None]
"""Called with the bytes on disk so far and the size of the file (None where not announced)."""

_CHUNK_BYTES = 1 << 18
_RETRIED_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_LFS_POINTER = b"version https://git-lfs"


@dataclass(frozen=True)
class DownloadOptions:
    """How patient a download is.

    Attributes:
        timeout_s: longest silence of the server, for connecting and between two packets.
        attempts: tries in a row that bring no new byte before giving up.
        backoff_s: pause before the first retry; doubles with each, 30 s at most.
    """

    timeout_s: float = 30.0
    attempts: int = 5
    backoff_s: float = 1.0


class _InterruptedError(Exception):
    """The transfer stopped for a reason that a new attempt may cure."""

    def __init__(self, reason: str, retry_after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


def download_file(
    url: str,
    destination: Path,
    *,
    sha256: str | None = None,
    progress: ProgressCallback | None = None,
    options: DownloadOptions | None = None,
    check: Callable[[Path], None] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Download ``url`` to ``destination`` and return the file's sha256 as hexadecimal digits.

    Bytes gather in ``destination`` + ``.part``; a later call, also of another process, goes on
    from there when the server still has the same file. ``destination`` appears in one step, and
    only when the file is complete and its hash is right.

    Args:
        sha256: expected hash in hexadecimal digits; None accepts any.
        check: looks at the complete file before it appears; its YolactError refuses the file.
        sleep: waits the given seconds; replaced in tests.

    Raises:
        DownloadError: the address is not usable, the server refuses, sends something else than
            the file, or keeps failing; the disk is full; or the hash is wrong (the bytes are
            then removed). The message says which, and what to do.
    """
    options = options or DownloadOptions()
    scheme = urllib.parse.urlsplit(url).scheme
    if scheme not in ("http", "https", "file"):
        raise DownloadError(f"{url}: expected an http, https or file address")
    part_path = destination.with_name(f"{destination.name}.part")
    transfer = _Transfer(url, progress or (lambda _done, _total: None), options, part_path)
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with transfer.part_path.open("ab") as part:
            _lock(part, transfer.part_path)
            try:
                _fill_with_retries(transfer, part, sleep)
            except DownloadError:
                if transfer.part_path.exists() and _size(part) == 0:
                    transfer.discard()
                raise
            os.fsync(part.fileno())
            actual = sha256_of(transfer.part_path)
            if sha256 is not None and actual != sha256.lower():
                transfer.discard()
                raise DownloadError(
                    f"{url}: wrong content, sha256 is {actual}, expected {sha256.lower()}; the "
                    "download was removed: try again, or check the address or mirror"
                )
            try:
                if check is not None:
                    check(transfer.part_path)
            except YolactError as error:
                transfer.discard()
                raise DownloadError(
                    f"{url}: not the file of a model; the download was removed ({error})"
                ) from error
            os.replace(transfer.part_path, destination)
            transfer.state_path.unlink(missing_ok=True)
    except OSError as error:
        raise DownloadError(_describe_disk_error(error, destination)) from error
    return actual


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


@dataclass(frozen=True)
class _Transfer:
    """One download: what is asked for, and what of it is on disk."""

    url: str
    progress: ProgressCallback
    options: DownloadOptions
    part_path: Path

    @property
    def state_path(self) -> Path:
        """What the bytes on disk belong to."""
        return self.part_path.with_name(f"{self.part_path.name}.json")

    def validator(self) -> str:
        """ETag or date that the bytes on disk belong to; empty if they cannot be continued."""
        try:
            state: dict[str, Any] = json.loads(self.state_path.read_text())
            return str(state["validator"]) if state["url"] == self.url else ""
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def remember(self, headers: Message) -> None:
        etag = headers.get("ETag", "")
        validator = (
            etag if etag and not etag.startswith("W/") else headers.get("Last-Modified", "")
        )
        self.state_path.write_text(json.dumps({"url": self.url, "validator": validator}))

    def discard(self) -> None:
        self.part_path.unlink(missing_ok=True)
        self.state_path.unlink(missing_ok=True)


def _fill_with_retries(
    transfer: _Transfer, part: IO[bytes], sleep: Callable[[float], None]
) -> None:
    failures = 0
    while True:
        before = _size(part)
        try:
            _fill(transfer, part)
            return
        except _InterruptedError as interruption:
            part.flush()
            failures = 1 if _size(part) > before else failures + 1
            if failures >= transfer.options.attempts:
                raise DownloadError(
                    f"{transfer.url}: gave up after {failures} attempts without progress, the "
                    f"last one said: {interruption}; {_size(part):,} bytes are kept, the same "
                    "command continues from there"
                ) from interruption
            backoff_s = min(transfer.options.backoff_s * 2 ** (failures - 1), 30.0)
            sleep(max(backoff_s, min(interruption.retry_after_s, 120.0)))


def _fill(transfer: _Transfer, part: IO[bytes]) -> None:
    """One attempt: append to ``part`` until the file is complete, or raise _InterruptedError."""
    have = _size(part)
    validator = transfer.validator()
    if have and not validator:
        # Nothing proves that the server still has the file these bytes came from.
        part.truncate(0)
        have = 0
    request = urllib.request.Request(
        transfer.url, headers={"User-Agent": "yolact_ros", "Accept-Encoding": "identity"}
    )
    if have:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", validator)
    response = _open(transfer, request, part)
    if response is None:
        return
    with response:
        headers: Message = response.headers
        if response.status == 206:
            start, total = _content_range(headers.get("Content-Range", ""))
            if start != have:
                part.truncate(0)
                raise _InterruptedError(
                    f"asked for bytes from {have}, the server sent from {start}"
                )
        else:
            part.truncate(0)
            have, total = 0, _optional_int(headers.get("Content-Length"))
            transfer.remember(headers)
        _require_space(transfer, have, total)
        _copy(transfer, response, part, have, total)


def _open(transfer: _Transfer, request: urllib.request.Request, part: IO[bytes]) -> Any:
    """Send the request; None if the server says that ``part`` is complete already."""
    try:
        return urllib.request.urlopen(request, timeout=transfer.options.timeout_s)
    except urllib.error.HTTPError as error:
        with error:
            status, headers = error.code, error.headers
        if status == 416:
            _, total = _content_range(headers.get("Content-Range", ""))
            if total is not None and total == _size(part):
                return None
            part.truncate(0)
            raise _InterruptedError("the server has another file than the one begun") from error
        if status in _RETRIED_STATUS:
            retry_after_s = float(_optional_int(headers.get("Retry-After")) or 0)
            raise _InterruptedError(f"HTTP {status} {error.reason}", retry_after_s) from error
        hints = {401: "it needs a login", 403: "it refuses access", 404: "no such file there"}
        hint = hints.get(status, "it refuses")
        raise DownloadError(
            f"{transfer.url}: the server answered HTTP {status} {error.reason} ({hint}); check "
            "the address, or name another one with --url or --mirror"
        ) from error
    except urllib.error.URLError as error:
        reason = error.reason
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise DownloadError(
                f"{transfer.url}: the server's certificate is not trusted "
                f"({reason.verify_message}); check this machine's clock and CA certificates"
            ) from error
        if transfer.url.startswith("file:"):
            raise DownloadError(f"{transfer.url}: cannot be read: {reason}") from error
        raise _InterruptedError(f"no connection: {reason}") from error
    except (http.client.HTTPException, OSError) as error:
        raise _InterruptedError(f"no answer: {error or type(error).__name__}") from error
    except ValueError as error:
        raise DownloadError(f"{transfer.url}: not a usable address: {error}") from error


def _copy(
    transfer: _Transfer, response: Any, part: IO[bytes], have: int, total: int | None
) -> None:
    transfer.progress(have, total)
    while True:
        try:
            chunk = response.read(_CHUNK_BYTES)
        except (http.client.HTTPException, OSError) as error:
            raise _InterruptedError(f"broken off after {have:,} bytes: {error}") from error
        if not chunk:
            break
        if have == 0:
            _refuse_text(transfer, chunk, response.headers.get_content_type())
        part.write(chunk)
        have += len(chunk)
        transfer.progress(have, total)
    part.flush()
    if total is not None and have < total:
        raise _InterruptedError(f"broken off after {have:,} of {total:,} bytes")
    if total is not None and have > total:
        part.truncate(0)
        raise _InterruptedError(f"{have:,} bytes came, {total:,} were announced")
    if have == 0:
        raise DownloadError(f"{transfer.url}: the server sent an empty file")


def _refuse_text(transfer: _Transfer, first_bytes: bytes, content_type: str) -> None:
    start = first_bytes[:64].lstrip().lower()
    if content_type == "text/html" or start.startswith((b"<!doctype", b"<html", b"<?xml")):
        found = "a web page"
    elif start.startswith(_LFS_POINTER):
        found = "a Git LFS pointer"
    else:
        return
    transfer.discard()
    raise DownloadError(
        f"{transfer.url}: the server sent {found} instead of the file (a login page, a captive "
        "portal or the page about the file); open the address in a browser to see"
    )


def _require_space(transfer: _Transfer, have: int, total: int | None) -> None:
    folder = transfer.part_path.parent
    free = shutil.disk_usage(folder).free
    if total is not None and total - have > free:
        raise DownloadError(
            f"{folder}: {(total - have) / 1e6:,.0f} MB are needed and {free / 1e6:,.0f} MB are "
            "free; make room, or set YOLACT_ROS_CACHE to a folder on another disk"
        )


def _lock(part: IO[bytes], part_path: Path) -> None:
    busy = f"{part_path}: another process is downloading this file; wait for it"
    try:
        fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise DownloadError(busy) from error
    # The other process may have renamed the file between our open and our lock: writing on
    # would change its finished download.
    if not part_path.exists() or part_path.stat().st_ino != os.fstat(part.fileno()).st_ino:
        raise DownloadError(busy)


def _describe_disk_error(error: OSError, destination: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"{destination.parent}: the disk is full; make room and repeat the command, it "
            "continues where it stopped, or set YOLACT_ROS_CACHE to a folder on another disk"
        )
    return f"{destination}: cannot be written: {error.strerror or error}"


def _content_range(value: str) -> tuple[int | None, int | None]:
    """First byte and size from ``bytes 10-99/100`` or ``bytes */100``; None where absent."""
    span, _, total = value.removeprefix("bytes").strip().partition("/")
    return _optional_int(span.partition("-")[0]), _optional_int(total)


def _optional_int(value: str | None) -> int | None:
    return int(value) if value is not None and value.strip().isdecimal() else None


def _size(part: IO[bytes]) -> int:
    return os.fstat(part.fileno()).st_size
