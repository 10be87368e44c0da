"""What a storage refuses is said at once, in a line that names it, and hides its credentials."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bag_samples import IMAGE_TOPIC, ShapeSource, image_messages, write_bag
from google_storage import FORBIDDEN_BUCKET, google_storage

from yolact_ros.errors import StorageError
from yolact_ros.evaluation.bag.evaluate import evaluate_bags
from yolact_ros.evaluation.bag.options import EvaluationOptions
from yolact_ros.evaluation.bag.reading import location as location_module
from yolact_ros.evaluation.bag.reading.location import location
from yolact_ros.evaluation.bag.reading.sources import read_sources
from yolact_ros.evaluation.bag.reading.storage import Bag

moto_server = pytest.importorskip("moto.server", reason="moto is not installed")
s3fs = pytest.importorskip("s3fs", reason="s3fs of the extra fleet is not installed")

SECRET = "hunter2hunter2hunter2"
MANY = "1000000000"  # requests that need no permission


class Silent:
    def start(self, title: str, total: int | None) -> Callable[[int], None]:
        return lambda count: None


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    running = moto_server.ThreadedMotoServer(port=0, verbose=False)
    running.start()
    yield "http://{}:{}".format(*running.get_host_and_port())
    running.stop()


@pytest.fixture(autouse=True)
def credentials(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> pytest.MonkeyPatch:
    """Of somebody whom the server does not know, in an environment with no others."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "stranger")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("YOLACT_ROS_CACHE", str(tmp_path / "cache"))
    for name in ("CONFIG_FILE", "SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(f"AWS_{name}", str(tmp_path / "none"))
    forget_storages()
    return monkeypatch


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for an answer that does not change fails."""

    def fail(_: float) -> None:
        raise AssertionError("waits for an answer that will be the same")

    clock = SimpleNamespace(monotonic=time.monotonic, sleep=fail)
    monkeypatch.setattr(location_module, "time", clock)


def forget_storages() -> None:
    location_module._endpoint.cache_clear()
    s3fs.S3FileSystem.clear_instance_cache()


def allow(server: str, requests: str) -> None:
    kind = {"Content-Type": "text/plain"}
    address = f"{server}/moto-api/reset-auth"
    urllib.request.urlopen(urllib.request.Request(address, requests.encode(), kind)).close()


def open_bags(name: str) -> None:
    for source in read_sources([name], "", [])[0]:
        Bag(source.path).close()


def ask(action: str, **parameters: str) -> Any:
    """Of the server's management of users."""
    session = pytest.importorskip("boto3")
    return getattr(session.client("iam"), action)(**parameters)


@pytest.fixture
def reader(server: str, credentials: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The user may read the bucket `open` and not `closed`; both have a drive."""
    local = write_bag(tmp_path / "drive", image_messages(3))
    storage = s3fs.S3FileSystem(skip_instance_cache=True)
    for bucket in ("open", "closed"):
        if not storage.exists(bucket):
            storage.mkdir(bucket)
        storage.put(str(local), f"{bucket}/drive", recursive=True)
    ask("create_user", UserName=tmp_path.name)
    key = ask("create_access_key", UserName=tmp_path.name)["AccessKey"]
    may_read = {
        "Effect": "Allow",
        "Action": ["s3:*"],
        "Resource": ["arn:aws:s3:::open", "arn:aws:s3:::open/*"],
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [may_read]})
    ask("put_user_policy", UserName=tmp_path.name, PolicyName="read", PolicyDocument=policy)
    credentials.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    credentials.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    forget_storages()
    allow(server, "0")
    yield
    allow(server, MANY)


@pytest.mark.parametrize("name", ["s3://none/drive", "s3://none/*", "s3://none/fleet.csv"])
def test_a_bucket_that_is_not_there_is_said_to_be_so(name: str) -> None:
    with pytest.raises(StorageError, match=r"^s3://none/.*: the storage has no such bucket$"):
        open_bags(name)


def test_settings_that_are_not_there_are_named(credentials: pytest.MonkeyPatch) -> None:
    credentials.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(StorageError, match=r"cannot be asked \(ProfileNotFound: .*nobody"):
        Bag(location("s3://open/drive"))
    credentials.delenv("AWS_PROFILE")
    credentials.delenv("AWS_ACCESS_KEY_ID")
    credentials.delenv("AWS_SECRET_ACCESS_KEY")
    forget_storages()
    with pytest.raises(
        StorageError, match=r"cannot be asked \(NoCredentialsError.*check its cred"
    ):
        Bag(location("s3://open/drive"))


def test_who_may_read_one_bucket_gets_it_and_a_line_for_the_other(
    reader: None, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    sources, unusable = read_sources(["s3://open/drive", "s3://closed/drive"], "", [])
    options = EvaluationOptions(
        bags=tuple(sources), output=tmp_path / "out", unusable=unusable, source=ShapeSource()
    )
    metrics = evaluate_bags(options, Silent())
    assert metrics["bags"] == ["drive_1"]
    assert [row["reason"] for row in metrics["bags_failed"]] == [
        "s3://closed/drive: the storage does not allow reading it; check credentials"
    ]


@pytest.mark.parametrize("key", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_wrong_credentials_are_said_and_told_to_nobody(
    reader: None, credentials: pytest.MonkeyPatch, key: str
) -> None:
    credentials.setenv(key, SECRET)
    forget_storages()
    for name in ("s3://open/drive", "s3://open/*"):
        with pytest.raises(StorageError, match="does not allow reading it") as caught:
            open_bags(name)
        assert SECRET not in str(caught.value)


def test_a_bag_of_google_s_storage_is_read(
    credentials: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gcsfs = pytest.importorskip("gcsfs", reason="gcsfs of the extra fleet is not installed")
    for kind in ("mcap", "sqlite3"):
        write_bag(tmp_path / "fleet" / kind, image_messages(4), storage=kind)
    with google_storage(tmp_path) as address:
        credentials.setenv("STORAGE_EMULATOR_HOST", address)
        gcsfs.GCSFileSystem.clear_instance_cache()
        found, _ = read_sources(["gs://fleet/*"], "", [])
        assert [source.path.name for source in found] == ["mcap", "sqlite3"]
        for source in found:
            with Bag(source.path) as bag:
                assert len(list(bag.messages({IMAGE_TOPIC}))) == 4
        for name in ("drive", "*"):
            with pytest.raises(StorageError, match="does not allow reading it"):
                open_bags(f"gs://{FORBIDDEN_BUCKET}/{name}")
    assert not [record for record in caplog.records if record.name.startswith("gcsfs")]
