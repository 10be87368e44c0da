"""What the pages tell a reader to type, how it is run here, and what it must leave."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CHAPTERS", "NOT_RUN", "SAME_PLACES", "Chapter", "Step"]


@dataclass(frozen=True)
class Step:
    """One line of a page, with what is added to it.

    Attributes:
        line: as it stands in the page.
        added: options of the command that make it short, or that name another model.
        before: shell line that brings about what the page takes for granted.
        leaves: patterns of files, each of which must be there and be what its name says.
        prints: regular expressions of what is on standard output.
        status: exit status.
    """

    line: str
    added: str = ""
    before: str = ""
    leaves: tuple[str, ...] = ()
    prints: tuple[str, ...] = ()
    status: int = 0


@dataclass(frozen=True)
class Chapter:
    """Steps one after the other in a folder; ``pip``: also where pip installed the package."""

    name: str
    steps: tuple[Step, ...]
    pip: bool = False


# What stands for a place in the pages, and what is there instead.
SAME_PLACES = {
    "/media/usb/models": "mirror",
    "http://10.0.0.2/": "mirror/",
    "yolact_resnet50_pascal.pth": "pascal.safetensors",
    "--model yolact_base": "--model tiny.safetensors",
    "--variant yolact_resnet50": "--model tiny.safetensors",
    "--calibration FOLDER": "--calibration photos",
    "bag info BAG": "bag info drive",
    "run CMD ...": "run yolact --version",
    "doctor TOPIC": "doctor /no/camera",
    "'s3://drives/2026-11-*/*'": "'more/*'",
    "ray://10.0.0.1:10001": "ray://127.0.0.1:20099",
}

TINY = "--model tiny.safetensors"
# On a busy machine the first picture comes seconds after the first result.
DEMO_S = 6
REPORT = ("report.html", "metrics.json", "frames.csv")


# Two nodes of a Ray cluster on this machine, for as long as the step takes.
RAY = (
    "export RAY_ADDRESS=127.0.0.1:6499 GRPC_ENABLE_FORK_SUPPORT=0; exec 3>&1 >ray.log; "
    "ray start --head --port 6499 --ray-client-server-port 20099 --include-dashboard false "
    "--node-ip-address 127.0.0.1 --num-cpus 1 --disable-usage-stats --block 2>&1 & nodes=$!; "
    "until grep -q 'Ray runtime started' ray.log; do sleep 0.2; done; "
    'ray start --address 127.0.0.1:6499 --num-cpus 1 --block 2>&1 & nodes="$nodes $!"; '
    "trap 'kill $nodes; wait' EXIT; exec >&3"
)
CLIENTS_ARE_SERVED = "until (exec 4<>/dev/tcp/127.0.0.1/20099) 2>/dev/null; do sleep 0.2; done"
FLEET = (
    "yolact bag from-video photos/ --annotations instances.json --output more/drive > /dev/null; "
    "cp -r more/drive more/other; "
    "printf 'path,truth,weather\\nmore/drive,/truth,rain\\nmore/other,/truth,day\\n' > fleet.csv"
)


def _report(folder: str) -> tuple[str, ...]:
    return tuple(f"{folder}/{name}" for name in REPORT)


CHAPTERS = (
    Chapter(
        "predict and evaluate",
        (
            Step(
                "./dev run yolact predict photo.jpg",
                leaves=("predictions/photo_overlay.jpg", "predictions/results.json"),
                prints=("1 image",),
            ),
            Step("./dev run yolact evaluate --help", prints=("--annotations",)),
            Step(
                "yolact predict --model",
                "tiny.safetensors photos --masks --output found",
                leaves=("found/*_overlay.jpg", "found/results.json", "found/masks/*.png"),
                prints=("4 images",),
            ),
            Step(
                "yolact predict clip.mp4 --tracker bytetrack",
                f"{TINY} --output followed --score-threshold 0",
                leaves=("followed/clip_overlay.mp4", "followed/results.json"),
                prints=("4 images",),
            ),
            Step(
                "yolact evaluate --annotations val.json --images val/",
                prints=(r"AP50", r"fast\s+mask\s+\d"),
            ),
            Step(
                "yolact evaluate --annotations val.json --results theirs.json",
                prints=(r"mask\s.*100\.0", r"box\s.*100\.0"),
            ),
        ),
        pip=True,
    ),
    Chapter(
        "evaluate side by side",
        (
            Step(
                "yolact evaluate --annotations val.json --images val/ --model yolact_base "
                "--per-class",
                "--json report.json --save-results saved",
                prints=("person",),
                leaves=("report.json", "saved/*.json"),
            ),
            Step(
                "yolact evaluate --annotations val.json --images val/ --nms fast standard "
                "cross-class",
                TINY,
                prints=("fast", "standard", "cross-class"),
            ),
            Step(
                "yolact evaluate --annotations val.json --images val/ --input-size 256 320 416",
                f"{TINY} --limit 1",
                prints=("256", "320", "416"),
            ),
            Step(
                "yolact evaluate --annotations val.json --images val/ --input-size 416 320 480 "
                "544 --nms standard --nms-threshold 0.6 --save-results results",
                f"{TINY} --limit 1",
                prints=("standard",),
                leaves=("results/*_standard.json",),
            ),
            Step(
                "yolact evaluate --annotations val.json --images val/ --model k8.safetensors "
                "k16.safetensors",
                prints=(r"\b8\b", r"\b16\b"),
            ),
            Step(
                "yolact convert sbd benchmark_RELEASE --split val --output sbd_val.json",
                leaves=("sbd_val.json",),
                prints=("4 instances",),
            ),
            Step(
                "yolact evaluate --annotations sbd_val.json --images "
                "benchmark_RELEASE/dataset/img --model yolact_resnet50_pascal.pth --pascal",
                prints=(r"AP\D*50", r"AP\D*70"),
            ),
        ),
    ),
    Chapter(
        "train",
        (
            Step("yolact train config.yaml --check", prints=("training",)),
            Step(
                "./dev run yolact train data.yaml",
                "--steps 2",
                leaves=(
                    "runs/data/last.safetensors",
                    "runs/data/state.pt",
                    "runs/data/settings.json",
                ),
                prints=("exported",),
            ),
            Step(
                "yolact train config.yaml --resume",
                before="yolact train config.yaml; sed -i 's/^steps: 2/steps: 3/' config.yaml",
                leaves=("runs/config/last.safetensors",),
                prints=("resumes after step 2",),
            ),
        ),
        pip=True,
    ),
    Chapter(
        "train from flags",
        (
            Step("yolact train data.yaml", "--check", prints=("training",)),
            Step(
                "yolact train --images photos --annotations labels.json --holdout 0.1 "
                "--output runs/parts --check",
                "--holdout 0.3",
                prints=("validation",),
            ),
            Step(
                "yolact train --images photos --annotations labels.json --holdout 0.1 "
                "--output runs/parts",
                "--holdout 0.3 --steps 2 --batch-size 2 --input-size 96 --workers 1",
                leaves=(
                    "runs/parts/best.safetensors",
                    "runs/parts/training.csv",
                    "runs/parts/validation.csv",
                    "runs/parts/pictures/*/*",
                ),
                prints=("exported .*runs/parts/best",),
            ),
            Step(
                "yolact evaluate --model runs/parts/best.safetensors --images val --annotations "
                "val.json",
                prints=("mask",),
            ),
        ),
    ),
    Chapter(
        "bags",
        (
            Step(
                "yolact bag from-video clip.mp4 --output drive",
                leaves=("drive/*.mcap",),
                prints=("4 frames",),
            ),
            Step("yolact bag info BAG --read", prints=("/camera/image_raw",)),
            Step("yolact bag evaluate drive --output large", TINY, leaves=_report("large")),
            Step(
                "yolact bag annotate drive --results large --output drive_truth --truth-only",
                leaves=("drive_truth/*.mcap",),
            ),
            Step(
                "yolact bag evaluate drive --truth /truth@drive_truth --input-size 160 --output "
                "small --write small_bag",
                TINY,
                leaves=(*_report("small"), "small_bag/*.mcap"),
            ),
            Step(
                "yolact bag evaluate drive --truth /truth@drive_truth --output large",
                TINY,
                leaves=_report("large"),
            ),
            Step(
                "yolact bag compare large small --names 320px,160px",
                leaves=("bag_comparison/comparison.html", "bag_comparison/comparison.json"),
                prints=("320px", "160px"),
            ),
            Step(
                "yolact bag compare results/released results/candidate --max-map-loss 1 "
                "--max-miss 1 --max-p95 33",
                before="mkdir results; cp -r large results/released; "
                "cp -r large results/candidate",
                status=1,
            ),
            Step(
                "./dev run yolact bag evaluate drive.mcap",
                f"{TINY} --jobs 2",
                before="cp drive/*.mcap drive.mcap",
                leaves=_report("bag_evaluation"),
            ),
        ),
        pip=True,
    ),
    Chapter(
        "bags of a robot",
        (
            Step(
                "yolact bag from-video photos/ --annotations instances.json --output slides",
                leaves=("slides/*.mcap",),
            ),
            Step(
                "yolact bag evaluate slides --truth instances.json",
                TINY,
                leaves=_report("bag_evaluation"),
            ),
            Step(
                "yolact bag evaluate drive --truth /truth --real-time --budget 33.3 --input-size "
                "320 224 160 --load 1",
                f"{TINY} --output real_time --write recorded",
                before="cp -r slides drive",
                leaves=_report("real_time"),
            ),
            Step(
                "yolact bag evaluate drive --truth /truth --predictions "
                "/yolact/instances@recorded",
                "--output robot",
                leaves=_report("robot"),
            ),
            Step(
                "yolact bag evaluate drive --topic /camera/image_raw",
                f"{TINY} --output one_topic",
                leaves=_report("one_topic"),
            ),
            Step(
                "yolact bag evaluate drive --topic /camera/image_raw --predictions "
                "/yolact/instances@results",
                "--output replayed",
                before="cp -r recorded results",
                leaves=_report("replayed"),
            ),
        ),
    ),
    Chapter(
        "a fleet",
        (
            Step(
                "yolact bag evaluate fleet.csv --output results/v1 --jobs 2",
                TINY,
                before=FLEET,
                leaves=("results/v1/report.html", "results/v1/metrics.json"),
                prints=("Evaluation of 2 bags",),
            ),
            Step(
                "yolact bag evaluate fleet.csv --output results/v2 --jobs 2 --input-size 128",
                TINY,
                leaves=("results/v2/report.html",),
            ),
            Step(
                "yolact bag evaluate 's3://drives/2026-11-*/*' --truth /truth",
                TINY,
                prints=("Evaluation of 2 bags",),
            ),
            Step(
                "yolact bag compare results/v1 results/v2 --max-map-loss 1",
                "--max-map-loss 101",
                leaves=("bag_comparison/comparison.html",),
            ),
            Step(
                "yolact bag compare results/v1 results/v2 results/v3",
                before="cp -r results/v1 results/v3",
                leaves=("bag_comparison/comparison.html",),
                prints=("v3",),
            ),
        ),
    ),
    Chapter(
        "a fleet on Ray",
        (
            Step(
                "yolact bag evaluate fleet.csv --output results/v3 --ray auto",
                TINY,
                before=f"{FLEET}; {RAY}",
                leaves=("results/v3/report.html",),
                prints=("Evaluation of 2 bags",),
            ),
            Step(
                "yolact bag evaluate fleet.csv --output results/v3 --ray ray://10.0.0.1:10001",
                f"{TINY} --overwrite",
                before=f"{RAY}; unset RAY_ADDRESS; {CLIENTS_ARE_SERVED}",
                leaves=("results/v3/report.html",),
                prints=("Evaluation of 2 bags",),
            ),
        ),
    ),
    Chapter(
        "models",
        (
            Step("yolact models list", prints=("bundled", "yolact_resnet50")),
            Step("./dev run yolact models list", prints=("bundled",)),
            Step(
                "yolact models fetch yolact_resnet50",
                before="export YOLACT_ROS_MIRROR=mirror",
                leaves=("cache/yolact_resnet50_54_800000.pth",),
            ),
            Step(
                "yolact models fetch yolact_base --mirror /media/usb/models",
                leaves=("cache/yolact_base_54_800000.pth.sha256",),
            ),
            Step(
                "yolact models fetch yolact_base --url http://10.0.0.2/yolact_base_54_800000.pth",
                before="rm -r cache",
                leaves=("cache/yolact_base_54_800000.pth",),
            ),
            Step("yolact models verify", prints=("bundled",)),
            Step("yolact models show bundled", prints=("yolact_nano", "person")),
            Step(
                "yolact models show parts.pth",
                prints=("yolact_resnet50", "bolt, nut", "parts.txt"),
            ),
            Step(
                "yolact convert weights parts.pth --class-names bolt,nut",
                leaves=("parts.safetensors",),
            ),
            Step(
                "yolact predict photo.jpg --model parts.pth --class-names parts.txt",
                leaves=("predictions/results.json",),
            ),
            Step("yolact doctor", prints=("torch",)),
            Step("yolact doctor --json", prints=('"findings"',)),
        ),
        pip=True,
    ),
    Chapter(
        "export and quantize",
        (
            Step("./dev run yolact export --nms", leaves=("*.onnx",)),
            Step(
                "./dev run yolact quantize --images photos/",
                TINY.replace("--model ", ""),
                prints=("int8",),
            ),
        ),
        pip=True,
    ),
    Chapter(
        "a YOLO segmentation model",
        (
            Step("yolact models show parts-seg.onnx", prints=("yolo-seg", "k = 2", "red, blue")),
            Step(
                "yolact predict photo.jpg --model parts-seg.onnx",
                "--output parts",
                leaves=("parts/*_overlay.jpg",),
            ),
            Step("yolact quantize parts-seg.onnx --images photos/", prints=("int8",)),
        ),
        pip=True,
    ),
    Chapter(
        "quantize and benchmark",
        (
            Step(
                "yolact quantize bundled --images photos/ --annotations labels.json "
                "--annotated-images test/",
                "--input-size 64",
                prints=("int8", "AP"),
            ),
            Step(
                "./dev run yolact benchmark",
                f"--rounds 1 {TINY} --runtimes eager openvino --image-size 64x48",
                leaves=("benchmark_output/*.json",),
                prints=("eager", "openvino"),
            ),
            Step(
                "yolact benchmark --runtimes auto --rounds 1 --input-size 320",
                TINY,
                prints=("eager fp32",),
            ),
            Step(
                "yolact benchmark --variant yolact_resnet50 --runtimes eager openvino "
                "openvino:int8 ncnn --calibration FOLDER",
                "--rounds 1 --image-size 64x48",
                prints=("openvino", "ncnn", "int8"),
            ),
        ),
    ),
    Chapter(
        "the checkout",
        (
            Step("./dev", prints=("usage",)),
            Step("./dev run CMD ...", prints=(r"yolact_ros \d",)),
            Step("./dev shell", "<<< 'yolact --version'", prints=(r"yolact_ros \d",)),
            Step("yolact", "--help", prints=("train",)),
            Step("yolact bag", "--help", prints=("annotate",)),
            Step("yolact train", "--help", prints=("--resume",)),
            Step("yolact quantize", "--help", prints=("--images",)),
            Step("yolact evaluate", "--help", prints=("--images",)),
        ),
    ),
    Chapter(
        "over DDS",
        (
            Step(
                "./dev demo",
                f"--duration {DEMO_S} --source clip.mp4 {TINY}",
                leaves=(
                    "demo_output/overlay.mp4",
                    "demo_output/contact_sheet.png",
                    "demo_output/summary.json",
                ),
                prints=("results:",),
            ),
            Step(
                "./dev demo --source",
                f"photos --duration {DEMO_S} --output photos_demo {TINY}",
                leaves=("photos_demo/summary.json",),
            ),
            Step(
                "./dev demo --track --source clip.mp4",
                f"--duration {DEMO_S} --output followed_demo {TINY}",
                leaves=("followed_demo/overlay.mp4", "followed_demo/summary.json"),
            ),
            # test_workers.py runs it; here `./dev demo` does.
            Step("yolact demo", "--help", prints=("--source",)),
            Step("yolact doctor TOPIC", "--listen 1", status=1, prints=("/no/camera",)),
            Step(
                "yolact doctor /camera/image_raw",
                "--listen 1",
                status=1,
                prints=("/camera/image_raw",),
            ),
            Step(
                "yolact doctor /camera/color/image_raw --depth /camera/aligned_depth/image_raw",
                "--listen 1",
                status=1,
                prints=("/camera/aligned_depth/image_raw",),
            ),
            Step(
                "yolact benchmark --ros",
                f"--duration 1 --sizes 64x48 --profiles shipped --runtimes eager {TINY}",
                leaves=("benchmark_output/*.json",),
            ),
        ),
    ),
)
"""In the order of the pages, each in a folder of its own."""

MEASURES = "measures for minutes on a quiet computer; its parts are tested in test/evaluation"
RUNS_ON = "runs until it is stopped; the steps with --ray start two such nodes"
TRACKS = "needs a truth with track ids: test/evaluation/bag/scoring/test_tracks.py"
NOT_RUN = {
    "./dev run python benchmarks/tracking.py": MEASURES,
    "./dev run python benchmarks/tracking.py --cost": MEASURES,
    "./dev run python benchmarks/fleet.py": MEASURES,
    "./dev run ray start --head --port 6379": RUNS_ON,
    "./dev run ray start --address 10.0.0.1:6379": RUNS_ON,
    "yolact bag evaluate drive --truth truth.json --track botsort": TRACKS,
    "yolact bag evaluate drive --truth gt/gt.txt --real-time --budget 33.3 --track": TRACKS,
    "yolact bag evaluate drive --truth /truth --predictions /yolact/instances@recorded "
    "--track": TRACKS,
    "./dev test": "runs this test",
    "./dev test -k nms": "runs lint and types, as the `./dev test` around this test does",
    "./dev test [pytest arguments]": "as above",
    "./dev test test/models test/ops": "as above",
    "./dev test test/inference/runtimes": "as above",
    "./dev --ros kilted demo": "makes another environment; tried by hand",
    "./dev test --cpu": "runs the numeric tests four times; see test/dev/test_commands.py",
    "./dev test --cpu [pytest arguments]": "as above",
    "./dev lint": "the first part of `./dev test`",
    "./dev build": "every ./dev command builds; again would change what other tests use",
    "./dev clean": "removes the environment that the tests run in; see test/dev/test_setup.py",
    './dev run python benchmarks/budget_live.py --node-prefix "chrt --rr 1"': MEASURES,
    "./dev run python benchmarks/objects3d.py": MEASURES,
    "./dev run python benchmarks/objects3d.py --cost": MEASURES,
    "./dev run python benchmarks/objects3d_picture.py docs/images/objects3d.png": MEASURES,
    "./dev run python benchmarks/views.py": MEASURES,
    "./dev run python benchmarks/views.py --topics markers": MEASURES,
    "./dev run python benchmarks/views.py --topics objects points object_markers "
    "--tracker bytetrack --rounds 10 --phase-s 4 --rate 10": MEASURES,
    "./dev run python benchmarks/views_picture.py": MEASURES,
    "./dev run sh benchmarks/performance.sh": "40 minutes",
    "yolact benchmark --scaling --variant yolact_light --runtimes openvino": MEASURES,
    "yolact benchmark --ros --runtimes openvino:int8 --calibration FOLDER --duration 20": MEASURES,
    "yolact benchmark --device cuda": "needs an NVIDIA GPU",
    "yolact models list --measure": "takes minutes; test/cli/test_models.py measures",
    "yolact evaluate --model models/yolact_nano.safetensors --input-size 416 320 480 544 "
    "--nms standard --nms-threshold 0.6 --save-results results": (
        "needs the photographs of the model card"
    ),
}
"""Commands of the pages that no step runs, with the reason."""
