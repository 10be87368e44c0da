"""Host image to packed masks on the host, on a GPU: reference, ours, Mask R-CNN, roofline.

    python benchmarks/gpu.py --variant yolact_resnet50
    python benchmarks/gpu.py --variant yolact_base --image-size 1280x720
    python benchmarks/gpu.py --count-only          # operations, bytes and limits; needs no GPU

The reference is what the paper's code does: the eager fp32 network, Fast NMS, and a float mask of
the whole image for every instance. All ways run in turns on the same image, so that a busy device
slows them alike; wall milliseconds from the image on the host to the result on the host. Weights
are random, with heads scaled so that there is something to find.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from roofline import Peak, count_layers, group_layers, limit_ms
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from yolact_ros.config import YolactConfig, variant
from yolact_ros.evaluation.benchmark.network import settle_batch_norms
from yolact_ros.inference.cuda_graph import capture_graph
from yolact_ros.inference.device_execution import compiled_or_plain
from yolact_ros.inference.predictor import Predictor
from yolact_ros.inference.preprocess import normalization_of, prepare_image
from yolact_ros.inference.runtimes.fold import prepare_network
from yolact_ros.inference.runtimes.selection import open_runtime
from yolact_ros.inference.settings import PredictionSettings
from yolact_ros.models import Yolact, build_network
from yolact_ros.ops.boxes import decode_boxes
from yolact_ros.ops.fixed_shape_nms import fixed_shape_fast_nms
from yolact_ros.ops.masks import assemble_masks, binarize_masks

TOP_K = 15
REPEATS_IN_GRAPH = 20
WARM_UP_ROUNDS = 5
SETTINGS = PredictionSettings(score_threshold=0.0, top_k=TOP_K)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variant", default="yolact_resnet50")
    parser.add_argument("--image-size", default="640x480")
    parser.add_argument("--runtime", default="graph")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--tflops", type=float, default=790.0, help="the card's, half precision")
    parser.add_argument("--terabytes", type=float, default=4.3, help="the card's, a second")
    parser.add_argument("--count-only", action="store_true")
    args = parser.parse_args()
    config = variant(args.variant)
    peak = Peak(args.tflops, args.terabytes)
    if args.count_only:
        print_roofline(config, peak, {})
        return
    if not torch.cuda.is_available():
        raise SystemExit(
            "benchmarks/gpu.py measures on a CUDA device, and this machine has none; "
            "--count-only prints what can be counted without"
        )
    width_px, height_px = (int(side) for side in args.image_size.split("x"))
    image = np.random.default_rng(0).integers(0, 256, (height_px, width_px, 3), np.uint8)
    device = torch.device("cuda")
    model = lively_network(config).to(device)
    print(
        f"{config.name} at {config.input_size_px} px, image {width_px} x {height_px}, top_k "
        f"{TOP_K}; {torch.cuda.get_device_name(device)}, torch {torch.__version__}, TF32 in "
        f"convolutions of the reference: {torch.backends.cudnn.allow_tf32}\n"
    )
    runtime = open_runtime(args.runtime, model, device=device)
    predictor = Predictor(model, device=device, settings=SETTINGS, runtime=runtime)
    network_ms, outside = compare(model, predictor, image, args.rounds)
    print(f"\nour network {network_ms:.3f} ms by events, outside of it {outside:.0%} of a frame\n")
    print_roofline(config, peak, measure_groups(model, device))
    predictor.close()


def compare(
    model: Yolact, predictor: Predictor, image: NDArray[np.uint8], rounds: int
) -> tuple[float, float]:
    """Time all ways in turns; the milliseconds of our network, and the share around it."""
    ways: dict[str, Callable[[], int] | None] = {
        "eager fp32, float masks of the whole image": reference(model, image),
        "eager fp32 Mask R-CNN (torchvision)": mask_rcnn(predictor.device, image),
        "ours": lambda: len(predictor.predict(image)),
    }
    times_ms: dict[str, list[float]] = {name: [] for name, run in ways.items() if run}
    found = {}
    network_ms, shares = [], []
    for turn in range(rounds + WARM_UP_ROUNDS):
        for name in times_ms:
            begun_s = time.perf_counter()
            found[name] = ways[name]()
            if turn >= WARM_UP_ROUNDS:
                times_ms[name].append((time.perf_counter() - begun_s) * 1e3)
        begun_s = time.perf_counter()
        _, times = predictor.predict_timed(image)
        network_ms.append(times.inference_ms)
        shares.append(1 - times.inference_ms / ((time.perf_counter() - begun_s) * 1e3))
    first = statistics.median(next(iter(times_ms.values())))
    print("| host to host | median ms | p95 ms | ratio | instances |\n|---|---|---|---|---|")
    for name, values in times_ms.items():
        median_ms = statistics.median(values)
        p95_ms = float(np.quantile(values, 0.95))
        ratio = first / median_ms
        print(f"| {name} | {median_ms:.2f} | {p95_ms:.2f} | {ratio:.1f} | {found[name]} |")
    return statistics.median(network_ms), statistics.median(shares)


def lively_network(config: YolactConfig) -> Yolact:
    """Random weights whose heads give scores, boxes and masks as various as trained ones."""
    torch.manual_seed(0)
    model = build_network(config).eval()
    settle_batch_norms(model)
    head, side = model.prediction_layers[0], config.input_size_px
    with torch.no_grad():
        output = model(torch.randn(1, 3, side, side))
        for layer, values, spread in (
            (head.conf_layer, output.class_logits, 3.0),
            (head.bbox_layer, output.box_offsets, 2.0),
            (head.mask_layer, output.coefficients, 1.0),
            (model.proto_net[10], output.prototypes, 5.0),
        ):
            layer.weight *= spread / values.std()
            layer.bias *= spread / values.std()
    return model


def reference(model: Yolact, image: NDArray[np.uint8]) -> Callable[[], int]:
    """The paper's way; the number of masks that reach the host."""
    device = model.priors.device
    side, (height_px, width_px) = model.config.input_size_px, image.shape[:2]
    scale, shift = (
        torch.from_numpy(values).to(device)[:, None, None]
        for values in normalization_of(model.config)
    )

    @torch.inference_mode()
    def run() -> int:
        pixels = torch.from_numpy(image).to(device)
        output = model(prepare_image(pixels, scale, shift, side))
        found = fixed_shape_fast_nms(
            decode_boxes(output.box_offsets, model.priors),
            output.class_logits.softmax(dim=2)[:, :, 1:],
            output.coefficients,
            max_detections=TOP_K,
        )
        count = int(found.counts[0])
        soft = assemble_masks(
            output.prototypes[0], found.coefficients[0, :count], found.boxes_xyxy[0, :count]
        )
        return len(binarize_masks(soft, height_px, width_px).cpu()) if count else 0

    return run


