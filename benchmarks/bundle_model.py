"""Measure a trained network and turn it into the bundled model.

    python benchmarks/bundle_model.py run/last.safetensors models/yolact_light.safetensors \\
        --card card.json --test person held_out.json photos/ --test val val.json val/

Scores the network on the test sets, keeps the classes whose detections at the default threshold
are right often enough (mask IoU at least 0.5 with an object, crowds ignored), measures again and
writes float16 weights with the model card. Test sets that label only some classes are scored on
the classes that their annotation file has categories for.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from model_classes import keep_classes, lower_scores

from yolact_ros.datasets.coco_data import CocoData
from yolact_ros.evaluation.coco import evaluate_results
from yolact_ros.inference.settings import PredictionSettings
from yolact_ros.models import Yolact
from yolact_ros.models.checkpoint import load_checkpoint, load_network, save_checkpoint
from yolact_ros.training.annotations import DataSource, category_names, read_source
from yolact_ros.training.validation import Validator, ground_truth

THRESHOLD = PredictionSettings().score_threshold
MATCH_IOU = 0.5
WANTED_PRECISION = 0.7
MIN_DETECTIONS = 10


def main() -> int:
    """Measure, choose, measure again, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--card", type=Path, help="JSON of what the card says beside results")
    parser.add_argument(
        "--test", nargs=3, action="append", required=True, metavar=("NAME", "JSON", "IMAGES")
    )
    parser.add_argument("--classes", nargs="+", help="keep these instead of choosing")
    parser.add_argument("--input-size", type=int, default=0)
    parser.add_argument(
        "--lower", nargs=2, action="append", default=[], metavar=("CLASS", "LOGITS")
    )
    args = parser.parse_args()
    network = load_network(args.model, input_size_px=args.input_size)
    lower_scores(network, {name: float(amount) for name, amount in args.lower})
    results = measure(network, args.test)
    chosen = tuple(args.classes or choose(results))
    print(f"kept: {chosen}")
    if not chosen:
        return 1
    if chosen != network.config.class_names:
        network = keep_classes(network, chosen)
        results = measure(network, args.test)
    card: dict[str, Any] = dict(load_checkpoint(args.model).metadata.get("model_card", {}))
    if args.card:
        card.update(json.loads(args.card.read_text(encoding="utf-8")))
    card["results"] = results
    save_checkpoint(args.output, network, {"model_card": card}, torch.float16)
    print(f"{args.output}: {args.output.stat().st_size / 1e6:.1f} MB")
    return 0


def measure(network: Yolact, tests: Sequence[Sequence[str]]) -> dict[str, Any]:
    """AP, and precision and recall at the default threshold, of every test set and class."""
    results: dict[str, Any] = {}
    for name, labels, images in tests:
        source = DataSource(name, Path(images), Path(labels))
        categories = tuple(n for n in category_names([source]) if n in network.config.class_names)
        source = DataSource(name, Path(images), Path(labels), labels_only=categories)
        records, _ = read_source(source, network.config.class_names)
        found = Validator(records, network.config.class_names).detect(network)
        truth = ground_truth(records, network.config.class_names)
        ids = [network.config.class_names.index(n) for n in categories]
        masks = evaluate_results(truth, found, "segm", category_ids=ids)
        boxes = evaluate_results(truth, found, "bbox", category_ids=ids)
        rows = {}
        for mask_row, box_row in zip(masks.per_class, boxes.per_class, strict=True):
            row = precision_and_recall(truth, found, mask_row.category_id)
            row.update(
                mask_ap=mask_row.ap,
                mask_ap50=mask_row.ap50,
                box_ap=box_row.ap,
                objects=mask_row.num_objects,
            )
            rows[mask_row.name] = {key: round(float(value), 3) for key, value in row.items()}
        results[name] = {
            "images": len(records),
            "mask_ap": {
                "all": round(masks.ap, 3),
                "50": round(masks.ap50, 3),
                "75": round(masks.ap75, 3),
                "small": round(masks.ap_small, 3),
                "medium": round(masks.ap_medium, 3),
                "large": round(masks.ap_large, 3),
            },
            "classes": rows,
        }
        print(name, json.dumps(results[name], indent=1))
    return results


def choose(results: dict[str, Any]) -> list[str]:
    """Classes that are precise enough over all test sets together."""
    chosen = []
    for name in {name: None for test in results.values() for name in test["classes"]}:
        rows = [test["classes"][name] for test in results.values() if name in test["classes"]]
        right, shown = sum(r["right"] for r in rows), sum(r["shown"] for r in rows)
        print(f"{name}: {right:.0f} of {shown:.0f} shown are right")
        if shown >= MIN_DETECTIONS and right >= WANTED_PRECISION * shown:
            chosen.append(name)
    return chosen


def precision_and_recall(
    truth: CocoData, found: Sequence[dict[str, Any]], category_id: int
) -> dict[str, float]:
    """Greedy matching by score at ``THRESHOLD``, as COCO's at one IoU."""
    from pycocotools import mask as coco_mask

    right = shown = objects = 0
    for image in truth.images:
        wanted = [
            a for a in truth.annotations if a.image_id == image.id and a.category_id == category_id
        ]
        objects += sum(not a.is_crowd for a in wanted)
        detected = sorted(
            (
                r
                for r in found
                if r["image_id"] == image.id
                and r["category_id"] == category_id
                and r["score"] > THRESHOLD
            ),
            key=lambda r: -r["score"],
        )
        if not detected:
            continue
        size = [image.height_px, image.width_px]
        crowd = np.array([a.is_crowd for a in wanted], bool)
        ious = np.zeros((len(detected), 0))
        if wanted:
            ious = np.array(
                coco_mask.iou(
                    [r["segmentation"] for r in detected],
                    [{"size": size, "counts": a.counts} for a in wanted],
                    crowd.astype(np.uint8),
                )
            )
        free = np.ones(len(wanted), bool)
        for row in ious:
            candidates = np.where(free & ~crowd, row, 0)
            if candidates.size and candidates.max() >= MATCH_IOU:
                free[candidates.argmax()] = False
                right += 1
                shown += 1
            elif not (row[crowd] >= MATCH_IOU).any():
                shown += 1
    return {
        "precision": right / max(1, shown),
        "recall": right / max(1, objects),
        "right": right,
        "shown": shown,
    }


if __name__ == "__main__":
    sys.exit(main())
