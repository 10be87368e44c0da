"""AP with a 95 % interval, and precision at score thresholds, of COCO results files.

    yolact evaluate --model MODEL --annotations val.json --images val/ --save-results results
    python benchmarks/accuracy_intervals.py --annotations val.json results/*.json

Intervals come from drawing the images anew 500 times (percentile bootstrap). A class of which a
draw has no object is left out of that draw's mean. Precision and recall count the 15 best
detections of an image, as the node publishes them, at IoU 0.5 of the masks, crowds ignored.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from yolact_ros.datasets.coco_data import CocoData
from yolact_ros.datasets.coco_file import read_coco_file
from yolact_ros.evaluation.coco import accumulate, count_objects, match_results, summarize

THRESHOLDS = (0.3, 0.35, 0.4, 0.45, 0.5)
TOP_K = 15


def main() -> None:
    """Print a few lines for every file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("results", nargs="+", type=Path)
    parser.add_argument("--annotations", type=Path, required=True)
    parser.add_argument("--categories", default="", help="names with commas between; default: all")
    parser.add_argument("--resamples", type=int, default=500)
    parser.add_argument("--per-class", action="store_true")
    args = parser.parse_args()
    data = read_coco_file(args.annotations, args.annotations.parent)
    names = [name for name in args.categories.split(",") if name]
    categories = tuple(c for c in data.categories if not names or c.name in names)
    data = CocoData(data.images, data.annotations, categories)
    for file in args.results:
        results = json.loads(file.read_text())
        print(file.name)
        for kind in ("segm", "bbox"):
            print(f"  {kind}: {ap_line(data, results, kind, args.resamples, args.per_class)}")
        for threshold in THRESHOLDS:
            print(f"  at {threshold:.2f}: {operating_point(data, results, threshold)}")


def ap_line(
    data: CocoData, results: list[dict[str, Any]], kind: Any, resamples: int, per_class: bool
) -> str:
    """AP, its interval, and AP50, AP75, S, M, L."""
    evaluator = match_results(data, results, kind)  # type: ignore[arg-type]
    accumulate(evaluator)
    counts = count_objects(evaluator)
    metrics = summarize(evaluator, data.categories, counts, len(data.images))
    whole = np.array(evaluator.evalImgs, dtype=object)
    grid = whole.reshape(len(data.categories), -1, len(data.images))
    grid = grid[:, :1]  # objects of every size
    for params in (evaluator.params, evaluator._paramsEval):
        params.areaRng, params.areaRngLbl = params.areaRng[:1], params.areaRngLbl[:1]
    random = np.random.default_rng(0)
    drawn = []
    for _ in range(resamples):
        images = random.integers(0, grid.shape[2], grid.shape[2])
        evaluator.evalImgs = list(grid[:, :, images].ravel())
        accumulate(evaluator)
        precision = evaluator.eval["precision"][..., 0, -1]
        drawn.append(precision[precision > -1].mean())
    low, high = np.percentile(drawn, (2.5, 97.5)) if drawn else (np.nan, np.nan)
    others = (metrics.ap50, metrics.ap75, metrics.ap_small, metrics.ap_medium, metrics.ap_large)
    line = f"AP {100 * metrics.ap:.1f} ({100 * low:.1f}..{100 * high:.1f}), 50 75 S M L: "
    line += " ".join(f"{100 * value:.1f}" for value in others)
    if per_class:
        rows = [row for row in metrics.per_class if row.num_objects]
        line += "\n    " + ", ".join(
            f"{row.name} {100 * row.ap:.1f} ({row.num_objects})" for row in rows
        )
    return line


def operating_point(data: CocoData, results: list[dict[str, Any]], threshold: float) -> str:
    """Precision and recall of what a user sees at this score threshold."""
    by_image: dict[Any, list[dict[str, Any]]] = {}
    for row in results:
        if row["score"] > threshold:
            by_image.setdefault(row["image_id"], []).append(row)
    shown = [
        row
        for rows in by_image.values()
        for row in sorted(rows, key=lambda row: -row["score"])[:TOP_K]
    ]
    evaluator = match_results(data, shown, "segm")  # type: ignore[arg-type]
    right = wrong = 0
    for entry in evaluator.evalImgs:
        if entry is None or entry["aRng"] != evaluator.params.areaRng[0]:
            continue
        counted = ~np.asarray(entry["dtIgnore"][0], bool)
        matched = np.asarray(entry["dtMatches"][0]) > 0
        right += int((matched & counted).sum())
        wrong += int((~matched & counted).sum())
    objects = sum(count_objects(evaluator))
    return (
        f"precision {right / max(right + wrong, 1):.3f} of {right + wrong}, "
        f"recall {right / max(objects, 1):.3f} of {objects}"
    )


if __name__ == "__main__":
    main()
