"""What the training benchmarks share: a small data set, settings, and runs as processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "test")]

from coco_shapes import write_coco  # noqa: E402

__all__ = ["ROOT", "train_command", "weights_of", "write_run"]


def write_run(folder: Path, name: str, **settings: Any) -> Path:
    """YAML of a short run of the light network on synthetic images below ``folder``."""
    data = folder / "shapes"
    if not data.exists():
        write_coco(data, num_images=12, width=192, height=144)
    values = {
        "output": name,
        "network": {"variant": "yolact_light", "input_size_px": 128},
        "data": [{"images": "shapes/images", "annotations": "shapes/labels.json"}],
        "start_from": "imagenet",
        "batch_size": 8,
        "steps": 12,
        "checkpoint_every": 1,
        "log_every": 1,
        "workers": 0,
        "device": "cpu",
        **settings,
    }
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(values), encoding="utf-8")  # JSON is YAML
    return path


def train_command(config: Path, *flags: str, processes: int = 1) -> subprocess.Popen[str]:
    """Start ``yolact train`` on a file, in one process or in several under torchrun."""
    launcher = [sys.executable]
    if processes > 1:
        launcher += ["-m", "torch.distributed.run", "--standalone"]
        launcher += ["--nproc-per-node", str(processes)]
    command = [*launcher, "-m", "yolact_ros.cli", "train", str(config), *flags]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    """Weights and averaged weights in a run's last checkpoint, as float64."""
    state = torch.load(folder / "state.pt", map_location="cpu", weights_only=True)
    averaged = {k: v for k, v in state["average"].items() if isinstance(v, torch.Tensor)}
    return {k: v.double() for k, v in {**state["network"], **averaged}.items()}
