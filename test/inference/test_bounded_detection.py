"""Detection from the best candidates alone, against softmax and Fast NMS of everything."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import pytest
import torch

from yolact_ros.config import variant
from yolact_ros.inference.candidates import CandidateSearch
from yolact_ros.inference.postprocess import PostprocessConfig, Postprocessor
from yolact_ros.ops.boxes import decode_boxes, pairwise_iou
from yolact_ros.structures import Detections, NetworkOutput

NUM_CLASSES = 12
CONFIG = variant("yolact_light", class_names=tuple("abcdefghijkl"), num_prototypes=4)
NUM_PRIORS = 3001

LOGITS = (
    "background",
    "sure",
    "unsure",
    "extreme",
    "one class",
    "whole numbers",
    "equal",
    "saturated",
    "halves",
    "hidden from the sample",
)
BOXES = ("anywhere", "crowd", "same", "apart", "mostly infinite")


class Scene(NamedTuple):
    output: NetworkOutput
    priors: torch.Tensor


def make_scene(logits_kind: str, boxes_kind: str, seed: int = 0) -> Scene:
    random = np.random.default_rng(seed)
    priors = np.concatenate(
        (random.uniform(0, 1, (NUM_PRIORS, 2)), random.uniform(0.05, 0.4, (NUM_PRIORS, 2))), axis=1
    )
    offsets = random.normal(size=(NUM_PRIORS, 4))
    if boxes_kind in ("crowd", "same"):
        priors[:] = 0.5, 0.5, 0.3, 0.3
        offsets *= 0.1 if boxes_kind == "crowd" else 0
    elif boxes_kind == "apart":
        places = np.arange(NUM_PRIORS)
        priors[:, 0], priors[:, 1] = places % 60 / 60, places // 60 / 60
        priors[:, 2:] = 1 / 128
        offsets[:] = 0
    elif boxes_kind == "mostly infinite":
        offsets[random.permutation(NUM_PRIORS)[: NUM_PRIORS * 3 // 4], 2] = 5000
    logits = make_logits(logits_kind, random)
    output = NetworkOutput(
        torch.from_numpy(offsets.astype(np.float32))[None],
        torch.from_numpy(logits.astype(np.float32))[None],
        torch.arange(NUM_PRIORS, dtype=torch.float32)[None, :, None].expand(1, -1, 4) / 4096,
        torch.zeros(1, 8, 8, 4),
    )
    return Scene(output, torch.from_numpy(priors.astype(np.float32)))


def make_logits(kind: str, random: np.random.Generator) -> np.ndarray:
    logits = random.normal(size=(NUM_PRIORS, NUM_CLASSES + 1))
    winners = random.integers(1, NUM_CLASSES + 1, NUM_PRIORS)
    if kind == "background":
        logits[:, 0] += 9
        logits[:400, 0] -= 6
    elif kind == "sure":
        logits[np.arange(NUM_PRIORS), winners] += random.uniform(0, 12, NUM_PRIORS)
    elif kind == "extreme":
        logits *= 40_000
    elif kind == "one class":
        logits[:, 5] += 6
    elif kind == "whole numbers":
        logits = np.round(logits)
    elif kind == "equal":
        logits[:] = -9
        logits[:, 3:9] = 0
    elif kind == "saturated":
        logits[:] = 0
        logits[np.arange(NUM_PRIORS), winners] = 200
    elif kind == "halves":
        # 1, 2, 4 or 8 equal classes: probabilities of exactly 1, 1/2, 1/4 or 1/8.
        logits[:] = -200
        for row in range(NUM_PRIORS):
            logits[row, random.permutation(NUM_CLASSES)[: 2 ** (row % 4)] + 1] = 0
    elif kind == "hidden from the sample":
        logits[:, 0] += 12
        rows = np.flatnonzero(np.arange(NUM_PRIORS) % 11 > 0)
        logits[rows, 0] -= 12
    return logits


def detect_densely(scene: Scene, settings: PostprocessConfig) -> list[tuple[int, int, float]]:
    """Row, class and score of each detection; every step on all boxes.

    The operations on float32 are those of the fast form, so that equal scores are equal here too.
    """
    logits = scene.output.class_logits[0].numpy()
    logits = logits - logits.max(axis=1, keepdims=True)
    odds = cv2.exp(np.maximum(logits, -80))
    totals = np.zeros(NUM_PRIORS, np.float32)
    for column in odds.T:
        totals += column
    scores = (odds / totals[:, None])[:, 1:]
    class_ids = (
        np.arange(NUM_CLASSES) if settings.class_ids is None else np.sort(settings.class_ids)
    )
    scores = scores[:, class_ids]
    boxes = decode_boxes(scene.output.box_offsets[0], scene.priors)
    finite = boxes.isfinite().all(dim=1).numpy()
    kept = np.flatnonzero((scores.max(axis=1) > 0.05) & finite)
    found = []
    for column, class_id in enumerate(class_ids):
        order = np.argsort(-scores[kept, column], kind="stable")[:200]
        ranked = kept[order]
        near = pairwise_iou(boxes[ranked], boxes[ranked]).numpy() > np.float32(0.5)
        for rank, row in enumerate(ranked):
            score = scores[row, column]
            if not near[:rank, rank].any() and score > max(settings.score_threshold, 2e-35):
                found.append((int(row), int(class_id), float(score)))
    found.sort(key=lambda item: (-item[2], item[1], item[0]))
    return found[: settings.top_k]


def rows_of(detections: Detections) -> list[tuple[int, int, float]]:
    count = int(detections.counts[0])
    rows = (detections.coefficients[0, :count, 0] * 4096).long().tolist()
    classes, scores = detections.class_ids[0, :count], detections.scores[0, :count]
    return list(zip(rows, classes.tolist(), scores.tolist(), strict=True))


@pytest.mark.parametrize("boxes", BOXES)
@pytest.mark.parametrize("logits", LOGITS)
def test_detections_are_those_of_everything_in_every_scene(logits: str, boxes: str) -> None:
    scene = make_scene(logits, boxes)
    postprocess = Postprocessor(CONFIG, scene.priors)
    for settings in (
        PostprocessConfig(0.0, top_k=100),
        PostprocessConfig(0.25, top_k=100),
        PostprocessConfig(0.5, top_k=15),
        PostprocessConfig(0.0, top_k=100, class_ids=(9, 2, 3)),
    ):
        assert rows_of(postprocess.detect(scene.output, settings)) == detect_densely(
            scene, settings
        )


@pytest.mark.parametrize("seed", range(8))
def test_equal_scores_at_the_edge_of_the_best_change_nothing(seed: int) -> None:
    """Few different logits, so that ever other ties lie where the best candidates end."""
    random = np.random.default_rng(seed)
    scene = make_scene("sure", ("anywhere", "crowd")[seed % 2], seed)
    levels = random.integers(2, 6)
    scene.output.class_logits[:] = torch.from_numpy(
        random.integers(0, levels, (1, NUM_PRIORS, NUM_CLASSES + 1)).astype(np.float32) * 3
    )
    settings = PostprocessConfig(float(random.choice([0.0, 0.3])), top_k=100)
    found = Postprocessor(CONFIG, scene.priors).detect(scene.output, settings)
    assert rows_of(found) == detect_densely(scene, settings)


@pytest.mark.parametrize("logits", [kind for kind in LOGITS if kind != "hidden from the sample"])
def test_the_best_candidates_are_few_and_what_is_above_their_limits_is_complete(
    logits: str,
) -> None:
    scene = make_scene(logits, "anywhere")
    arguments = (scene.output.class_logits[0], scene.output.box_offsets[0], scene.priors, 0.05)
    best = CandidateSearch(*arguments).best(num_pairs=300)
    everything = CandidateSearch(*arguments).all()
    assert best is not None
    assert len(best.rows) < 1000
    pairs, all_pairs = (
        {
            (int(found.rows[row]), int(class_id)): float(found.class_scores[row, class_id])
            for row, class_id in np.argwhere(found.class_scores > best.complete_above)
        }
        for found in (best, everything)
    )
    missing = all_pairs.keys() - pairs.keys()
    assert {key: all_pairs[key] for key in pairs} == pairs
    assert len(pairs) >= 75
    # Some may be missing where ties end, behind all others.
    order = {key: (-score, key[1], key[0]) for key, score in all_pairs.items()}
    assert max(map(order.get, pairs)) < min(map(order.get, missing), default=(1, 0, 0))


def test_infinite_logits_in_the_sample_do_not_make_all_boxes_candidates() -> None:
    scene = make_scene("unsure", "anywhere")
    scene.output.class_logits[0, ::11, 5] = float("inf")
    arguments = (scene.output.class_logits[0], scene.output.box_offsets[0], scene.priors, 0.05)
    assert CandidateSearch(*arguments).best(num_pairs=300) is None
    scene.output.class_logits[0, 44:, 5] = 0
    best = CandidateSearch(*arguments).best(num_pairs=300)
    assert best is not None
    assert 100 < len(best.rows) < 1000


def test_infinite_logits_leave_out_their_box_alone() -> None:
    scene = make_scene("sure", "anywhere")
    settings = PostprocessConfig(0.0, top_k=100)
    postprocess = Postprocessor(CONFIG, scene.priors)
    first, second = rows_of(postprocess.detect(scene.output, settings))[:2]
    scene.output.class_logits[0, first[0], 4] = float("inf")
    # A class that cannot be: the others share its probability.
    scene.output.class_logits[0, second[0], (second[1] + 1) % NUM_CLASSES + 1] = -float("inf")
    found = rows_of(postprocess.detect(scene.output, settings))
    assert first[0] not in [row for row, _, _ in found]
    assert found[0][:2] == second[:2]
