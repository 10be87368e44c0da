"""Models by name: the manifest, where files are found, and fetching them."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest
from golden_networks import smallest
from weight_files import weights_file

import yolact_ros
from yolact_ros.errors import CheckpointError, DownloadError
from yolact_ros.models import zoo
from yolact_ros.models.families import NETWORK_VARIANTS

CONTENT = weights_file(smallest("yolact_base"))
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("YOLACT_ROS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("YOLACT_ROS_MIRROR", raising=False)
    monkeypatch.delenv("YOLACT_ROS_MODELS", raising=False)
    return tmp_path / "cache"


def write_manifest(folder: Path, **changes: object) -> None:
    row = {
        "name": "tiny", "config": "yolact_base", "file": "tiny_1_2.pth", "url": "http://x/y",
        "sha256": None, "mask_ap": 12.5, "license": "MIT", "description": "for tests",
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps({"models": [row | changes]}))


def state_of(name: str) -> str:
    return next(status.state for status in zoo.list_models() if status.entry.name == name)


def test_the_manifest_lists_the_published_models_and_the_bundled_one(cache):
    published = {
        status.entry.name: status.entry.mask_ap
        for status in zoo.list_models()
        if status.entry.url is not None
    }
    assert published == {
        "yolact_resnet50": 28.2,
        "yolact_darknet53": 28.7,
        "yolact_base": 29.8,
        "yolact_im700": 31.2,
        "yolact_plus_resnet50": 34.1,
        "yolact_plus_base": 34.6,
    }
    assert zoo.list_models()[0].entry.name == zoo.BUNDLED


def test_every_entry_names_a_variant_and_the_file_at_the_end_of_its_address(cache):
    for entry in (status.entry for status in zoo.list_models()):
        assert entry.config in NETWORK_VARIANTS
        assert entry.url is None or entry.url.endswith("/resolve/main/" + entry.file)


def test_a_bundled_file_agrees_with_the_hash_in_the_manifest(cache):
    status = next(s for s in zoo.list_models() if s.entry.name == zoo.BUNDLED)
    if status.path is None or status.entry.sha256 is None:
        pytest.skip("no bundled model with a recorded hash in this checkout")
    assert zoo.verify_model(zoo.BUNDLED) == (status.path, True)


def test_a_path_is_taken_as_it_is(tmp_path):
    path = tmp_path / "own.safetensors"
    path.touch()
    assert zoo.find_model(str(path)) == path
    assert zoo.find_model(path) == path


def test_a_path_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"own\.pth: no such file"):
        zoo.find_model(tmp_path / "own.pth")
    with pytest.raises(CheckpointError, match=r"own\.pth: no such file"):
        zoo.find_model("own.pth")
    with pytest.raises(CheckpointError, match="is a folder"):
        zoo.find_model(tmp_path)


def test_an_unknown_name_gets_the_nearest_one_offered(cache):
    with pytest.raises(CheckpointError, match="did you mean 'yolact_base'"):
        zoo.find_model("yolact_bsae")


def test_a_model_that_is_not_downloaded_gets_the_command_that_does_it(cache):
    with pytest.raises(CheckpointError, match="`yolact models fetch yolact_im700`"):
        zoo.find_model("yolact_im700")


def test_a_bundled_model_that_is_missing_is_the_installations_fault(cache, tmp_path, monkeypatch):
    write_manifest(tmp_path / "models", url=None)
    monkeypatch.setenv("YOLACT_ROS_MODELS", str(tmp_path / "models"))
    assert state_of("tiny") == "missing"
    with pytest.raises(CheckpointError, match="reinstall"):
        zoo.find_model("tiny")
    with pytest.raises(DownloadError, match="comes with the package"):
        zoo.fetch_model("tiny")


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"models": [{"name": "x"}]}', '{"models": [1]}']
)
def test_a_malformed_manifest_is_named(tmp_path, monkeypatch, content):
    (tmp_path / "manifest.json").write_text(content)
    monkeypatch.setenv("YOLACT_ROS_MODELS", str(tmp_path))
    with pytest.raises(CheckpointError, match=r"manifest\.json: not a list of models"):
        zoo.list_models()


def test_a_missing_manifest_names_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("YOLACT_ROS_MODELS", str(tmp_path / "nowhere"))
    with pytest.raises(CheckpointError, match="nowhere"):
        zoo.models_folder()


@pytest.mark.parametrize(
    "package",
    [
        f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages/yolact_ros",
        "local/lib/python3.12/dist-packages/yolact_ros",
        "yolact_ros",
    ],
)
def test_an_installed_package_finds_the_models_under_its_prefix(tmp_path, monkeypatch, package):
    monkeypatch.delenv("YOLACT_ROS_MODELS", raising=False)
    prefix = tmp_path / "prefix"
    (prefix / package).mkdir(parents=True)
    share = prefix / "local/share" if package.startswith("local") else prefix / "share"
    write_manifest(share / "yolact_ros" / "models")
    monkeypatch.setattr(yolact_ros, "__file__", str(prefix / package / "__init__.py"))
    assert zoo.models_folder() == share / "yolact_ros" / "models"


def test_a_package_linked_to_its_checkout_finds_the_models_there(tmp_path, monkeypatch):
    monkeypatch.delenv("YOLACT_ROS_MODELS", raising=False)
    checkout = tmp_path / "src" / "yolact_ros_checkout"
    (checkout / "yolact_ros").mkdir(parents=True)
    (checkout / "yolact_ros" / "__init__.py").touch()
    write_manifest(checkout / "models")
    installed = tmp_path / "install" / "site-packages"
    installed.mkdir(parents=True)
    (installed / "yolact_ros").symlink_to(checkout / "yolact_ros")
    monkeypatch.setattr(yolact_ros, "__file__", str(installed / "yolact_ros" / "__init__.py"))
    assert zoo.models_folder() == checkout / "models"


def test_fetching_records_the_hash_for_sha256sum(cache, file_server):
    file_server.content = CONTENT
    assert state_of("yolact_base") == "not downloaded"
    path = zoo.fetch_model("yolact_base", url=file_server.url)
    assert path == cache / "yolact_base_54_800000.pth"
    assert path.read_bytes() == CONTENT
    assert (cache / f"{path.name}.sha256").read_text() == f"{SHA256}  {path.name}\n"
    assert state_of("yolact_base") == "downloaded"
    assert zoo.find_model("yolact_base") == path
    assert zoo.verify_model("yolact_base") == (path, True)


def test_a_broken_download_is_listed_as_such(cache, file_server):
    file_server.content = CONTENT
    file_server.break_off_after_bytes = [3]
    file_server.supports_ranges = False
    with pytest.raises(DownloadError):
        zoo.fetch_model(
            "yolact_base", url=file_server.url, options=zoo.DownloadOptions(attempts=1)
        )
    assert state_of("yolact_base") == "partly downloaded"


def test_a_model_that_is_there_is_not_fetched_again_unless_forced(cache, file_server):
    file_server.content = CONTENT
    zoo.fetch_model("yolact_base", url=file_server.url)
    zoo.fetch_model("yolact_base", url=file_server.url)
    assert len(file_server.requests) == 1
    new_release = weights_file(smallest("yolact_base", num_prototypes=8))
    file_server.content = new_release
    path = zoo.fetch_model("yolact_base", url=file_server.url, force=True)
    assert path.read_bytes() == new_release
    assert zoo.verify_model("yolact_base") == (path, True)


def test_a_second_fetch_must_bring_the_hash_of_the_first(cache, file_server):
    file_server.content = CONTENT
    zoo.fetch_model("yolact_base", url=file_server.url).unlink()
    file_server.content = b"something else"
    with pytest.raises(DownloadError, match="wrong content"):
        zoo.fetch_model("yolact_base", url=file_server.url)


def test_the_hash_of_the_manifest_is_enforced(cache, tmp_path, monkeypatch, file_server):
    file_server.content = CONTENT
    monkeypatch.setenv("YOLACT_ROS_MODELS", str(tmp_path / "models"))
    write_manifest(tmp_path / "models", url=file_server.url, sha256="0" * 64)
    with pytest.raises(DownloadError, match="wrong content"):
        zoo.fetch_model("tiny")
    write_manifest(tmp_path / "models", url=file_server.url, sha256=SHA256)
    assert zoo.fetch_model("tiny").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"name,score\nperson,0.5\n", "not a checkpoint: it starts with b'name,scor'"),
        (CONTENT[:20_000], "is truncated"),
        (weights_file(smallest("yolact_resnet50")), "holds a yolact_resnet50, and yolact_base is"),
    ],
    ids=["table", "truncated", "another network"],
)
def test_a_download_that_is_not_the_model_is_refused_and_removed(
    cache, file_server, content, reason
):
    file_server.content = content
    with pytest.raises(DownloadError, match=reason):
        zoo.fetch_model("yolact_base", url=file_server.url)
    assert list(cache.iterdir()) == []
    assert state_of("yolact_base") == "not downloaded"


def test_a_mirror_folder_serves_files_under_their_names(cache, tmp_path, monkeypatch):
    (tmp_path / "usb").mkdir()
    (tmp_path / "usb" / "yolact_base_54_800000.pth").write_bytes(CONTENT)
    assert zoo.fetch_model("yolact_base", mirror=str(tmp_path / "usb")).read_bytes() == CONTENT
    monkeypatch.setenv("YOLACT_ROS_MIRROR", (tmp_path / "usb").as_uri() + "/")
    assert zoo.fetch_model("yolact_base", force=True).read_bytes() == CONTENT


def test_a_damaged_file_is_reported_with_the_cure(cache, file_server):
    file_server.content = CONTENT
    zoo.fetch_model("yolact_base", url=file_server.url).write_bytes(b"weightS")
    with pytest.raises(CheckpointError, match="`yolact models fetch --force yolact_base`"):
        zoo.verify_model("yolact_base")


def test_a_file_put_there_by_hand_gets_its_hash_recorded(cache):
    cache.mkdir()
    path = cache / "yolact_base_54_800000.pth"
    path.write_bytes(CONTENT)
    assert zoo.verify_model("yolact_base") == (path, False)
    assert zoo.verify_model("yolact_base") == (path, True)
