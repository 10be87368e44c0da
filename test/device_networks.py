"""Small networks of both families for the device pipeline, and what it is held to."""

from __future__ import annotations

import copy

import numpy as np
import torch
from golden_networks import smallest

from yolact_ros.evaluation.benchmark.network import settle_batch_norms
from yolact_ros.inference.predictor import Predictor
from yolact_ros.inference.preprocess import normalization_of, prepare_image
from yolact_ros.inference.runtimes.selection import open_runtime
from yolact_ros.inference.settings import PredictionSettings
from yolact_ros.models import Yolact, build_network
from yolact_ros.models.nano import NanoConfig, YolactNano
from yolact_ros.models.network import Network
from yolact_ros.prediction import Prediction

EVERYTHING = PredictionSettings(score_threshold=0.0, top_k=30)


def small_network(
    name: str = "yolact_light", *, settled: bool = False, **overrides: object
) -> Yolact:
    """An untrained network with scores, boxes and masks as various as those of a trained one.

    ``settled`` keeps what is inside of it in the range of half precision.
    """
    torch.manual_seed(3)
    network = build_network(smallest(name, class_names=("cup", "dog", "car"), **overrides)).eval()
    if settled:
        settle_batch_norms(network)
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


def device_predictor(
    network: Network,
    device: torch.device,
    settings: PredictionSettings = EVERYTHING,
    *,
    runtime: str = "eager",
    precision: str = "fp32",
) -> Predictor:
    """Whole frames on a device, of a copy of the network."""
    moved = copy.deepcopy(network).to(device)
    opened = open_runtime(runtime, moved, device=device, precision=precision)
    return Predictor(moved, device=device, settings=settings, runtime=opened, on_device=True)


def picture(seed: int = 0, height_px: int = 48, width_px: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height_px, width_px, 3), np.uint8)


def assert_same(
    ours: Prediction,
    theirs: Prediction,
    *,
    score_error: float = 1e-5,
    box_error_px: float = 1e-3,
    mask_error: float = 1e-3,
) -> None:
    """Up to rounding, which can move a pixel whose value is at the threshold."""
    assert len(ours) == len(theirs)
    np.testing.assert_array_equal(ours.class_ids, theirs.class_ids)
    np.testing.assert_allclose(ours.scores, theirs.scores, atol=score_error)
    np.testing.assert_allclose(ours.boxes_xyxy, theirs.boxes_xyxy, atol=box_error_px)
    assert len(ours.mask_crops) == len(theirs.mask_crops)
    assert (ours.masks != theirs.masks).sum() <= mask_error * theirs.masks.sum()


def share_found(ours: Prediction, theirs: Prediction) -> float:
    """How many of their instances we have too, with nearly the same score, box and mask."""
    found = 0
    for row, mask in enumerate(theirs.masks):
        alike = ours.class_ids == theirs.class_ids[row]
        alike &= np.abs(ours.scores - theirs.scores[row]) < 0.05
        alike &= np.abs(ours.boxes_xyxy - theirs.boxes_xyxy[row]).max(axis=1) < 3
        common, either = ours.masks & mask, ours.masks | mask
        alike &= common.sum(axis=(1, 2)) >= 0.8 * either.sum(axis=(1, 2))
        found += bool(alike.any())
    return found / len(theirs)
