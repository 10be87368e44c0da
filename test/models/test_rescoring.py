from __future__ import annotations

import zlib

import golden_recipe
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden_networks import recorded_arrays

from yolact_ros.models.yolact import MaskRescoring


@pytest.fixture(scope="module")
def rescoring() -> MaskRescoring:
    model = MaskRescoring(num_classes=80)
    prefix = "maskiou_net."
    shapes = {prefix + key: value for key, value in model.state_dict().items()}
    weights = golden_recipe.weights(shapes, num_classes=81)
    model.load_state_dict({key.removeprefix(prefix): value for key, value in weights.items()})
    return model.eval()


def soft_masks() -> torch.Tensor:
    """Six object masks of the recipe, multiplied by noise between 0.5 and 1."""
    crops = [
        golden_recipe.train_sample(index % 2)[2][index // 2][::4, ::4][:138, :138]
        for index in range(6)
    ]
    noise = np.random.default_rng(zlib.crc32(b"u.mi")).random((6, 1, 138, 138))
    noise = noise.astype(np.float32)
    return torch.from_numpy(np.stack(crops)[:, None] * (0.5 + 0.5 * noise))


def test_mask_iou_estimates_are_the_references(rescoring: MaskRescoring) -> None:
    with torch.inference_mode():
        estimates = rescoring(soft_masks())
    expected = recorded_arrays("unit")["maskiou/out"]
    np.testing.assert_allclose(estimates.numpy(), expected, atol=1e-4)


def test_small_masks_are_filled_up_with_background(rescoring: MaskRescoring) -> None:
    masks = soft_masks()[:, :, 40:80, 30:74]
    with torch.inference_mode():
        estimates = rescoring(masks)
        filled = rescoring(F.pad(masks, (0, 63 - 44, 0, 63 - 40)))
    torch.testing.assert_close(estimates, filled)


@pytest.mark.parametrize("side", [8, 62, 63, 64, 138])
def test_every_mask_size_and_no_masks_at_all_work(rescoring: MaskRescoring, side: int) -> None:
    with torch.inference_mode():
        assert rescoring(torch.rand(2, 1, side, side)).shape == (2, 80)
        assert rescoring(torch.rand(0, 1, side, side)).shape == (0, 80)
