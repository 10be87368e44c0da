"""A fleet of bags in object storage on a Ray cluster whose parts fail, against one process.

    ./dev run python benchmarks/fleet.py              # the proof, about ten minutes on two cores
    ./dev run python benchmarks/fleet.py --only speed # two workers against one
    ./dev run python benchmarks/fleet.py --only bags --folder fleet   # the bags and the manifest

Bags are made (broken ones, some without a truth, one that is large), put into a local S3 server
(moto) and evaluated by one process. Then a Ray cluster of two node processes evaluates them while
a worker is killed with SIGKILL, the storage does not answer for a while, and the head is killed
and started again. Exit code 0 when every number is the same and every bag is accounted for.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "test")]

from bag_samples import write_bag  # noqa: E402
from stop_signs import StopSigns, clip_messages  # noqa: E402

BIN = Path(sys.executable).parent
BUCKET = "fleet"
WEATHER = {"day": (0.0, 4.0), "dusk": (0.7, 12.0), "night": (0.93, 8.0)}
STORAGE_CUT_S = 25.0
FAILED = {"empty": b"", "text": b"no bag at all\n", "cut_header": b"\x89MCAP0\r\n\x01"}


def main() -> int:
    """Run what was asked for; 0 if all that must be equal is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bags", type=int, default=200)
    parser.add_argument("--frames", type=int, default=8, help="of each; one bag has 60 times more")
    parser.add_argument("--input-size", type=int, default=96)
    parser.add_argument("--folder", type=Path, help="where bags and results stay")
    parser.add_argument("--only", choices=["bags", "failures", "speed"])
    args = parser.parse_args()
    with ExitStack() as stack:
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="fleet_"))
        folder = (args.folder or Path(name)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        make_bags(folder, args.bags, args.frames)
        if args.only == "bags":
            return 0
        storage = stack.enter_context(Storage.running())
        os.environ.update(storage.environment, YOLACT_ROS_CACHE=name, OMP_NUM_THREADS="1")
        ok = True
        evaluate = Evaluation(folder, upload(folder), args.input_size)
        if args.only != "speed":
            ok = prove(folder, storage, evaluate)
        if args.only != "failures":
            measure_speed(folder, evaluate)
    return 0 if ok else 1


def make_bags(folder: Path, count: int, frames: int) -> None:
    """The bags in ``folder/bags`` and the manifest ``fleet.csv`` beside them."""
    bags = folder / "bags"
    shutil.rmtree(bags, ignore_errors=True)
    lines = ["path,topic,truth,weather,robot"]
    for number in range(count):
        weather = list(WEATHER)[number % 3]
        has_truth = number % 10 != 9
        signs = StopSigns(number, *WEATHER[weather])
        length = 60 * frames if number == count // 2 else frames
        messages = clip_messages(signs, length, truth=has_truth)
        kind = "sqlite3" if number % 40 == 7 else "mcap"
        bag = write_bag(bags / f"drive_{number:03d}", messages, storage=kind)
        if number % 25 == 3:  # cut off: what is left is read
            file = bag / f"{bag.name}.mcap"
            file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])
        truth = "/truth" if has_truth else ""
        lines.append(f"bags/{bag.name},,{truth},{weather},robot_{number % 4}")
    for name, content in FAILED.items():
        (bags / f"{name}.mcap").write_bytes(content)
        lines.append(f"bags/{name}.mcap,,/truth,day,robot_0")
    lines += ["bags/vanished,,/truth,day,robot_0", "bags/drive_000,camera,,day,robot_0"]
    (folder / "fleet.csv").write_text("\n".join(lines) + "\n")
    size = sum(file.stat().st_size for file in bags.rglob("*") if file.is_file())
    print(f"{count + len(FAILED)} bags, {size / 1e6:.0f} MB, and two lines of none")


