"""What the choices of the int8 quantisation cost in AP: images, bits of the weights, float layers.

    python benchmarks/int8.py --images photos/ --annotations labels.json --annotated-images test/

Prints a row for each setting: relative RMS error of class logits and prototypes on the annotated
images, mask and box AP, CPU time to make the network and least CPU time of a run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from yolact_ros.datasets.coco_file import read_coco_file
from yolact_ros.evaluation.images import DatasetImages
from yolact_ros.evaluation.int8 import measure_ap_change
from yolact_ros.inference.predictor import Predictor
from yolact_ros.inference.preprocess import Preprocessor
from yolact_ros.inference.runtimes import openvino
from yolact_ros.inference.runtimes.base import Runtime
from yolact_ros.inference.runtimes.calibration import folder_images, spread
from yolact_ros.inference.settings import PostprocessConfig
from yolact_ros.models.checkpoint import load_network
from yolact_ros.models.zoo import BUNDLED, find_model

CPU = torch.device("cpu")
FLOAT_LAYERS = {
    "none": r"no layer",
    "first": openvino._FLOAT_LAYERS,
    "prototypes": r".*proto_net.*",
    "last": r".*(proto_net\.10|(mask|conf|bbox)_layer).*",
}
SETTINGS = (
    *((8, "none", count) for count in (10, 30, 100, 300)),
    *((7, "none", count) for count in (10, 30, 100, 300)),
    *((7, layers, 30) for layers in ("first", "prototypes", "last")),
    (7, "first", 100),
)
ERROR_IMAGES = 30
TIMED_RUNS = 15


def main() -> None:
    """Quantise, compare and print, one setting after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=BUNDLED)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--annotations", type=Path, required=True)
    parser.add_argument("--annotated-images", type=Path, required=True)
    args = parser.parse_args()
    model = load_network(find_model(args.model)).eval()
    truth = read_coco_file(args.annotations, args.annotated_images)
    test = DatasetImages(truth, args.annotated_images)
    preprocess = Preprocessor(model.config)
    inputs = [preprocess(image).clone() for _, image in list(test)[:ERROR_IMAGES]]
    exact = openvino.OpenVinoRuntime(model, device=CPU, precision="fp32")
    protocol = PostprocessConfig(score_threshold=0.0, top_k=100)
    print("| bits | float layers | images | logits | prototypes | mask AP | box AP | s | ms |")
    print("|---|---|---|---|---|---|---|---|---|")
    for bits, layers, count in SETTINGS:
        begun_s = time.process_time()
        with (
            tempfile.TemporaryDirectory() as name,
            patch.object(openvino, "_FLOAT_LAYERS", FLOAT_LAYERS[layers]),
            patch.object(openvino, "int8_sums_saturate", lambda bits=bits: bits == 7),
            patch.object(
                openvino,
                "calibration_images",
                lambda folder, count=count: spread(folder_images(folder), count),
            ),
        ):
            runtime = openvino.OpenVinoRuntime(
                model,
                device=CPU,
                precision="int8",
                cache_folder=Path(name),
                calibration_folder=args.images,
            )
        made_s = time.process_time() - begun_s
        change = measure_ap_change(
            *(
                Predictor(model, device=CPU, runtime=one, settings=protocol).predict
                for one in (exact, runtime)
            ),
            truth,
            test,
            model.config.class_names,
        )
        logits, prototypes = errors(runtime, exact, inputs)
        print(
            f"| {bits} | {layers} | {count} | {logits:.3f} | {prototypes:.3f} "
            f"| {100 * change.int8_mask_ap:.1f} | {100 * change.int8_box_ap:.1f} "
            f"| {made_s:.0f} | {least_cpu_ms(runtime, inputs[0]):.1f} |",
            flush=True,
        )


def errors(runtime: Runtime, exact: Runtime, inputs: list[Tensor]) -> tuple[float, float]:
    """Relative RMS error of class logits and prototypes over all inputs."""
    sums = torch.zeros(2, 2, dtype=torch.float64)
    for images in inputs:
        wanted, got = exact.run(images), runtime.run(images)
        for row, name in enumerate(("class_logits", "prototypes")):
            expected, actual = getattr(wanted, name), getattr(got, name)
            sums[row, 0] += (actual - expected).square().sum()
            sums[row, 1] += expected.square().sum()
    logits, prototypes = (sums[:, 0] / sums[:, 1]).sqrt().tolist()
    return logits, prototypes


def least_cpu_ms(runtime: Runtime, images: Tensor) -> float:
    """Least CPU time of the process over some runs."""
    times_ms = []
    for _ in range(TIMED_RUNS):
        begun_s = time.process_time()
        runtime.run(images)
        times_ms.append((time.process_time() - begun_s) * 1e3)
    return min(times_ms)


if __name__ == "__main__":
    main()