def mask_rcnn(device: torch.device, image: NDArray[np.uint8]) -> Callable[[], int] | None:
    """torchvision's, at its own input size; None where torchvision is not installed."""
    try:
        from torchvision.models.detection import maskrcnn_resnet50_fpn
    except (ImportError, RuntimeError) as error:
        print(f"Mask R-CNN left out, torchvision cannot be used: {error}\n")
        return None
    network = maskrcnn_resnet50_fpn(
        weights=None,
        weights_backbone=None,
        box_score_thresh=0.0,
        box_detections_per_img=TOP_K,
    )
    network = network.eval().to(device)

    @torch.inference_mode()
    def run() -> int:
        pixels = torch.from_numpy(image).to(device).permute(2, 0, 1).float() / 255
        return len((network([pixels.flip(0)])[0]["masks"] > 0.5).cpu())

    return run


def measure_groups(model: Yolact, device: torch.device) -> dict[str, float]:
    """Milliseconds of each part of the network in half precision, each in a graph of its own."""
    network = prepare_network(model, device=device, dtype=torch.float16).network
    side = model.config.input_size_px
    images = torch.randn(1, 3, side, side, device=device, dtype=torch.float16)
    images = images.contiguous(memory_format=torch.channels_last)
    inputs: dict[str, list[tuple[nn.Module, Any]]] = {}
    backbone = network.backbone
    stages = enumerate(getattr(backbone, "layers", ()), start=1)
    parts = {f"backbone stage {number}": stage for number, stage in stages}
    without_stages = [getattr(backbone, name, None) for name in ("conv1", "_preconv")]
    parts["backbone"] = next((part for part in without_stages if part is not None), backbone)
    parts |= {"pyramid": network.fpn, "protonet": network.proto_net}
    parts |= {"heads": network.prediction_layers[0]}
    hooks = [
        module.register_forward_pre_hook(
            lambda module, values, name=name: inputs.setdefault(name, []).append(
                (module, values[0])
            )
        )
        for name, module in parts.items()
    ]
    with torch.inference_mode():
        network(images)
    for hook in hooks:
        hook.remove()
    return {name: group_ms(calls, device) for name, calls in inputs.items()}


def group_ms(calls: list[tuple[nn.Module, Any]], device: torch.device) -> float:
    """Time of some modules on their inputs, launched as one graph, on average of many."""

    def forward(values: list[Any]) -> list[Any]:
        return [module(value) for (module, _), value in zip(calls, values, strict=True)]

    compiled = compiled_or_plain(forward)
    values = [value for _, value in calls]

    def run() -> None:
        for _ in range(REPEATS_IN_GRAPH):
            compiled(values)

    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    with torch.inference_mode():
        captured = capture_graph(run, device)
    times_ms = []
    for _ in range(10):
        begin.record()
        captured.replay()
        end.record()
        end.synchronize()
        times_ms.append(begin.elapsed_time(end) / REPEATS_IN_GRAPH)
    return min(times_ms)


def print_roofline(config: YolactConfig, peak: Peak, measured_ms: dict[str, float]) -> None:
    """The table of parts; measured only where there is a measurement."""
    layers = count_layers(config)
    groups = group_layers(layers)
    print(f"Limits at {peak.tflops:.0f} TFLOP/s and {peak.terabytes_per_s} TB/s, {config.name}:\n")
    print("| part | GFLOP | MB | limit ms | measured ms | share of the limit |")
    print("|---|---|---|---|---|---|")
    for name, group in groups.items():
        print_row(name, group, peak, measured_ms.get(name))
    is_complete = groups.keys() <= measured_ms.keys()
    print_row("all", layers, peak, sum(measured_ms.values()) if is_complete else None)


def print_row(name: str, layers: list[Any], peak: Peak, measured_ms: float | None) -> None:
    """One part."""
    least_ms = limit_ms(layers, peak)
    gflop = sum(layer.flops for layer in layers) / 1e9
    megabytes = sum(layer.num_bytes for layer in layers) / 1e6
    measured = "-" if measured_ms is None else f"{measured_ms:.3f}"
    share = "-" if measured_ms is None else f"{least_ms / measured_ms:.0%}"
    print(f"| {name} | {gflop:.1f} | {megabytes:.1f} | {least_ms:.3f} | {measured} | {share} |")


if __name__ == "__main__":
    main()
