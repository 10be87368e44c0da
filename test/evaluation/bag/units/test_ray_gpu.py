"""A node with a GPU takes the network; the GPU here is one in Ray's books only."""

from __future__ import annotations

import pytest
from ray_clusters import ray_cluster
from work_samples import node_and_gpu

from yolact_ros.evaluation.bag.units.ray_executor import RayExecutor

pytest.importorskip("ray", reason="the extra fleet is not here")


def test_the_network_runs_on_the_node_with_a_gpu_and_other_work_sees_none() -> None:
    with (
        ray_cluster(0, 1) as cluster,
        RayExecutor(cluster.address, threads=1, device="auto") as executor,
    ):
        assert executor.device == "cuda"
        network = dict(executor.run(node_and_gpu, range(6), uses_network=True))
        others = dict(executor.run(node_and_gpu, range(6)))
        (worker,) = cluster.worker_nodes
        assert set(network.values()) == {(worker.node_id, "0")}
        assert {gpu for _, gpu in others.values()} == {""}
