"""An evaluation on a real Ray cluster of this machine."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bag_samples import ShapeSource, image_messages, sources, truth_messages, write_bag
from ray_clusters import ray_cluster
from work_samples import kill_once

from yolact_ros.errors import WorkerError
from yolact_ros.evaluation.bag.evaluate import evaluate_bags
from yolact_ros.evaluation.bag.options import EvaluationOptions
from yolact_ros.evaluation.bag.scoring.tables import INSTANCE_COLUMNS, read_table
from yolact_ros.evaluation.bag.units.ray_executor import RayExecutor

pytest.importorskip("ray", reason="the extra fleet is not here")


class Silent:
    def start(self, title: str, total: int | None) -> Callable[[int], None]:
        return lambda count: None


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Two nodes of one core each, which find this package and the samples of the tests."""
    with ray_cluster(0, 0) as cluster:
        yield cluster.address


def test_a_worker_that_dies_is_replaced_and_its_work_done(address: str, tmp_path: Path) -> None:
    with RayExecutor(address, threads=1, device="auto") as executor:
        assert executor.device == "cpu"
        assert list(executor.run(kill_once, [tmp_path / "marker"])) == [(tmp_path / "marker", 6)]


def test_a_cluster_gives_the_numbers_of_one_process(address: str, tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "drive", image_messages(120, 2) + truth_messages(120, 2))
    night = write_bag(tmp_path / "night", image_messages(10) + truth_messages(10))
    (tmp_path / "junk.mcap").write_bytes(b"nothing")
    results: dict[str, Any] = {}
    for name in ("here", "ray"):
        options = EvaluationOptions(
            bags=sources(bag, night, tmp_path / "junk.mcap"),
            output=tmp_path / name,
            source=ShapeSource(shift_px=3),
            ray=address if name == "ray" else "",
        )
        results[name] = evaluate_bags(options, Silent())
    for part in ("accuracy", "stability", "count", "frames", "problems", "bags", "bags_failed"):
        assert results["ray"][part] == results["here"][part]
    tables = [
        read_table(tmp_path / name / "instances.parquet", INSTANCE_COLUMNS) for name in results
    ]
    assert tables[0].equals(tables[1])


def test_a_gpu_that_no_node_has_is_one_line(address: str) -> None:
    with (
        pytest.raises(WorkerError, match="no node of the Ray cluster has a GPU"),
        RayExecutor(address, threads=1, device="cuda"),
    ):
        pass


@pytest.mark.parametrize("form", ["ray://127.0.0.1:{}", "127.0.0.1:{}"])
def test_a_head_that_does_not_answer_is_one_line(form: str) -> None:
    # Bound, so that nobody else listens there, and does not listen itself.
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = form.format(closed.getsockname()[1])
        with (
            pytest.raises(WorkerError, match="no Ray cluster answers at"),
            RayExecutor(address, threads=1, device="cpu"),
        ):
            pass
