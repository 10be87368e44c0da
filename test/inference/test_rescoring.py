"""YOLACT++'s rescoring of masks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from golden_networks import golden_input, golden_network, recorded_arrays
from made_up_outputs import (
    EVERYTHING,
    NUM_CLASSES,
    made_up_output,
    processor,
    rows_of,
)
from torch import Tensor

from yolact_ros.config import variant
from yolact_ros.errors import YolactError
from yolact_ros.inference.postprocess import Postprocessor
from yolact_ros.ops.masks import assemble_masks


def test_nan_from_the_rescoring_network_is_an_error_too() -> None:
    output = made_up_output()
    postprocess = processor(
        mask_rescoring=lambda masks: torch.full((len(masks), NUM_CLASSES), float("nan"))
    )
    with pytest.raises(YolactError, match="NaN scores"):
        postprocess.assemble(postprocess.detect(output, EVERYTHING), output.prototypes[0], 60, 80)


def test_rescored_scores_of_the_golden_network_are_the_references() -> None:
    config = variant("yolact_plus_resnet50")
    network = golden_network(config)
    with torch.inference_mode():
        output = network(golden_input(config))
    postprocess = Postprocessor(config, network.decoder, mask_rescoring=network.mask_rescoring)
    found = postprocess.detect(output, EVERYTHING)
    recorded = recorded_arrays("samples_all_configs")["yolact_plus_resnet50/maskiou_scores"]
    # The reference lists them in the order before rescoring.
    np.testing.assert_allclose(found.scores, np.sort(recorded)[::-1], atol=1e-4)


def test_rescoring_multiplies_scores_and_sorts_again() -> None:
    output = made_up_output()
    plain = processor().detect(output, EVERYTHING)
    quality = torch.rand(NUM_CLASSES, generator=torch.Generator().manual_seed(5))
    seen: list[Tensor] = []

    def network(masks: Tensor) -> Tensor:
        seen.append(masks)
        return quality.expand(len(masks), -1)

    rescored = processor(mask_rescoring=network).detect(output, EVERYTHING)
    expected = plain.scores * quality.numpy()[plain.class_ids]
    order = np.argsort(-expected, kind="stable")
    np.testing.assert_array_equal(rescored.scores, expected[order])
    np.testing.assert_array_equal(rescored.class_ids, plain.class_ids[order])
    np.testing.assert_array_equal(rescored.boxes_xyxy, plain.boxes_xyxy[order])
    np.testing.assert_array_equal(rescored.coefficients, plain.coefficients[order])
    soft = assemble_masks(
        output.prototypes[0],
        torch.from_numpy(plain.coefficients),
        torch.from_numpy(plain.boxes_xyxy),
    )
    torch.testing.assert_close(seen[0], soft[:, None])


def test_rescoring_sees_more_than_top_k_since_it_changes_the_order() -> None:
    output = made_up_output()

    def network(masks: Tensor) -> Tensor:
        return torch.arange(1.0, len(masks) + 1)[:, None].expand(-1, NUM_CLASSES)

    everything = processor(mask_rescoring=network).detect(output, EVERYTHING)
    best = processor(mask_rescoring=network).detect(output, replace(EVERYTHING, top_k=5))
    assert rows_of(best) == rows_of(everything)[:5]


def test_rescoring_an_image_without_instances_does_nothing() -> None:
    output = made_up_output()
    output.class_logits[..., 0] = 50
    seen: list[Tensor] = []
    found = processor(mask_rescoring=seen.append).detect(output, EVERYTHING)
    assert len(found) == 0
    assert not seen
