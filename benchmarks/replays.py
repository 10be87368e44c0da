"""Whether a replay's recording accounts for every frame of the bag, many times over.

python benchmarks/replays.py --rounds 20

Makes a bag of a clip, and has ``ros2 launch yolact_ros replay.launch.py`` play it into the node
and record the results. Each frame must be a recorded result, or a drop that the last diagnostics
count. Needs the commands ``ros2 launch`` and ``ros2 bag``; with ``--stand-in`` the project's own
player and recorder stand in for ``ros2 bag`` (test/ros2_bag.py). Exit code 1: a frame is missing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "test"))

from fake_packages import fake_rosbag2
from recorded_replay import account
from rosbags.rosbag2 import Reader

from yolact_ros.cli.demo_plan import default_clip
from yolact_ros.cli.main import main as yolact

IMAGE_TOPIC = "/camera/image_raw"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--rate", type=float, default=1.0, help="times as fast as recorded")
    parser.add_argument("--source", help="default: the demo's clip")
    parser.add_argument("--stand-in", action="store_true", help="for ros2 bag")
    args = parser.parse_args()
    ros2 = shutil.which("ros2")
    if ros2 is None:
        parser.error("there is no command ros2 here: source a ROS 2 installation")
    missing = 0
    with tempfile.TemporaryDirectory() as folder:
        bag = Path(folder) / "bag"
        source = args.source or str(default_clip())
        yolact(["bag", "from-video", source, "--output", str(bag)])
        with Reader(bag) as reader:
            frames = reader.message_count
        environment = dict(os.environ)
        if args.stand_in:
            environment |= fake_rosbag2(Path(folder) / "rosbag2")
        for number in range(1, args.rounds + 1):
            output = Path(folder) / f"results{number}"
            begun_s = time.monotonic()
            replay([ros2, "launch"], bag, output, args.rate, environment)
            found = account(output, "yolact", "image")
            missing += frames - found.results - found.dropped
            print(
                f"{number:3}: {frames} frames, {found.received} received, {found.published} "
                f"published, {found.results} of them recorded, {found.dropped} dropped, "
                f"{time.monotonic() - begun_s:.1f} s",
                flush=True,
            )
    print(f"{missing} frames unaccounted for in {args.rounds} replays")
    return int(missing != 0)


def replay(
    launch: Sequence[str], bag: Path, output: Path, rate: float, environment: Mapping[str, str]
) -> None:
    """Run the launch file; ends the program with its output where it fails."""
    arguments = {"bag": bag, "image": IMAGE_TOPIC, "output": output, "rate": rate}
    command = [*launch, "yolact_ros", "replay.launch.py"]
    command += [f"{name}:={value}" for name, value in arguments.items()]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    if done.returncode:
        sys.exit(f"the replay ended with code {done.returncode}:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    sys.exit(main())
