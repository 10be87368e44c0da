"""A run that is killed at random moments and resumed ends with the weights of an unbroken one.

    python benchmarks/kill_and_resume.py [--kills 3] [--seed 0]

Kills with SIGKILL, wherever the program happens to be: in a step or while writing a checkpoint.
Exit code 0 when every weight and every averaged weight is equal bit for bit.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "test")]

from coco_shapes import write_coco  # noqa: E402


def main() -> int:
    """Run the comparison and print what happened."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    chance = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder_name:
        folder = Path(folder_name)
        unbroken = write_run(folder, "unbroken")
        start = time.monotonic()
        finish(unbroken)
        duration_s = time.monotonic() - start
        broken = write_run(folder, "broken")
        kills = 0
        while kills < args.kills:
            resume = ["--resume"] if (folder / "broken" / "state.pt").exists() else []
            process = train_command(broken, *resume)
            time.sleep(chance.uniform(0.4, 0.9) * duration_s)
            if process.poll() is not None:
                break  # the rest of the run was shorter than the wait
            process.kill()
            output, _ = process.communicate()
            kills += 1
            resumed = [line for line in output.splitlines() if line.startswith("resumes")]
            print(f"kill {kills}: {resumed[0] if resumed else 'started anew'}")
        if kills == 0:
            print("the run ended before it could be killed")
            return 1
        finish(broken, "--resume")
        wanted, found = weights_of(folder / "unbroken"), weights_of(folder / "broken")
    different = [key for key, value in wanted.items() if not torch.equal(value, found[key])]
    print(f"{len(wanted)} tensors after {kills} kills: {len(different)} differ")
    return 1 if different else 0


def finish(config: Path, *flags: str) -> None:
    """Run to the end; stop with the output when the run fails."""
    process = train_command(config, *flags)
    output, _ = process.communicate()
    if process.returncode:
        sys.exit(f"the run failed:\n{output}")


def write_run(folder: Path, name: str) -> Path:
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
    }
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(values), encoding="utf-8")  # JSON is YAML
    return path


def train_command(config: Path, *flags: str) -> subprocess.Popen[str]:
    """Start ``yolact train`` on a file."""
    command = [sys.executable, "-m", "yolact_ros.cli", "train", str(config), *flags]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    """Weights and averaged weights in a run's last checkpoint, as float64."""
    state = torch.load(folder / "state.pt", map_location="cpu", weights_only=True)
    averaged = {k: v for k, v in state["average"].items() if isinstance(v, torch.Tensor)}
    return {k: v.double() for k, v in {**state["network"], **averaged}.items()}


if __name__ == "__main__":
    sys.exit(main())
