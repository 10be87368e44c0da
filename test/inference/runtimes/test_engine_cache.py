"""The cache of compiled and converted networks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from yolact_ros.inference.runtimes.engine_cache import EngineCache, engine_key
from yolact_ros.models import Yolact


class Builder:
    """Writes a file and counts how often."""

    def __init__(self, contents: bytes = b"engine") -> None:
        self.calls = 0
        self._contents = contents

    def __call__(self, folder: Path) -> None:
        self.calls += 1
        (folder / "engine.bin").write_bytes(self._contents)


def test_an_engine_is_built_once(tmp_path: Path) -> None:
    build = Builder()
    for _ in range(2):
        folder = EngineCache(tmp_path).get("key", build)
        assert (folder / "engine.bin").read_bytes() == b"engine"
    assert build.calls == 1


@pytest.mark.parametrize("manifest", [b"", b"{", b"[]", b"{}", b'"x"', b'{"engine.bin": "0"}'])
def test_a_damaged_manifest_means_building_again(tmp_path: Path, manifest: bytes) -> None:
    build = Builder()
    folder = EngineCache(tmp_path).get("key", build)
    (folder / "manifest.json").write_bytes(manifest)
    EngineCache(tmp_path).get("key", build)
    assert build.calls == 2


@pytest.mark.parametrize("contents", [b"", b"engin", b"enginE"])
def test_a_damaged_file_means_building_again(tmp_path: Path, contents: bytes) -> None:
    build = Builder()
    folder = EngineCache(tmp_path).get("key", build)
    (folder / "engine.bin").write_bytes(contents)
    folder = EngineCache(tmp_path).get("key", build)
    assert (folder / "engine.bin").read_bytes() == b"engine"


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "engine.bin").write_bytes(b"half")
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        EngineCache(tmp_path).get("key", fail)
    assert list(tmp_path.iterdir()) == []


def test_without_a_folder_nothing_is_kept() -> None:
    cache = EngineCache(None)
    folder = cache.get("key", Builder())
    assert folder.is_dir()
    cache.close()
    assert not folder.exists()


def test_the_key_changes_with_weights_size_and_facts(light: Yolact) -> None:
    key = engine_key("compiled", light, "fp32")
    assert key == engine_key("compiled", light, "fp32")
    assert key != engine_key("compiled", light, "bf16")
    assert key != engine_key("compiled", light.with_input_size(96), "fp32")
    weight = next(light.parameters())
    with torch.no_grad():
        weight[0, 0, 0, 0] += 1.0
        changed = engine_key("compiled", light, "fp32")
        weight[0, 0, 0, 0] -= 1.0
    assert changed != key


def test_the_key_is_the_same_whatever_the_classes_are_called(light: Yolact) -> None:
    key = engine_key("compiled", light, "fp32")
    config = light.config
    light.config = replace(config, class_names=tuple(f"c{i}" for i in range(config.num_classes)))
    assert engine_key("compiled", light, "fp32") == key
    light.config = config
