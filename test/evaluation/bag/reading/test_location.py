"""Bags are read where they are, and what is secret in an address is told to nobody."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from bag_samples import IMAGE_TOPIC, TRUTH_TOPIC, image_messages, truth_messages, write_bag
from remote_storage import WebStorage, web_storage

from yolact_ros.errors import ConfigError, DataError, StorageError
from yolact_ros.evaluation.bag.reading.local_copy import local_copies
from yolact_ros.evaluation.bag.reading.location import RemotePath, location, without_secrets
from yolact_ros.evaluation.bag.reading.storage import Bag

pytest.importorskip("fsspec", reason="fsspec of the extra fleet is not installed")
pytest.importorskip("aiohttp", reason="aiohttp of the extra fleet is not installed")

SECRETS = ("hunter2", "X-Amz-Signature", "abc123")


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[WebStorage]:
    (tmp_path / "files").mkdir()
    with web_storage(tmp_path / "files") as running:
        yield running


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("YOLACT_ROS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "bags"


def times(path: Path | RemotePath) -> tuple[list[int], list[str]]:
    with Bag(path) as bag:
        found = [m.log_time_ns for m in bag.messages({IMAGE_TOPIC})]
        return found, [problem["kind"] for problem in bag.problems.examples]


def test_a_path_and_a_file_address_are_of_this_machine() -> None:
    assert location("drives/a") == Path("drives/a")
    assert location("file:///drives/a") == Path("/drives/a")


@pytest.mark.parametrize("storage_name", ["mcap", "sqlite3"])
@pytest.mark.parametrize("as_file", [True, False])
def test_a_bag_of_a_web_server_has_the_messages_of_the_file(
    storage: WebStorage, storage_name: str, as_file: bool
) -> None:
    local = write_bag(storage.folder / "drive", image_messages(6), storage=storage_name)
    if as_file:
        local = next(file for file in local.iterdir() if file.suffix in (".mcap", ".db3"))
    remote = location(storage.url(str(local.relative_to(storage.folder))))
    assert times(pickle.loads(pickle.dumps(remote))) == times(local)


def test_a_segment_of_an_mcap_is_fetched_without_the_rest(
    storage: WebStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("yolact_ros.evaluation.bag.reading.location.BLOCK_BYTES", 1 << 16)
    local = write_bag(storage.folder / "drive", image_messages(400))
    size = sum(file.stat().st_size for file in local.iterdir())
    with Bag(location(storage.url("drive/drive.mcap"))) as bag:
        span = bag.time_range_ns
        assert span is not None
        stop = span[0] + (span[1] - span[0]) // 10
        assert 0 < len(list(bag.messages({IMAGE_TOPIC}, span[0], stop))) < 60
    assert storage.sent_bytes < size / 2


def test_a_server_that_fails_for_a_while_is_asked_again(storage: WebStorage) -> None:
    local = write_bag(storage.folder / "drive", image_messages(3))
    storage.failures = 2
    assert times(location(storage.url("drive/drive.mcap"))) == times(local)


def test_a_storage_that_never_answers_is_no_damaged_bag() -> None:
    with pytest.raises(StorageError, match=r"^http://127.0.0.1:9/d.mcap: the storage does not"):
        Bag(RemotePath("http://127.0.0.1:9/d.mcap", patience_s=0.2))


def test_a_bag_that_is_not_there_is_said_to_be_so(storage: WebStorage) -> None:
    with pytest.raises(DataError, match="no such bag"):
        Bag(location(storage.url("none.mcap")))


def test_a_bag_that_vanishes_while_it_is_read_is_no_damaged_bag(
    storage: WebStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("yolact_ros.evaluation.bag.reading.location.BLOCK_BYTES", 1 << 16)
    write_bag(storage.folder / "drive", image_messages(400))
    with Bag(location(storage.url("drive/drive.mcap"))) as bag:
        messages = bag.messages({IMAGE_TOPIC})
        next(messages)
        (storage.folder / "drive/drive.mcap").unlink()
        with pytest.raises(StorageError, match=r"drive.mcap: there is no such file"):
            list(messages)
        assert not bag.problems.examples


def test_a_password_opens_the_bag_and_is_told_to_nobody(tmp_path: Path) -> None:
    local = write_bag(tmp_path / "drive", image_messages(3))
    with web_storage(tmp_path, password="hunter2") as storage:
        right = location(storage.url("drive/drive.mcap?token=abc123", user="me:hunter2"))
        assert times(right) == times(local)
        wrong = location(storage.url("drive/drive.mcap?token=abc123", user="me:hunter2x"))
        with pytest.raises(StorageError, match="does not allow") as caught:
            Bag(wrong)
    for text in (str(right), repr(right), str(wrong), str(caught.value)):
        assert not any(secret in text for secret in SECRETS), text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://me:hunter2@host/a.mcap", "https://host/a.mcap"),
        ("https://me:hunt@er2@host/a.mcap?X-Amz-Signature=abc123&b", "https://host/a.mcap"),
        ("bag evaluate 'http://h/a?x=abc123' -j 2", "bag evaluate 'http://h/a' -j 2"),
        ("/truth@https://me:hunter2@h/b and s3://b/c*", "/truth@https://h/b and s3://b/c*"),
        ("a plain text? with me@home", "a plain text? with me@home"),
    ],
)  # fmt: skip
def test_a_text_loses_what_is_secret_in_its_addresses(text: str, expected: str) -> None:
    assert without_secrets(text) == expected


def test_a_password_in_an_address_that_none_is_read_from_is_refused_without_it() -> None:
    with pytest.raises(ConfigError, match="no user or password is read") as caught:
        location("s3://key:hunter2@bucket/a.mcap")
    assert "hunter2" not in str(caught.value)


def test_an_unknown_storage_names_those_that_are_known() -> None:
    with pytest.raises(ConfigError, match=r"foo:// is no storage .*s3://"):
        location("foo://host/a.mcap")


def test_sqlite_is_fetched_once(storage: WebStorage, cache: Path) -> None:
    write_bag(storage.folder / "drive", image_messages(30), storage="sqlite3")
    remote = location(storage.url("drive/drive.db3"))
    with Bag(remote) as bag:
        sent = storage.sent_bytes
        with Bag(remote):
            pass
        assert storage.sent_bytes == sent
        assert len(list(bag.messages({IMAGE_TOPIC}))) == 30
    assert len(list(cache.glob("*/*.db3"))) == 1


def test_the_oldest_copy_makes_room_and_what_never_fits_is_refused(
    storage: WebStorage, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YOLACT_ROS_BAG_CACHE_GB", "25e-6")
    paths = []
    for name in ("a", "b", "c"):
        (storage.folder / name).write_bytes(name.encode() * 10_000)
        paths.append(RemotePath(storage.url(name)))
    for path in paths:
        with local_copies([path]) as folder:
            assert (folder / path.name).read_bytes() == path.read_bytes()
    assert sorted(file.name for file in cache.glob("*/?")) == ["b", "c"]
    (storage.folder / "large").write_bytes(bytes(30_000))
    with (
        pytest.raises(StorageError, match=r"has no room in .* set YOLACT_ROS_BAG_CACHE_GB"),
        local_copies([RemotePath(storage.url("large"))]),
    ):
        pass


def test_a_bag_in_object_storage_is_read_and_found_by_a_pattern(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server_of = pytest.importorskip("moto.server", reason="moto is not installed")
    s3fs = pytest.importorskip("s3fs", reason="s3fs of the extra fleet is not installed")
    server = server_of.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "abc123")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        storage = s3fs.S3FileSystem(skip_instance_cache=True)
        storage.mkdir("fleet")
        messages = image_messages(4) + truth_messages(4)
        for kind in ("mcap", "sqlite3"):
            local = write_bag(tmp_path / kind, messages, storage=kind)
            storage.put(str(local), f"fleet/drives/{kind}", recursive=True)
        pattern = location("s3://fleet/drives/*")
        assert isinstance(pattern, RemotePath)
        assert [str(path) for path in pattern.glob()] == [
            "s3://fleet/drives/mcap",
            "s3://fleet/drives/sqlite3",
        ]
        for path in pattern.glob():
            assert times(path) == times(tmp_path / path.name)
            with Bag(path) as bag:
                assert len(list(bag.messages({TRUTH_TOPIC}))) == 4
        with pytest.raises(DataError, match=r"^s3://fleet/none: no such bag"):
            Bag(location("s3://fleet/none"))
    finally:
        server.stop()
