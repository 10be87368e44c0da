"""Head, protonet and pyramid: order of rows and levels."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from yolact_ros.models.yolact import FeaturePyramid, PredictionHead, Protonet


def test_head_lists_its_rows_by_row_column_and_prior() -> None:
    torch.manual_seed(0)
    head = PredictionHead(channels=6, priors_per_cell=3, num_classes=4, num_prototypes=2)
    level = torch.randn(2, 6, 3, 5)
    with torch.inference_mode():
        offsets, logits, coefficients = head(level)
        shared = F.relu(head.upfeature[0](level))
        raw = [layer(shared) for layer in (head.bbox_layer, head.conf_layer, head.mask_layer)]
    assert offsets.shape == (2, 45, 4)
    assert logits.shape == (2, 45, 5)
    assert coefficients.shape == (2, 45, 2)
    for image in range(2):
        index = 0
        for row in range(3):
            for column in range(5):
                for prior in range(3):
                    cell = [maps[image, :, row, column] for maps in raw]
                    assert torch.equal(offsets[image, index], cell[0][prior * 4 :][:4])
                    assert torch.equal(logits[image, index], cell[1][prior * 5 :][:5])
                    assert torch.equal(
                        coefficients[image, index], torch.tanh(cell[2][prior * 2 :][:2])
                    )
                    index += 1


def test_prototypes_are_twice_as_large_as_p3_and_never_negative() -> None:
    torch.manual_seed(0)
    prototypes = Protonet(8, 6, num_prototypes=5)(torch.randn(2, 8, 7, 9))
    assert prototypes.shape == (2, 14, 18, 5)
    assert prototypes.min() == 0
    assert prototypes.is_contiguous()


def test_pyramid_adds_each_upsampled_level_to_the_lateral_one_below() -> None:
    torch.manual_seed(0)
    pyramid = FeaturePyramid((2, 3, 4), channels=5)
    c3, c4, c5 = torch.randn(1, 2, 9, 9), torch.randn(1, 3, 5, 5), torch.randn(1, 4, 3, 3)
    with torch.inference_mode():
        levels = pyramid((c3, c4, c5))
        # The published weights list the deepest level first.
        m5 = pyramid.lat_layers[0](c5)
        m4 = pyramid.lat_layers[1](c4) + F.interpolate(m5, (5, 5), mode="bilinear")
        m3 = pyramid.lat_layers[2](c3) + F.interpolate(m4, (9, 9), mode="bilinear")
        p5 = F.relu(pyramid.pred_layers[0](m5))
        p6 = pyramid.downsample_layers[0](p5)
        expected = [
            F.relu(pyramid.pred_layers[2](m3)),
            F.relu(pyramid.pred_layers[1](m4)),
            p5,
            p6,
            pyramid.downsample_layers[1](p6),
        ]
    for level, wanted in zip(levels, expected, strict=True):
        torch.testing.assert_close(level, wanted)
    assert levels[3].min() < 0
    assert [level.shape[-1] for level in levels] == [9, 5, 3, 2, 1]


@pytest.mark.parametrize("num_prototypes", [1, 7, 256])
def test_any_number_of_prototypes_works(num_prototypes: int) -> None:
    head = PredictionHead(4, 3, num_classes=2, num_prototypes=num_prototypes)
    assert head(torch.randn(1, 4, 2, 2))[2].shape == (1, 12, num_prototypes)
    assert Protonet(4, 4, num_prototypes)(torch.randn(1, 4, 2, 2)).shape[-1] == num_prototypes
