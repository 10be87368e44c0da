"""Whatever is wrong with a COCO file: no traceback, nothing lost uncounted, and AP 100 for it."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from coco_content import OBJECTS, polygon, result_rows, truth_content, uncompressed
from hypothesis import given, settings
from hypothesis import strategies as st

from yolact_ros.datasets.coco_data import CocoData
from yolact_ros.datasets.coco_file import parse_coco
from yolact_ros.datasets.coco_results import parse_results
from yolact_ros.datasets.defects import Defects
from yolact_ros.errors import YolactError
from yolact_ros.evaluation.bag.truth.truth_file import truth_from_data
from yolact_ros.evaluation.coco import evaluate_results
from yolact_ros.ops.coco_rle import mask_area
from yolact_ros.training.annotations import DataSource, read_source

pytest.importorskip("pycocotools")

bounded = settings(
    max_examples=150,
)

numbers = st.one_of(
    st.integers(-3, 70),
    st.sampled_from([-1, 2**31, 2**63, 10**30, 10**400]),
    st.floats(allow_nan=True, allow_infinity=True),
)
words = st.sampled_from(
    ["", " ", "1", "2.0", "-1", "nan", "1e999", "bolt", "a\nb", "\ud800", "\0"]
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, words),
    lambda inner: st.one_of(
        st.lists(inner, max_size=6),
        st.dictionaries(
            st.sampled_from(["size", "counts", "id", "name", "sec"]), inner, max_size=3
        ),
    ),
    max_leaves=8,
)
KEYS = (
    "id", "image_id", "category_id", "bbox", "segmentation", "iscrowd", "area", "score", "name",
    "file_name", "width", "height", "stamp", "stamp_ns", "index",
)  # fmt: skip


@st.composite
def spoiled(draw: st.DrawFn, content: Any) -> Any:
    """JSON with a few of its values replaced, removed or repeated."""
    content = copy.deepcopy(content)
    lists = [content] if isinstance(content, list) else list(content.values())
    for _ in range(draw(st.integers(1, 5))):
        rows = draw(st.sampled_from(lists))
        place = draw(st.integers(0, len(rows) - 1)) if rows else 0
        action = draw(st.sampled_from(["replace", "remove", "repeat", "row", "deep", "drop"]))
        row = rows[place] if rows else None
        if action == "repeat" and rows:
            rows.insert(draw(st.integers(0, len(rows))), copy.deepcopy(row))
        elif action == "row":
            rows.append(draw(values))
        elif action == "drop" and rows:
            rows.pop(place)
        elif isinstance(row, dict):
            key = draw(st.sampled_from(KEYS))
            if action == "remove":
                row.pop(key, None)
            elif action == "deep" and isinstance(row.get("segmentation"), list | dict):
                row["segmentation"] = draw(nearly(row["segmentation"]))
            else:
                row[key] = draw(values)
    return content


@st.composite
def nearly(draw: st.DrawFn, segmentation: Any) -> Any:
    """A mask with one of its numbers, or its text, changed."""
    changed = copy.deepcopy(segmentation)
    part = changed
    while isinstance(part, list | dict) and part:
        keys = range(len(part)) if isinstance(part, list) else list(part)
        key = draw(st.sampled_from(keys))
        if not isinstance(part[key], list | dict) or draw(st.integers(0, 3)) == 0:
            text = st.text(st.characters(min_codepoint=40, max_codepoint=120), max_size=12)
            part[key] = draw(st.one_of(values, text))
            break
        part = part[key]
    return changed


def num_left_out(noun: str, defects: Defects) -> int:
    rows = defects.to_dict()["left_out"]
    return sum(row["count"] for kind, row in rows.items() if kind.startswith(noun))


def own_results(data: CocoData) -> list[dict[str, Any]]:
    """Results of a network that finds exactly what is annotated."""
    sizes = {image.id: [image.height_px, image.width_px] for image in data.images}
    return [
        {
            "image_id": row.image_id,
            "category_id": row.category_id,
            "score": 0.5,
            "bbox": list(row.bbox_xywh),
            **(
                {"segmentation": {"size": sizes[row.image_id], "counts": row.counts}}
                if row.counts is not None
                else {}
            ),
        }
        for row in data.annotations
    ]


def is_perfect(ap: float) -> bool:
    return math.isnan(ap) or ap == pytest.approx(1.0)


@given(spoiled(truth_content()))
@bounded
def test_of_any_annotation_file_everything_is_kept_or_counted(content: Any) -> None:
    before = {key: len(rows) for key, rows in content.items()}
    data = parse_coco(content)
    for noun, records in (
        ("image", data.images),
        ("annotation", data.annotations),
        ("categor", data.categories),
    ):
        (key,) = (key for key in before if key.startswith(noun))
        assert len(records) + num_left_out(noun, data.defects) == before[key]
    json.dumps(data.defects.to_dict(), allow_nan=False)
    assert all(line.isprintable() for line in data.defects.report().splitlines())
    ids = {image.id for image in data.images}, {row.id for row in data.categories}
    assert all(row.image_id in ids[0] and row.category_id in ids[1] for row in data.annotations)


@given(spoiled(truth_content()))
@bounded
def test_results_made_from_any_annotation_file_score_100(content: Any) -> None:
    data = parse_coco(content)
    results, defects = parse_results(own_results(data), data)
    assert len(results) == len(data.annotations)
    assert not num_left_out("result", defects)
    # An object without an area is found by nobody, as in COCO's own program.
    sizes = {image.id: image.height_px * image.width_px for image in data.images}
    if all(row.bbox_xywh[2] * row.bbox_xywh[3] > 0 for row in data.annotations):
        assert is_perfect(evaluate_results(data, results, "bbox").ap)
    if all(
        not row.counts or mask_area(row.counts, sizes[row.image_id]) for row in data.annotations
    ):
        assert is_perfect(evaluate_results(data, results, "segm").ap)


@given(spoiled(result_rows()))
@bounded
def test_of_any_results_file_everything_is_scored_or_counted(rows: Any) -> None:
    truth, before = parse_coco(truth_content()), len(rows)
    try:
        results, defects = parse_results(rows, truth)
    except YolactError:
        return
    assert len(results) + num_left_out("result", defects) == before
    for iou_type in ("bbox", "segm"):
        assert 0 <= evaluate_results(truth, results, iou_type).ap <= 1


@given(spoiled(truth_content()))
@bounded
def test_training_and_bags_read_any_annotation_file(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    for name in ("1.png", "2.png"):
        (tmp_path / name).touch()
    names = ("bolt", "nut")
    try:
        records, defects = read_source(DataSource("any", tmp_path, path), names)
    except YolactError:
        pass
    else:
        lost = sum(num_left_out(noun, defects) for noun in ("annotation", "object", "box"))
        data = parse_coco(copy.deepcopy(content), tmp_path, needs_masks=True)
        others = {row.id for row in data.categories if row.name not in names}
        background = sum(row.category_id in others for row in data.annotations)
        kept = sum(len(record.objects) for record in records)
        assert kept + lost + background == len(content["annotations"])
    try:
        truth_from_data(parse_coco(content))
    except YolactError:
        return


NORMALISATIONS: dict[str, Callable[[dict[str, Any]], object]] = {
    "ids from 0": lambda row: row.update(id=row["id"] - 1),
    "no ids": lambda row: row.pop("id"),
    "the same id": lambda row: row.update(id=5),
    "ids as text": lambda row: row.update(
        id=f"6f1c-{row['id']}", image_id=str(row["image_id"]), category_id=str(row["category_id"])
    ),
    "no box": lambda row: row.update(bbox=None),
    "box as text": lambda row: row.update(bbox=[str(value) for value in row["bbox"]]),
    "no area": lambda row: row.pop("area"),
    "no iscrowd": lambda row: row.update(iscrowd=None),
    "flat polygon": lambda row: row.update(segmentation=row["segmentation"][0]),
    "plain run lengths": lambda row: row.update(segmentation=uncompressed(*row["bbox"][:2])),
    "two parts": lambda row: row.update(segmentation=[polygon(*row["bbox"][:2]), [1, 2]]),
}


@given(
    st.lists(
        st.tuples(st.integers(0, len(OBJECTS) - 1), st.sampled_from(sorted(NORMALISATIONS))),
        unique_by=lambda item: item[0],
    )
)
@bounded
def test_what_is_normalised_scores_100_with_the_results_of_the_good_file(
    changes: list[tuple[int, str]],
) -> None:
    content = truth_content()
    for place, name in changes:
        NORMALISATIONS[name](content["annotations"][place])
    data = parse_coco(content)
    results, defects = parse_results(result_rows(), data)
    assert not defects
    for iou_type in ("bbox", "segm"):
        assert evaluate_results(data, results, iou_type).ap == pytest.approx(1.0)
