"""docs/diagnostics.md explains the causes of faults that the code puts together as well."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
ROS = REPOSITORY / "yolact_ros" / "ros"
PROCESSOR = REPOSITORY / "yolact_ros" / "inference" / "frame_processor.py"


def explained() -> set[str]:
    """Keys in the first column of the page's tables."""
    page = (REPOSITORY / "docs" / "diagnostics.md").read_text()
    cells = [line.split("|")[1] for line in page.splitlines() if line.startswith("|")]
    return {key for cell in cells for key in re.findall(r"`([^`]+)`", cell)}


def nodes_of(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text()))


def test_every_cause_that_is_put_together_is_known_here() -> None:
    cause_at = {"report": 0, "warn": 0, "failed": 1}
    found = {
        f"{path.name}: {ast.unparse(cause)}"
        for path in [*ROS.rglob("*.py"), PROCESSOR]
        for node in nodes_of(path)
        if isinstance(node, ast.Call)
        and (name := getattr(node.func, "attr", "")) in cause_at
        and node.args
        and not isinstance(cause := node.args[cause_at[name]], ast.Constant)
    }
    assert found == {
        "camera.py: cause",  # what `failed` and `warn` are called with
        "camera.py: reading.problem",  # of a stamp: test/ros/test_diagnostics_page.py
        "frame_processor.py: fault.cause",  # of a FrameFault: the same
        "segment.py: f'segment {cause}'",  # of a refusal: the same
        "subscription.py: cause",  # of a publisher
        "subscription.py: f'qos {policy}'",
    }


def test_every_refused_quality_of_service_is_explained() -> None:
    names = {
        ast.unparse(node.args[0]).rpartition(".")[2].rstrip("'")
        for node in nodes_of(ROS / "qos_overrides.py")
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ParameterSpec"
    }
    assert names == {"history", "depth", "reliability", "durability"}
    assert {f"errors qos {name}" for name in names} <= explained()


def test_every_problem_of_a_publisher_is_explained() -> None:
    causes = {
        node.value.elts[0].value
        for node in nodes_of(ROS / "subscription.py")
        if isinstance(node, ast.Return)
        and isinstance(node.value, ast.Tuple)
        and isinstance(node.value.elts[0], ast.Constant)
    } - {""}
    assert causes == {"wrong type", "incompatible qos"}
    assert {f"warnings {cause}" for cause in causes} <= explained()
