"""A Ray cluster of this machine, whose workers find our package and the samples of the tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

__all__ = ["ray_cluster"]

TEST_FOLDER = Path(__file__).parent


@contextmanager
def ray_cluster(*num_gpus: int, **variables: str) -> Iterator[Any]:
    """Nodes of one core each, the first is the head.

    Args:
        num_gpus: of each node, in Ray's books only.
        variables: of the nodes' environment.
    """
    cluster_utils = pytest.importorskip("ray.cluster_utils", reason="the extra fleet is not here")
    with pytest.MonkeyPatch.context() as patch:
        paths = [str(TEST_FOLDER.parent), str(TEST_FOLDER), os.environ.get("PYTHONPATH", "")]
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        for name, value in variables.items():
            patch.setenv(name, value)
        head = {"num_cpus": 1, "num_gpus": num_gpus[0], "include_dashboard": False}
        cluster = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
        try:
            for count in num_gpus[1:]:
                cluster.add_node(num_cpus=1, num_gpus=count)
            cluster.wait_for_nodes()
            yield cluster
        finally:
            cluster.shutdown()
