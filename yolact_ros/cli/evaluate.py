"""``yolact evaluate``: accuracy by the COCO protocol and speed per stage, side by side."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from yolact_ros.cli.defect_lines import print_defects
from yolact_ros.cli.model_file import open_model, open_predictor
from yolact_ros.cli.options import add_options, listed, require_positive
from yolact_ros.datasets.categories import match_categories
from yolact_ros.datasets.coco_data import CocoData
from yolact_ros.datasets.coco_file import read_coco_file
from yolact_ros.datasets.coco_results import CocoResult, read_results
from yolact_ros.datasets.defects import Defects
from yolact_ros.datasets.values import Id
from yolact_ros.dependencies import require
from yolact_ros.errors import ConfigError
from yolact_ros.evaluation.accuracy_tables import (
    Evaluation,
    StageSummary,
    class_table,
    main_table,
    to_json,
)
from yolact_ros.evaluation.coco import evaluate_results
from yolact_ros.evaluation.dataset_images import DatasetImages
from yolact_ros.evaluation.output_folder import make_output_folder, write_json
from yolact_ros.inference.settings import PredictionSettings
from yolact_ros.models.zoo import BUNDLED

if TYPE_CHECKING:
    from yolact_ros.inference.predictor import Predictor
    from yolact_ros.prediction import Prediction

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Any) -> None:
    """Add ``evaluate`` to the subparsers of ``yolact``."""
    parser = subparsers.add_parser(
        "evaluate",
        help="box and mask AP, per class, and speed",
        description="Scores models, or results files made by others, on a COCO data set. "
        "Several models, input sizes and kinds of NMS are evaluated side by side.",
    )
    data = parser.add_argument_group("data")
    data.add_argument(
        "--annotations", type=Path, required=True, metavar="FILE", help="COCO annotation file"
    )
    data.add_argument("--images", type=Path, metavar="FOLDER", help="of the images")
    data.add_argument("--limit", type=int, metavar="N", help="the first N images only")
    data.add_argument(
        "--categories",
        metavar="A,B",
        help="score these only; `all` scores also those that the model does not know (default: "
        "those that a model knows, all of a results file)",
    )
    model = parser.add_argument_group("what is scored")
    model.add_argument(
        "--model", nargs="+", default=[BUNDLED], help="names or paths (default: %(default)s)"
    )
    add_options(model, "class-names")
    model.add_argument(
        "--results", nargs="+", type=Path, metavar="FILE", help="COCO results instead of a model"
    )
    add_options(model, "input-size", nargs="+", default=[0])
    add_options(model, "nms", nargs="+")
    model.add_argument(
        "--k", type=int, default=0, help="number of prototypes that the models must have"
    )
    add_options(model, "device", "runtime", "precision")
    add_options(
        model,
        "score-threshold",
        default=0.0,
        help="least score (default: %(default)g, as the paper: boxes below 0.05 in every class "
        "never count)",
    )
    add_options(model, "top-k", default=100)
    add_options(model, "nms-threshold")
    output = parser.add_argument_group("output")
    output.add_argument("--per-class", action="store_true", help="a table for every class too")
    output.add_argument(
        "--pascal", action="store_true", help="AP at 0.5 and 0.7 instead of COCO's columns"
    )
    add_options(output, "json")
    output.add_argument(
        "--save-results",
        type=Path,
        metavar="FOLDER",
        help="keep each run's detections as a COCO results file",
    )


def run(args: argparse.Namespace) -> int:
    """Evaluate and print the tables; 0."""
    require_positive(args, "limit")
    for folder in (args.save_results, args.json and args.json.parent):
        if folder is not None:
            make_output_folder(folder)
    require("pycocotools.coco", extra="evaluate")
    truth = read_coco_file(args.annotations, args.images)
    print_defects(args.annotations, truth.defects)
    evaluations = []
    for evaluation in _score_files(args, truth) if args.results else _score_models(args, truth):
        evaluations.append(evaluation)
        if args.per_class:
            print(f"\n{' '.join(evaluation.labels.values())}\n{class_table(evaluation)}")
    print("\n" + main_table(evaluations, pascal=args.pascal))
    measured = evaluations[0].masks or evaluations[0].boxes
    if measured is not None:
        names = ", ".join(row.name for row in measured.per_class[:8])
        more = ", ..." if len(measured.per_class) > 8 else ""
        images = f"{measured.num_images} image{'s' * (measured.num_images != 1)}"
        print(f"\n{images}, {len(measured.per_class)} classes: {names}{more}")
    if args.json is not None:
        write_json(args.json, to_json(evaluations))
    return 0


def _score_files(args: argparse.Namespace, truth: CocoData) -> Iterator[Evaluation]:
    for path in args.results:
        results, defects = read_results(path, truth)
        print_defects(path, defects)
        categories = _categories(args.categories or "all", truth, set())
        image_ids = [image.id for image in truth.images[: args.limit]]
        yield _evaluation(
            {"results": path.name}, truth, results, categories, image_ids, defects=defects,
            masks=not results or any("segmentation" in row for row in results),
            boxes=not results or any("bbox" in row for row in results),
        )  # fmt: skip


def _score_models(args: argparse.Namespace, truth: CocoData) -> Iterator[Evaluation]:
    if args.images is None:
        raise ConfigError("--images names the folder of the data set's images")
    images = DatasetImages(truth, args.images, args.limit)
    runs = (
        (model, checkpoint.build(num_prototypes=args.k, input_size_px=input_size_px))
        for model in args.model
        for checkpoint in [open_model(model, args.class_names, input_size_px=max(args.input_size))]
        for input_size_px in args.input_size
    )
    for model, network in runs:
        config = network.config
        category_ids = match_categories(config.class_names, truth.categories)
        known = {category_id for category_id in category_ids if category_id is not None}
        categories = _categories(args.categories, truth, known)
        settings = PredictionSettings(
            score_threshold=args.score_threshold,
            top_k=args.top_k,
            nms_threshold=args.nms_threshold,
        )
        predictor = open_predictor(network, args, settings)
        for nms in args.nms or [network.decoder.nms]:
            predictor.settings = replace(settings, nms=nms)
            labels = {
                "model": Path(model).stem,
                "size": str(config.input_size_px),
                "k": str(config.num_prototypes),
                "nms": nms,
            }
            if (args.runtime, args.precision) != ("eager", "auto"):
                # Its name and precision, without the reason.
                labels["runtime"] = "-".join(predictor.runtime.split()[:2])
            results, stages = _predict(predictor, images, category_ids, " ".join(labels.values()))
            if args.save_results is not None:
                path = args.save_results / f"{'_'.join(labels.values())}.json"
                write_json(path, results, indent=None)
            yield _evaluation(labels, truth, results, categories, images.ids, stages=stages)
        predictor.close()


def _predict(
    predictor: Predictor,
    images: DatasetImages,
    category_ids: Sequence[Id | None],
    title: str,
) -> tuple[list[CocoResult], dict[str, StageSummary]]:
    predictor.warm_up()
    results: list[CocoResult] = []
    times_ms: dict[str, list[float]] = {}
    for image_id, image_bgr in tqdm(images, desc=title, unit="image", leave=False, disable=None):
        prediction, stages_ms = _timed(predictor, image_bgr)
        results += prediction.to_coco(image_id, category_ids)
        for name, value in stages_ms.items():
            times_ms.setdefault(name, []).append(value)
    return results, {name: StageSummary.of(values) for name, values in times_ms.items()}


def _timed(
    predictor: Predictor, image_bgr: NDArray[np.uint8]
) -> tuple[Prediction, dict[str, float]]:
    """A prediction, and what its stages took; NMS and masks apart, as the paper compares them."""
    begun_s = time.perf_counter()
    frame = predictor.detect(image_bgr)
    if predictor.device.type == "cuda":
        import torch

        # Detection does not wait for the device; its time would be counted as the masks'.
        torch.cuda.synchronize(predictor.device)
    detected_ms = (time.perf_counter() - begun_s) * 1e3
    prediction, _ = predictor.finish(frame)
    total_ms = (time.perf_counter() - begun_s) * 1e3
    before_ms = frame.times.preprocess_ms + frame.times.inference_ms
    return prediction, {
        "input": frame.times.preprocess_ms,
        "network": frame.times.inference_ms,
        "nms": detected_ms - before_ms,
        "masks": total_ms - detected_ms,
        "total": total_ms,
    }


def _evaluation(
    labels: dict[str, str],
    truth: CocoData,
    results: Sequence[CocoResult],
    category_ids: Sequence[Id],
    image_ids: Sequence[Id],
    *,
    masks: bool = True,
    boxes: bool = True,
    stages: dict[str, StageSummary] | None = None,
    defects: Defects | None = None,
) -> Evaluation:
    wrong = Defects()
    for found in (truth.defects, defects or Defects()):
        wrong.merge(found)
    selection = {"category_ids": category_ids, "image_ids": image_ids}
    return Evaluation(
        labels=labels,
        masks=evaluate_results(truth, results, "segm", **selection) if masks else None,
        boxes=evaluate_results(truth, results, "bbox", **selection) if boxes else None,
        stages=stages or {},
        defects=wrong,
    )


def _categories(names: str | None, truth: CocoData, known: set[Id]) -> list[Id]:
    """Category ids to score, in the data set's order."""
    rows = truth.categories
    if names == "all":
        return [row.id for row in rows]
    if names is None:
        chosen = [row.id for row in rows if row.id in known]
        if len(chosen) < len(rows):
            print(
                f"scoring {len(chosen)} of the data set's {len(rows)} categories: the others are "
                "unknown to the model (--categories all counts them as not found)",
                file=sys.stderr,
            )
        return chosen
    there = list(dict.fromkeys(row.name for row in rows))
    wanted = listed(names)
    unknown = [name for name in wanted if name not in there]
    if unknown or not wanted:
        raise ConfigError(
            f"the data set has no category {unknown[0] if unknown else names!r}; it has "
            f"{', '.join(there)}"
        )
    return [row.id for name in wanted for row in rows if row.name == name]
