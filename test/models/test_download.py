"""Downloads against a real local HTTP server, with everything that goes wrong on the way."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import random
import shutil
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from yolact_ros.errors import DownloadError
from yolact_ros.models.download import DownloadOptions, download_file

CONTENT = random.Random(1).randbytes(1_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server(file_server: Any) -> Any:
    file_server.content = CONTENT
    return file_server


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "model.pth"


def fetch(url: str, target: Path, **arguments: Any) -> str:
    arguments.setdefault("sleep", lambda _seconds: None)
    return download_file(url, target, **arguments)


def leftovers(target: Path) -> set[str]:
    return {path.name for path in target.parent.iterdir()} - {target.name}


def test_a_file_arrives_whole_with_its_hash_and_nothing_else_stays(server, target):
    assert fetch(server.url, target, sha256=SHA256.upper()) == SHA256
    assert target.read_bytes() == CONTENT
    assert leftovers(target) == set()


def test_progress_reaches_the_size_that_the_server_announced(server, target):
    steps: list[tuple[int, int | None]] = []
    fetch(server.url, target, progress=lambda done, total: steps.append((done, total)))
    assert steps[0] == (0, len(CONTENT))
    assert steps[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)


def test_a_connection_that_breaks_off_is_continued_from_the_last_byte(server, target):
    server.break_off_after_bytes = [400_000, 300_000]
    assert fetch(server.url, target) == SHA256
    assert [request.get("Range") for request in server.requests] == [
        None,
        "bytes=400000-",
        "bytes=700000-",
    ]


def test_a_later_process_continues_what_an_earlier_one_began(server, target):
    server.break_off_after_bytes = [400_000]
    server.failures = []
    with pytest.raises(DownloadError, match="the same command continues"):
        fetch(server.url, target, options=DownloadOptions(attempts=1))
    assert not target.exists()
    assert target.with_name("model.pth.part").stat().st_size == 400_000
    assert fetch(server.url, target) == SHA256
    assert server.requests[-1]["Range"] == "bytes=400000-"
    assert leftovers(target) == set()


def test_a_file_that_changed_on_the_server_is_not_glued_to_the_old_beginning(server, target):
    server.break_off_after_bytes = [400_000]
    with pytest.raises(DownloadError):
        fetch(server.url, target, options=DownloadOptions(attempts=1))
    server.content, server.etag = CONTENT[::-1], '"second"'
    fetch(server.url, target)
    assert target.read_bytes() == CONTENT[::-1]


def test_a_beginning_from_another_address_is_not_continued(server, target):
    server.break_off_after_bytes = [400_000]
    with pytest.raises(DownloadError):
        fetch(server.url, target, options=DownloadOptions(attempts=1))
    fetch(server.url + "?mirror", target)
    assert "Range" not in server.requests[-1]
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_without_a_strong_validator_a_broken_download_starts_again(server, target, etag):
    server.etag = etag
    server.break_off_after_bytes = [400_000]
    assert fetch(server.url, target) == SHA256
    assert "Range" not in server.requests[-1]


def test_a_server_that_ignores_ranges_sends_all_again_and_the_file_is_right(server, target):
    server.supports_ranges = False
    server.break_off_after_bytes = [400_000]
    assert fetch(server.url, target) == SHA256
    assert server.requests[-1]["Range"] == "bytes=400000-"


def test_a_server_that_sends_another_range_than_asked_is_not_trusted(server, target):
    server.break_off_after_bytes = [400_000]
    server.range_starts_wrong = True
    done: list[int] = []
    assert fetch(server.url, target, progress=lambda size, _: done.append(size)) == SHA256
    assert max(done) == len(CONTENT)


def test_a_complete_part_file_is_finished_without_sending_it_again(server, target):
    server.break_off_after_bytes = [400_000]
    with pytest.raises(DownloadError):
        fetch(server.url, target, options=DownloadOptions(attempts=1))
    target.with_name("model.pth.part").write_bytes(CONTENT)
    assert fetch(server.url, target, sha256=SHA256) == SHA256
    assert len(server.requests) == 2


def test_a_part_file_longer_than_the_file_is_thrown_away(server, target):
    server.break_off_after_bytes = [400_000]
    with pytest.raises(DownloadError):
        fetch(server.url, target, options=DownloadOptions(attempts=1))
    target.with_name("model.pth.part").write_bytes(CONTENT + b"more")
    assert fetch(server.url, target) == SHA256


def test_a_server_that_does_not_announce_the_size_is_accepted(server, target):
    server.announces_size = False
    assert fetch(server.url, target) == SHA256


def test_a_busy_server_is_asked_again_with_growing_pauses(server, target):
    server.failures = [503, 429, 500]
    pauses: list[float] = []
    fetch(server.url, target, sleep=pauses.append)
    assert pauses == [1.0, 2.0, 4.0]
    assert target.read_bytes() == CONTENT


def test_a_server_that_stays_busy_is_given_up_with_its_last_word(server, target):
    server.failures = [503] * 9
    with pytest.raises(DownloadError, match=r"3 attempts.*503"):
        fetch(server.url, target, options=DownloadOptions(attempts=3))
    assert len(server.requests) == 3
    assert leftovers(target) == set()


def test_attempts_that_bring_bytes_are_not_counted_as_failures(server, target):
    server.break_off_after_bytes = [100_000] * 9
    assert fetch(server.url, target, options=DownloadOptions(attempts=2)) == SHA256


@pytest.mark.parametrize(
    ("status", "words"), [(404, "no such file"), (401, "login"), (403, "refuses access")]
)
def test_a_refusal_is_final_and_names_the_address(server, target, status, words):
    server.failures = [status]
    with pytest.raises(DownloadError, match=words) as caught:
        fetch(server.url, target)
    assert server.url in str(caught.value)
    assert len(server.requests) == 1
    assert leftovers(target) == set()


def test_a_wrong_hash_removes_the_bytes_and_names_both_hashes(server, target):
    with pytest.raises(DownloadError, match="wrong content") as caught:
        fetch(server.url, target, sha256="0" * 64)
    assert SHA256 in str(caught.value)
    assert "0" * 64 in str(caught.value)
    assert not target.exists()
    assert leftovers(target) == set()


def test_a_wrong_hash_leaves_the_file_of_an_earlier_fetch_alone(server, target):
    target.parent.mkdir()
    target.write_bytes(b"earlier")
    with pytest.raises(DownloadError):
        fetch(server.url, target, sha256="0" * 64)
    assert target.read_bytes() == b"earlier"


@pytest.mark.parametrize(
    ("content", "content_type", "words"),
    [
        (b"<!DOCTYPE html><title>Sign in</title>", "text/html; charset=utf-8", "a web page"),
        (b"\n<html>captive portal", "application/octet-stream", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "text/plain", "Git LFS pointer"),
        (b"", "application/octet-stream", "empty file"),
    ],
)
def test_something_else_than_the_file_is_refused(server, target, content, content_type, words):
    server.content, server.content_type = content, content_type
    with pytest.raises(DownloadError, match=words):
        fetch(server.url, target)
    assert not target.exists()
    assert leftovers(target) == set()


def test_a_silent_server_times_out(target):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
        with pytest.raises(DownloadError, match="timed out"):
            fetch(url, target, options=DownloadOptions(timeout_s=0.2, attempts=1))


def test_no_server_is_reported_as_no_connection(target):
    # Bound, so that nobody else listens there, and does not listen itself.
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/x"
        with pytest.raises(DownloadError, match=r"2 attempts.*no connection"):
            fetch(url, target, options=DownloadOptions(attempts=2))


@pytest.mark.parametrize("url", ["ftp://host/file", "model.pth", "http://"])
def test_an_address_that_cannot_be_fetched_is_refused(target, url):
    with pytest.raises(DownloadError):
        fetch(url, target, options=DownloadOptions(attempts=1))


def test_a_file_address_copies_the_file(tmp_path, target):
    source = tmp_path / "usb stick" / "model.pth"
    source.parent.mkdir()
    source.write_bytes(CONTENT)
    assert fetch(source.as_uri(), target) == SHA256
    assert target.read_bytes() == CONTENT


def test_a_missing_file_address_fails_at_once(tmp_path, target):
    with pytest.raises(DownloadError, match="cannot be read"):
        fetch((tmp_path / "none.pth").as_uri(), target)


def test_too_little_space_is_said_before_the_download(server, target, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=999_999))
    with pytest.raises(DownloadError, match="1 MB are needed and 1 MB are free"):
        fetch(server.url, target)
    assert not target.exists()


def test_a_disk_that_fills_up_keeps_the_bytes_and_says_so(server, target, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DownloadError, match="the disk is full"):
        fetch(server.url, target)
    monkeypatch.undo()
    assert fetch(server.url, target) == SHA256


def test_a_folder_that_cannot_be_made_is_named(server, tmp_path):
    (tmp_path / "cache").write_text("a file, not a folder")
    with pytest.raises(DownloadError, match="cannot be written"):
        fetch(server.url, tmp_path / "cache" / "model.pth")


def test_two_processes_do_not_write_the_same_download(server, target):
    target.parent.mkdir()
    with target.with_name("model.pth.part").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(DownloadError, match="another process"):
            fetch(server.url, target)
    assert fetch(server.url, target) == SHA256
