"""int8 networks in the engine cache."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from yolact_ros.errors import RuntimeUnavailableError
from yolact_ros.inference.runtimes.calibration import calibration_images
from yolact_ros.inference.runtimes.engine_cache import EngineCache
from yolact_ros.inference.runtimes.quantized import QuantizedEngine


class Quantizer:
    """Writes a file and counts how often."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, folder: Path, images: Sequence[Path]) -> None:
        self.calls += 1
        (folder / "network.xml").write_text(f"{len(images)} images")


def made(engine: QuantizedEngine, quantize: Quantizer) -> Path:
    """Its folder, as a runtime gets it."""
    return EngineCache(engine.folder.parent).get(engine.folder.name, engine.builder(quantize))


def test_the_same_images_quantise_once(photo_folder: Path, tmp_path: Path) -> None:
    quantize = Quantizer()
    for _ in range(2):
        engine = QuantizedEngine(EngineCache(tmp_path), "key", calibration_images(photo_folder))
        assert (made(engine, quantize) / "network.xml").read_text() == "4 images"
    assert quantize.calls == 1
    assert engine.summary == "int8 calibrated on 4 images, its accuracy was not measured"


def test_other_images_quantise_anew_and_forget_the_accuracy(
    photo_folder: Path, tmp_path: Path
) -> None:
    images = calibration_images(photo_folder)
    engine = QuantizedEngine(EngineCache(tmp_path), "key", images)
    made(engine, Quantizer())
    engine.record_accuracy("mask AP 40.6 to 39.4", {"mask_ap": 0.394})
    assert engine.summary == "int8 calibrated on 4 images, mask AP 40.6 to 39.4"

    other = QuantizedEngine(EngineCache(tmp_path), "key", images[:3])
    assert (made(other, Quantizer()) / "network.xml").read_text() == "3 images"
    assert other.summary == "int8 calibrated on 3 images, its accuracy was not measured"


def test_later_it_opens_without_images_and_tells_its_accuracy(
    photo_folder: Path, tmp_path: Path
) -> None:
    first = QuantizedEngine(EngineCache(tmp_path), "key", calibration_images(photo_folder))
    made(first, Quantizer())
    first.record_accuracy("mask AP 40.6 to 39.4", {})

    opened = QuantizedEngine(EngineCache(tmp_path), "key", None)
    quantize = Quantizer()
    assert made(opened, quantize) == first.folder
    assert quantize.calls == 0
    assert opened.summary.endswith("mask AP 40.6 to 39.4")


def test_without_images_and_never_made_the_command_is_named(tmp_path: Path) -> None:
    engine = QuantizedEngine(EngineCache(tmp_path), "key", None)
    with pytest.raises(RuntimeUnavailableError, match=r"yolact quantize MODEL --images FOLDER"):
        made(engine, Quantizer())


def test_a_damaged_one_is_made_again_from_images_and_refused_without(
    photo_folder: Path, tmp_path: Path
) -> None:
    images = calibration_images(photo_folder)
    quantize = Quantizer()
    folder = made(QuantizedEngine(EngineCache(tmp_path), "key", images), quantize)
    (folder / "network.xml").write_text("cut sh")
    with pytest.raises(RuntimeUnavailableError, match="damaged"):
        made(QuantizedEngine(EngineCache(tmp_path), "key", None), quantize)
    made(QuantizedEngine(EngineCache(tmp_path), "key", images), quantize)
    assert quantize.calls == 2
    assert (folder / "network.xml").read_text() == "4 images"


@pytest.mark.parametrize("contents", [b"", b"[]", b"\xff", b"{"])
def test_a_damaged_note_of_the_accuracy_does_not_matter(
    photo_folder: Path, tmp_path: Path, contents: bytes
) -> None:
    engine = QuantizedEngine(EngineCache(tmp_path), "key", calibration_images(photo_folder))
    folder = made(engine, Quantizer())
    (folder / "accuracy.json").write_bytes(contents)
    assert engine.summary.endswith("its accuracy was not measured")
