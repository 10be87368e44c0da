"""What configure, activate, deactivate and cleanup leave behind, round after round.

    python benchmarks/lifecycle_leak.py                      # the bundled model, 100 rounds
    python benchmarks/lifecycle_leak.py --model my.pth --rounds 30 -p runtime=openvino

The node runs in a process of its own. While it works and after every cleanup its resident memory,
threads and file descriptors are read from /proc, its heap in use and the GPU's memory from its
diagnostics. Growth is the slope of a line through the second half of the rounds; exit code 1 if
anything leaks. "before" is lower than "after": the first life loads libraries and starts two
threads that stay.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import yaml

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "test")]

from lifecycle_rounds import Round, Usage, live_rounds  # noqa: E402
from ros_client import RosClient  # noqa: E402
from ros_processes import reserve_domain, ros_environment, start_node  # noqa: E402

NODE = "yolact"
TOPIC = "/camera"
# The bundled network, 7.7 MB, would show as 7.7.
TOLERATED = {
    "heap": 0.1,
    "resident memory": 0.5,
    "device memory": 0.01,
    "threads": 0.01,
    "descriptors": 0.01,
}


def growth(values: list[float]) -> float:
    """Slope per round of a line through the second half."""
    half = values[len(values) // 2 :]
    return float(np.polyfit(np.arange(len(half)), half, 1)[0])


def row(name: object, usage: Usage) -> str:
    return (
        f"| {name} | {usage.heap_mib:.1f} | {usage.device_mib:.1f} | {usage.memory_mib:.0f} "
        f"| {usage.threads} | {usage.descriptors} |"
    )


def verdict(rounds: list[Round]) -> bool:
    """Print the growth of everything; True if nothing leaks."""
    clean = [done.clean for done in rounds]
    held = {
        "heap": [usage.heap_mib for usage in clean],
        "resident memory": [usage.memory_mib for usage in clean],
        "device memory": [usage.device_mib for usage in clean],
        "threads": [float(usage.threads) for usage in clean],
        "descriptors": [float(usage.descriptors) for usage in clean],
    }
    sound = True
    for what, tolerated in TOLERATED.items():
        slope = growth(held[what])
        leaks = slope > tolerated
        sound = sound and not leaks
        unit = "" if what in ("threads", "descriptors") else " MiB"
        text = "LEAKS" if leaks else "no leak"
        print(f"{what}: {text}, {slope:+.4f}{unit} a round (tolerated {tolerated})")
    return sound


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument(
        "-p", dest="parameters", action="append", default=[], metavar="NAME:=VALUE"
    )
    arguments = parser.parse_args()
    parameters: dict[str, object] = {"model": arguments.model, "autostart": False}
    for text in arguments.parameters:
        name, _, value = text.partition("=")
        parameters[name] = yaml.safe_load(value)
    domain_id, lock = reserve_domain()
    client = RosClient(domain_id)
    rounds: list[Round] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        start_node(
            NODE, Path(folder), ros_environment(domain_id), parameters, {"image": TOPIC}
        ) as process,
    ):
        client.wait_for_state(NODE, "unconfigured")
        print("| | heap in use (MiB) | device (MiB) | resident (MiB) | threads | descriptors |")
        print("|---|---|---|---|---|---|")
        print(row("before", Usage.of(process, client, NODE)))
        for done in live_rounds(client, process, NODE, TOPIC, arguments.rounds):
            rounds.append(done)
            if len(rounds) == 1:
                print(row("active", done.active))
            if len(rounds) in (1, 2, 5) or len(rounds) % 10 == 0:
                print(row(f"after cleanup {len(rounds)}", done.clean), flush=True)
        process.stop()
    client.close()
    lock.close()
    return 0 if verdict(rounds) else 1


if __name__ == "__main__":
    sys.exit(main())