class Storage:
    """A local S3 server in a process of its own."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process = process
        self.environment = {
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "no-secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        }

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[Storage]:
        port = free_port()
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-p", str(port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for(lambda: answers(port), "the S3 server")
            yield cls(process, port)
        finally:
            process.kill()
            process.wait()

    def cut(self, seconds: float) -> None:
        """Let every request wait for so long; most give up before."""
        self._process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self._process.send_signal(signal.SIGCONT)


def upload(folder: Path) -> str:
    """Put bags and manifest into the storage; the manifest's address."""
    import s3fs

    storage = s3fs.S3FileSystem()
    storage.mkdir(BUCKET)
    storage.put(str(folder / "bags") + "/", f"{BUCKET}/bags/", recursive=True)
    storage.put(str(folder / "fleet.csv"), f"{BUCKET}/fleet.csv")
    return f"s3://{BUCKET}/fleet.csv"


class Evaluation:
    """The command, as a user types it."""

    def __init__(self, folder: Path, manifest: str, input_size: int) -> None:
        self._folder = folder
        options = ["--threads", "1", "--input-size", str(input_size), "--classes", "stop sign"]
        self._line = ["yolact", "bag", "evaluate", manifest, *options]

    def start(self, name: str, *options: str, **environment: str) -> subprocess.Popen[str]:
        """Begin an evaluation into ``folder/name``."""
        return subprocess.Popen(
            [*self._line, "--output", str(self._folder / name), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
        )

    def run(self, name: str, *options: str, **environment: str) -> float:
        """Evaluate; the time that it took in seconds."""
        begun_s = time.monotonic()
        process = self.start(name, *options, **environment)
        output, errors = process.communicate()
        if process.returncode != 3:  # some bags are broken
            raise SystemExit(f"evaluate ended with {process.returncode}:\n{output}\n{errors}")
        return time.monotonic() - begun_s


class Cluster:
    """Ray's processes: a head and maybe another node, of one core each."""

    def __init__(self, nodes: int) -> None:
        self._port = free_port()
        self._folder = tempfile.mkdtemp(prefix="ray_", dir="/tmp")  # sockets have short paths
        self._processes: list[subprocess.Popen[bytes]] = []
        self._client_port = free_port()
        self.address = f"127.0.0.1:{self._port}"
        self.client_address = f"ray://127.0.0.1:{self._client_port}"
        for number in range(nodes):
            self._start(is_head=not number)

    def _start(self, *, is_head: bool) -> None:
        options = ["--num-cpus", "1", "--block", "--disable-usage-stats"]
        options += ["--object-store-memory", "200000000"]
        if is_head:
            options += ["--head", "--port", str(self._port), "--include-dashboard", "false"]
            options += ["--ray-client-server-port", str(self._client_port)]
            options += ["--node-ip-address", "127.0.0.1", "--temp-dir", self._folder]
        else:
            options += ["--address", self.address]
        process = subprocess.Popen(
            [str(BIN / "ray"), "start", *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,  # Ray puts the folder where it is started first on Python's path
            start_new_session=True,
        )
        self._processes.append(process)
        if is_head:
            wait_for(lambda: answers(self._port), "the head of the cluster", 60)
        time.sleep(6)

    def workers(self) -> list[psutil.Process]:
        """Those that work at the moment."""
        found = []
        for process in self._processes:
            for child in psutil.Process(process.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    if child.name() == "ray::attempt":
                        found.append(child)
        return found

    def restart_head(self) -> None:
        """Kill the head's processes; nodes that lost it end, and are started again."""
        self.stop()
        self._processes = []
        self._start(is_head=True)
        self._start(is_head=False)

    def stop(self) -> None:
        for process in self._processes:
            try:
                tree = [process_of(process), *process_of(process).children(recursive=True)]
            except psutil.NoSuchProcess:
                continue
            for member in tree:
                with suppress(psutil.NoSuchProcess):
                    member.kill()
            process.wait()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


def prove(folder: Path, storage: Storage, evaluate: Evaluation) -> bool:
    """Evaluate on a cluster that fails, and hold the result against that of one process."""
    print(f"one process: {evaluate.run('serial'):.0f} s")
    num_units = len(units(folder / "serial"))
    print(f"{num_units} units of work")
    events: list[tuple[float, str, Callable[[Cluster], None]]] = [
        (0.15, "a worker is killed with SIGKILL", lambda c: c.workers()[0].kill()),
        (0.35, f"the storage is silent for {STORAGE_CUT_S:.0f} s",
         lambda _: storage.cut(STORAGE_CUT_S)),
        (0.5, "another worker is killed with SIGKILL", lambda c: c.workers()[-1].kill()),
        (0.65, "the head is killed and started again", lambda c: c.restart_head()),
    ]  # fmt: skip
    starts = 0
    with Cluster(2) as cluster:
        while True:
            starts += 1
            process = evaluate.start("cluster", "--ray", cluster.client_address)
            while process.poll() is None:
                done = len(units(folder / "cluster"))
                if events and done >= events[0][0] * num_units:
                    if events[0][1].startswith(("a worker", "another")) and not cluster.workers():
                        continue
                    _, text, happens = events.pop(0)
                    print(f"at {done} of {num_units} units: {text}")
                    happens(cluster)
                time.sleep(0.1)
            output, errors = process.communicate()
            if (folder / "cluster" / "metrics.json").is_file():
                break
            print(f"start {starts} ended with {process.returncode}: {errors.strip()[-1500:]}")
            if starts == 5:
                raise SystemExit(output + errors)
    if events:
        print(f"did not happen: {[text for _, text, _ in events]}")
    print(f"the cluster was done at start {starts}; what it says of bags:")
    print("\n".join(line for line in errors.splitlines() if "left out" in line))
    return compare(folder / "serial", folder / "cluster") and not events


def compare(serial: Path, cluster: Path) -> bool:
    """Whether two results are the same but for times."""
    ok = True
    for name in ("frames.parquet", "instances.parquet"):
        tables = [pyarrow.parquet.read_table(folder / name) for folder in (serial, cluster)]
        timed = [column for column in tables[0].column_names if column.endswith("_ms")]
        tables = [table.drop_columns(timed) for table in tables]
        # Not a number is not equal to itself, a null is.
        same = tables[0].equals(tables[1])
        print(f"{name}: {len(tables[0])} and {len(tables[1])} rows, equal: {same}")
        ok &= same
    metrics = [json.loads((folder / "metrics.json").read_text()) for folder in (serial, cluster)]
    for key in ("accuracy", "frames", "stability", "bags", "bags_failed", "problems", "tags"):
        same = metrics[0].get(key) == metrics[1].get(key)
        if not same:
            print(f"metrics.json: {key} differs")
        ok &= same
    accuracy = metrics[0]["accuracy"]["segm"]["ap"]
    print(
        f"mask AP {accuracy:.6f}, {len(metrics[0]['bags'])} bags, "
        f"{len(metrics[0]['bags_failed'])} left out, metrics equal: {ok}"
    )
    return bool(ok)


def measure_speed(folder: Path, evaluate: Evaluation) -> None:
    """Two workers against one, and how many cores all processes together kept busy.

    Storage, driver and Ray run here too: where two workers leave no core idle, they could not be
    faster.
    """
    seconds = {}
    for nodes in (1, 2):
        with Cluster(nodes) as cluster:
            shutil.rmtree(folder / "speed", ignore_errors=True)
            load = os.getloadavg()[0]
            before = psutil.cpu_times()
            seconds[nodes] = evaluate.run("speed", "--ray", "auto", RAY_ADDRESS=cluster.address)
            after = psutil.cpu_times()
            idle_s = after.idle + after.iowait - before.idle - before.iowait
            busy = os.cpu_count() - idle_s / seconds[nodes]
            print(
                f"{nodes} workers: {seconds[nodes]:.1f} s, {busy:.2f} of {os.cpu_count()} cores "
                f"busy (load average before: {load:.1f})"
            )
    print(f"two workers are {seconds[1] / seconds[2]:.2f} times as fast as one")


def units(folder: Path) -> list[Path]:
    """Files of units that are done."""
    return list(folder.glob("*/units/*.parquet"))


def process_of(process: subprocess.Popen[bytes]) -> psutil.Process:
    return psutil.Process(process.pid)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(condition: Callable[[], Any], name: str, patience_s: float = 30) -> None:
    until_s = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > until_s:
            raise SystemExit(f"{name} did not start")
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
