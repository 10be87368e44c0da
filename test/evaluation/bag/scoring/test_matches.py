"""AP of a bag, matched block by block, is the AP of COCOeval on everything at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from yolact_ros.datasets.coco_data import CocoCategory
from yolact_ros.datasets.coco_file import parse_coco
from yolact_ros.evaluation.bag.compare.bootstrap import WeightedAp
from yolact_ros.evaluation.bag.frame import FoundInstance, FrameInstances
from yolact_ros.evaluation.bag.scoring import matches as matches_module
from yolact_ros.evaluation.bag.scoring.matches import (
    MatchCollector,
    Verdicts,
    accumulated,
)
from yolact_ros.evaluation.coco import evaluate_results, summarize
from yolact_ros.ops.coco_rle import encode_crop
from yolact_ros.structures import MaskCrop

SHAPE = (120, 160)
CATEGORIES = [CocoCategory(3, "cup"), CocoCategory(1, "person"), CocoCategory(7, "dog")]
NUM_FRAMES = 37
Frame = tuple[list[FoundInstance], list[FoundInstance]]


def coco_metrics(verdicts: Verdicts, iou_type: Any) -> Any:
    tables = verdicts.tables[iou_type]
    counts = [tables["all"].num_objects(row.id) for row in CATEGORIES]
    evaluator = accumulated(tables, CATEGORIES, iou_type)
    return summarize(evaluator, CATEGORIES, counts, verdicts.num_frames)


def ellipse(box: tuple[int, int, int, int]) -> str:
    x, y, width, height = box
    rows, columns = np.mgrid[:height, :width]
    inside = ((rows + 0.5) / height * 2 - 1) ** 2 + ((columns + 0.5) / width * 2 - 1) ** 2 <= 1
    return encode_crop(MaskCrop(x, y, width, height, np.packbits(inside)), *SHAPE)["counts"]


def random_frames(
    seed: int,
) -> list[Frame]:
    """Annotations, and detections that are shifted copies of them and inventions."""
    random = np.random.default_rng(seed)
    frames = []
    for _ in range(NUM_FRAMES):
        annotations, found = [], []
        for _ in range(int(random.integers(0, 5))):
            category = CATEGORIES[int(random.integers(0, 2))]
            x, y = (int(v) for v in random.integers(0, 60, 2))
            width, height = (int(v) for v in random.integers(6, 60, 2))
            is_crowd = random.random() < 0.1
            annotations.append(
                FoundInstance(
                    int(category.id) - 1,
                    category.name,
                    0.0 if is_crowd else 1.0,
                    (float(x), float(y), float(width), float(height)),
                    ellipse((x, y, width, height)),
                    area_px=float(width * height * 0.78),
                )
            )
            if random.random() < 0.8:
                dx, dy = (int(v) for v in random.integers(0, 6, 2))
                box = (x + dx, y + dy, width, height)
                name = category.name if random.random() < 0.9 else "dog"
                score = round(float(random.random()), 2)  # ties happen
                corner = (float(box[0]), float(box[1]), float(width), float(height))
                found.append(FoundInstance(0, name, score, corner, ellipse(box)))
        for name in ("person", "unicorn"):
            box = (70, 30, 40, 40)
            score = round(float(random.random()), 2)
            found.append(FoundInstance(0, name, score, (70.0, 30.0, 40.0, 40.0), ellipse(box)))
        frames.append((annotations, found))
    return frames


def at_once(frames: list[Frame], iou_type: Any) -> Any:
    ids = {row.name: row.id for row in CATEGORIES}
    images = [{"id": i + 1, "height": SHAPE[0], "width": SHAPE[1]} for i in range(len(frames))]
    annotations, results = [], []
    for image_id, (known, found) in enumerate(frames, start=1):
        for row in known:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": row.class_id + 1,
                    "bbox": list(row.bbox_xywh),
                    "area": row.area_px,
                    "iscrowd": int(row.is_crowd),
                    "segmentation": {"size": list(SHAPE), "counts": row.counts},
                }
            )
        for instance in found:
            if instance.class_name in ids:
                results.append(
                    {
                        "image_id": image_id,
                        "category_id": ids[instance.class_name],
                        "score": instance.score,
                        "bbox": list(instance.bbox_xywh),
                        "segmentation": {"size": list(SHAPE), "counts": instance.counts},
                    }
                )
    dataset = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": row.id, "name": row.name} for row in CATEGORIES],
    }
    return evaluate_results(parse_coco(dataset), results, iou_type)


def collect(
    frames: list[Frame],
) -> tuple[Verdicts, MatchCollector]:
    collector = MatchCollector(CATEGORIES, ("bbox", "segm"))
    for index, (known, found) in enumerate(frames):
        collector.add(index, FrameInstances(*SHAPE, tuple(known)), found)
    return collector.verdicts(), collector


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
@pytest.mark.parametrize("block", [1, 8, 1000])
def test_matching_in_blocks_changes_no_digit(
    monkeypatch: pytest.MonkeyPatch, iou_type: Any, block: int
) -> None:
    monkeypatch.setattr(matches_module, "BLOCK_FRAMES", block)
    frames = random_frames(1)
    verdicts, collector = collect(frames)
    metrics = coco_metrics(verdicts, iou_type)
    expected = at_once(frames, iou_type)
    assert metrics.to_dict() == expected.to_dict()
    assert 0.1 < metrics.ap < 0.9
    assert collector.unknown_classes == {"unicorn"}


def test_tables_of_two_bags_join_to_the_table_of_both() -> None:
    first, second = random_frames(2), random_frames(3)
    both, _ = collect(first + second)
    ids = np.arange(10)
    parts = [
        collect(frames)[0].renumbered(np.arange(NUM_FRAMES) + start, ids)
        for frames, start in ((first, 0), (second, NUM_FRAMES))
    ]
    assert coco_metrics(Verdicts.concatenate(parts), "segm") == coco_metrics(both, "segm")


def test_iou_of_a_match_is_that_of_its_masks() -> None:
    annotation = FoundInstance(
        0, "person", 1.0, (10.0, 10.0, 40.0, 40.0), box_mask(10, 10, 40, 40)
    )
    shifted = FoundInstance(0, "person", 0.9, (20.0, 10.0, 40.0, 40.0), box_mask(20, 10, 40, 40))
    wrong = FoundInstance(0, "person", 0.95, (90.0, 60.0, 20.0, 20.0), box_mask(90, 60, 20, 20))
    table = collect([([annotation], [shifted, wrong])])[0].tables["segm"]["all"]
    assert table.detections["score"].tolist() == [0.95, 0.9]
    assert table.detections["iou"].tolist() == pytest.approx([0.0, 30 / 50])
    assert table.detections["matched"].tolist() == [0, 0b111]  # 0.50, 0.55 and 0.60
    assert table.objects["count"].tolist() == [1]


def box_mask(x: int, y: int, width: int, height: int) -> str:
    bits = np.packbits(np.ones(width * height, np.uint8))
    return encode_crop(MaskCrop(x, y, width, height, bits), *SHAPE)["counts"]


def test_weighted_ap_with_weights_of_one_is_cocos() -> None:
    frames = random_frames(4)
    table = collect(frames)[0].tables["segm"]["all"]
    ap = WeightedAp(table, NUM_FRAMES)(np.ones(NUM_FRAMES, np.int64)).mean()
    assert ap == pytest.approx(at_once(frames, "segm").ap, abs=1e-12)


def test_a_frame_of_weight_two_counts_like_two_frames() -> None:
    frames = distinct_scores(random_frames(5))
    random = np.random.default_rng(0)
    weights: NDArray[np.int64] = random.integers(0, 4, NUM_FRAMES)
    repeated = [frame for frame, count in zip(frames, weights, strict=True) for _ in range(count)]
    table = collect(frames)[0].tables["segm"]["all"]
    expected = at_once(repeated, "segm").ap
    assert WeightedAp(table, NUM_FRAMES)(weights).mean() == pytest.approx(expected, abs=1e-9)


def distinct_scores(
    frames: list[Frame],
) -> list[Frame]:
    random = np.random.default_rng(9)
    return [
        (
            known,
            [
                FoundInstance(
                    f.class_id, f.class_name, float(random.random()), f.bbox_xywh, f.counts
                )
                for f in found
            ],
        )
        for known, found in frames
    ]
