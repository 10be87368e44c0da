"""Small networks of both families for the device pipeline, and what it is held to."""

from __future__ import annotations

import numpy as np
import torch
from golden_networks import smallest

from yolact_ros.inference.predictor import Predictor
from yolact_ros.inference.preprocess import normalization_of, prepare_image
from yolact_ros.inference.settings import PredictionSettings
from yolact_ros.models import Yolact, build_network
from yolact_ros.models.nano import NanoConfig, YolactNano
from yolact_ros.models.network import Network
from yolact_ros.prediction import Prediction

EVERYTHING = PredictionSettings(score_threshold=0.0, top_k=30)


def small_network(name: str = "yolact_light", **overrides: object) -> Yolact:
    """An untrained network with scores, boxes and masks as various as those of a trained one."""
    torch.manual_seed(3)
    network = build_network(smallest(name, class_names=("cup", "dog", "car"), **overrides)).eval()
    side = network.config.input_size_px
    head = network.prediction_layers[0]
    with torch.no_grad():
        output = network(torch.randn(1, 3, side, side))
        for layer, values, spread in (
            (head.conf_layer, output.class_logits, 1.5),
            (head.bbox_layer, output.box_offsets, 4.0),
            (head.mask_layer, output.coefficients, 1.0),
            (network.proto_net[10], output.prototypes, 5.0),
        ):
            layer.weight *= spread / values.std()
            layer.bias *= spread / values.std()
        head.bbox_layer.bias.view(-1, 4)[:, 2:] += 5.0  # larger than their priors
    return network


def small_nano() -> YolactNano:
    """The same of the family whose masks are cut off in the image."""
    torch.manual_seed(3)
    network = YolactNano(NanoConfig(input_size_px=64, class_names=("cup", "dog", "car"))).eval()
    with torch.no_grad():
        output = network(torch.randn(1, 3, 64, 64))
        for layers, values, spread in (
            (network.head.classes, output.class_logits, 1.5),
            (network.head.boxes, output.box_offsets, 4.0),
            ([network.proto_net.output], output.prototypes, 5.0),
        ):
            for layer in layers:
                layer.weight *= spread / values.std()
                layer.bias.zero_()
    return network


def host_predictor(network: Network, settings: PredictionSettings = EVERYTHING) -> Predictor:
    """The host path, with torch's resize in place of OpenCV's, which differs by 2e-4."""
    made = Predictor(network, device="cpu", settings=settings)
    scale, shift = (torch.from_numpy(v)[:, None, None] for v in normalization_of(network.config))
    made._preprocessor = lambda image: prepare_image(
        torch.from_numpy(image), scale, shift, network.config.input_size_px
    )
    return made


def picture(seed: int = 0, height_px: int = 48, width_px: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height_px, width_px, 3), np.uint8)


def assert_same(ours: Prediction, theirs: Prediction) -> None:
    """Up to rounding, which can move a pixel whose value is at the threshold."""
    assert len(ours) == len(theirs)
    np.testing.assert_array_equal(ours.class_ids, theirs.class_ids)
    np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-5)
    np.testing.assert_allclose(ours.boxes_xyxy, theirs.boxes_xyxy, atol=1e-3)
    assert len(ours.mask_crops) == len(theirs.mask_crops)
    differing = total = 0
    for mask, expected in zip(ours.mask_crops, theirs.mask_crops, strict=True):
        masks = [np.zeros((ours.image_height_px, ours.image_width_px), np.bool_) for _ in "12"]
        for full, crop in zip(masks, (mask, expected), strict=True):
            rows = slice(crop.y_offset, crop.y_offset + crop.height)
            bits = np.unpackbits(crop.bits, count=crop.height * crop.width)
            full[rows, crop.x_offset : crop.x_offset + crop.width] = bits.reshape(
                crop.height, crop.width
            )
        differing += int((masks[0] != masks[1]).sum())
        total += int(masks[1].sum())
    assert differing <= 1e-3 * total
