"""Small files under the names that the pages use: photographs, annotations, a clip, models."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from coco_shapes import write_coco
from yolo_onnx import write_yolo_onnx

from yolact_ros.classes import PASCAL_CLASSES
from yolact_ros.config import YolactConfig, variant
from yolact_ros.models import Yolact
from yolact_ros.models.checkpoint import save_checkpoint
from yolact_ros.models.yolact import build_network

__all__ = ["write_inputs"]

NUM_IMAGES = 4
WIDTH, HEIGHT = 160, 120
SETTINGS = """\
network: {variant: yolact_light, input_size_px: 64, class_names: [disc, person],
          num_prototypes: 4, fpn_channels: 8, proto_channels: 8}
start_from: nothing
data: [{images: photos, annotations: labels.json, holdout: 0.3}]
batch_size: 2
"""


def write_inputs(folder: Path, tiny_model: Path) -> None:
    """Fill a new folder."""
    shapes = write_coco(
        folder / "made", num_images=NUM_IMAGES, width=WIDTH, height=HEIGHT, change=_call_person
    )
    for name in ("photos", "val", "test"):
        shutil.copytree(shapes.images, folder / name)
    for name in ("labels.json", "val.json", "instances.json"):
        shutil.copy(shapes.annotations, folder / name)
    truth = json.loads(shapes.annotations.read_text())
    (folder / "theirs.json").write_text(json.dumps(_results(truth)))
    images = [cv2.imread(str(path)) for path in sorted(shapes.images.iterdir())]
    cv2.imwrite(str(folder / "photo.jpg"), images[0])
    _write_clip(folder / "clip.mp4", images)
    (folder / "data.yaml").write_text(SETTINGS + "output: runs/data\nworkers: 2\n")
    (folder / "config.yaml").write_text(SETTINGS + "output: runs/config\nworkers: 0\nsteps: 2\n")
    shutil.copy(tiny_model, folder / "tiny.safetensors")
    _write_model(folder / "k8.safetensors", ("disc", "person"), 8)
    _write_model(folder / "k16.safetensors", ("disc", "person"), 16)
    _write_model(folder / "pascal.safetensors", PASCAL_CLASSES, 4)
    write_yolo_onnx(folder / "parts-seg.onnx")
    _write_sbd(folder / "benchmark_RELEASE" / "dataset", images)
    (folder / "mirror").mkdir()
    for name in ("yolact_resnet50", "yolact_base"):
        _write_published(folder / "mirror" / f"{name}_54_800000.pth", variant(name))
    _write_published(folder / "parts.pth", variant("yolact_resnet50", class_names=("a", "b")))
    (folder / "parts.txt").write_text("bolt\nnut\n")


def _call_person(content: dict[str, Any]) -> None:
    names = {"box": "person"}
    content["categories"] = [
        {**category, "name": names.get(category["name"], category["name"])}
        for category in content["categories"]
    ]


def _results(truth: dict[str, Any]) -> list[dict[str, Any]]:
    keys = ("image_id", "category_id", "bbox")
    from pycocotools import mask

    rows = []
    for row in truth["annotations"]:
        rle = mask.merge(mask.frPyObjects(row["segmentation"], HEIGHT, WIDTH))
        rle["counts"] = rle["counts"].decode()
        rows.append({**{key: row[key] for key in keys}, "score": 0.9, "segmentation": rle})
    return rows


def _write_clip(path: Path, images: list[Any]) -> None:
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, (WIDTH, HEIGHT))
    for image in images:
        video.write(image)
    video.release()


def _write_model(path: Path, class_names: tuple[str, ...], num_prototypes: int) -> None:
    torch.manual_seed(1)
    config = variant(
        "yolact_light",
        class_names=class_names,
        input_size_px=64,
        num_prototypes=num_prototypes,
        fpn_channels=8,
        proto_channels=8,
    )
    save_checkpoint(path, build_network(config).eval())


def _write_published(path: Path, config: YolactConfig) -> None:
    """Weights of a whole network in a small file: each is one zero, seen everywhere."""
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in Yolact(config).state_dict().items()}
    zero = torch.tensor(0.0)
    torch.save({key: zero.expand(shape) for key, shape in shapes.items()}, path)


def _write_sbd(dataset: Path, images: list[Any]) -> None:
    from scipy.io import savemat

    for name in ("img", "inst"):
        (dataset / name).mkdir(parents=True)
    names = [f"2008_00000{number}" for number in range(len(images))]
    for name, image in zip(names, images, strict=True):
        cv2.imwrite(str(dataset / "img" / f"{name}.jpg"), image)
        segmentation = np.zeros((HEIGHT, WIDTH), np.uint8)
        segmentation[20:80, 30:90] = 1
        truth = {"Segmentation": segmentation, "Categories": np.array([[15]], np.uint8)}
        savemat(dataset / "inst" / f"{name}.mat", {"GTinst": truth})
    (dataset / "val.txt").write_text("\n".join(names) + "\n")
